"""Keeps snapshots: one text file for each test file, in `__snapshots__` beside it, and the index of their hashes.

What a run changes is gathered and written in one go, under a lock that all processes of the project share: what others have written in
the meantime is kept, and a file is replaced at once. Content goes before the file that names it, so that a crash leaves the old
snapshot or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Optional, Union

from . import snapshot_index as index
from . import snapshot_inline
from .plugin import FOLDER
from .serialise import BYTES, Serialised
from .snapshot_index import FileRow, Hashes, Stat
from .snapshot_text import Damaged, Entry, parse, render, replace

ACCEPTED, PENDING = ".snap", ".snap.new"
#: From how many bytes on content has a file of its own.
LARGE = 64 * 1024
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_IGNORE = "# Everything here can be made again.\n*\n"


class Changes(NamedTuple):
    """What a run does to one file's snapshots."""

    accepted: dict[str, Serialised]
    pending: dict[str, Union[Serialised, Entry]]
    #: Those that are pending no more, since the value matches.
    settled: set[str]


class SnapshotFile:
    """The snapshots of one test file."""

    def __init__(self, store: Store, source: str) -> None:
        folder, name = os.path.split(source)
        stem = name[:-3] if name.endswith(".py") else name
        self.source = source
        self.folder = os.path.join(folder, FOLDER)
        self.path = os.path.join(self.folder, stem + ACCEPTED)
        self.pending_path = os.path.join(self.folder, stem + PENDING)
        self.stem = stem
        self.changes = Changes({}, {}, set())
        self._store = store
        self._entries: Optional[dict[str, Entry]] = None
        self._hashes: Optional[Hashes] = None
        self._has_pending: Optional[bool] = None

    # Comparing

    def holds(self, name: str, value: Serialised) -> Optional[bool]:
        """Whether the snapshot `name` is `value`; None if there is none of that name."""
        changed = self.changes.accepted.get(name)
        if changed is not None:
            return changed == value
        if index.blake3 is None:
            entry = self.entries().get(name)
            return None if entry is None else (entry.kind, self.load(entry)) == value
        digests, files = self._hashes or self.hashes()
        digest = digests.get(name)
        if digest is None:
            return None
        if name in files and not self._store.is_as_hashed(self.beside(files[name])):
            # The file beside has been changed by hand, or is gone.
            entry = self.entries()[name]
            return (entry.kind, self.load(entry)) == value
        return digest == index.digest_of(*value)

    def content_file(self, name: str) -> str:
        """Where the file is that holds the content of a snapshot; empty if none does."""
        if index.blake3 is not None and self._hashes is not None:
            file = self._hashes.files.get(name, "")
        else:
            entry = self.entries().get(name)
            file = "" if entry is None else entry.file
        return self.beside(file) if file else ""

    def names(self) -> list[str]:
        """The names of all accepted snapshots."""
        return list(self.entries() if index.blake3 is None else self.hashes().digests)

    def hashes(self) -> Hashes:
        """The hashes of the accepted snapshots: from the index, unless the file isn't the one that was hashed."""
        if self._hashes is None:
            stat = Stat.of(self.path)
            if stat is None:
                self._hashes = Hashes({}, {})
            else:
                row = self._store.row(self.path)
                if row is not None and row.is_of(stat):
                    self._hashes = row.hashes
                else:
                    self._hashes = self._hash(stat)
        return self._hashes

    def _hash(self, stat: Stat) -> Hashes:
        found = Hashes({}, {})
        for name, entry in self.entries().items():
            try:
                content = self.load(entry)
            except Damaged:
                continue  # compared with its content, which tells what is wrong
            if entry.file:
                raw = content if isinstance(content, bytes) else content.encode()
                self._store.hash_beside(self.beside(entry.file), raw)
                found.files[name] = entry.file
            found.digests[name] = index.digest_of(entry.kind, content)
        if found.digests.keys() == self.entries().keys():
            self._store.keep(self.path, FileRow.new(stat, found))
        return found

    def entries(self) -> dict[str, Entry]:
        """The accepted snapshots; raises `Damaged`."""
        if self._entries is None:
            self._entries = read(self.path)
        return self._entries

    def load(self, entry: Entry) -> Union[str, bytes]:
        """The content of an entry, wherever it is; raises `Damaged`."""
        if not entry.file:
            return entry.content
        try:
            with open(self.beside(entry.file), "rb") as file:
                data = file.read()
            return data if entry.kind == BYTES else data.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Damaged(f"{self.path}: the file {entry.file} can't be read: {error}") from None

    def beside(self, file: str) -> str:
        """Where a content file is; raises `Damaged` if the name leads out of the folder."""
        if os.path.isabs(file) or ".." in file.split("/") or "\\" in file:
            raise Damaged(f"{self.path}: the file {file!r} would lie outside of {self.folder}")
        return os.path.join(self.folder, *file.split("/"))

    def has_pending(self) -> bool:
        """Whether there are pending snapshots of an earlier run."""
        if self._has_pending is None:
            self._has_pending = os.path.exists(self.pending_path)
        return self._has_pending

    # Changing

    def flush(self) -> None:
        """Write what was gathered; raises `Damaged` or `OSError`."""
        accepted, pending, settled = self.changes
        if not (accepted or pending or settled):
            return
        self.changes = Changes({}, {}, set())
        with self._store.locked():
            before, pending_before = read(self.path), read(self.pending_path)
            after, pending_after = dict(before), dict(pending_before)
            for name in settled:
                pending_after.pop(name, None)
            for name, value in accepted.items():
                after[name] = self._entry(name, value)
                pending_after.pop(name, None)
            for name, given in pending.items():
                pending_after[name] = given if isinstance(given, Entry) else self._entry(name, given)
            if after != before:
                write(self.path, after)
            if pending_after != pending_before:
                write(self.pending_path, pending_after)
            kept = {entry.file for entries in (after, pending_after) for entry in entries.values()}
            gone = {entry.file for entries in (before, pending_before) for entry in entries.values()} - kept
            for file in gone:
                _remove(self.beside(file))
            self._has_pending = bool(pending_after)
        self._entries = self._hashes = None

    def _entry(self, name: str, value: Serialised) -> Entry:
        raw = value.raw()
        if value.kind != BYTES and len(raw) < LARGE:
            return Entry(value.kind, str(value.content))
        # By its content, so that the text file changes from one snapshot to the next at once.
        word = _UNSAFE.sub("_", name)[:60].strip("_") or "snapshot"
        ending = "bin" if value.kind == BYTES else "txt"
        folder = _UNSAFE.sub("_", self.stem)
        file = f"{folder}/{word}-{hashlib.sha256(raw).hexdigest()[:16]}.{ending}"
        target = self.beside(file)
        if not _holds(target, raw):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            replace(target, raw)
        return Entry(value.kind, "", file)


class Store:
    """The snapshot files of a project, as one process sees them."""

    def __init__(self, root: str, dx: str) -> None:
        self.root = root
        self._above = os.path.join(root, "")
        self._dx = dx
        self._files: dict[str, SnapshotFile] = {}
        self._rows: Optional[dict[str, FileRow]] = None
        self._new_rows: dict[str, FileRow] = {}
        self._checked: dict[str, bool] = {}

    def file(self, source: str) -> SnapshotFile:
        """The snapshots of the test file `source`, an absolute path."""
        found = self._files.get(source)
        if found is None:
            found = self._files[source] = SnapshotFile(self, source)
        return found

    def flush(self) -> None:
        """Write what was gathered for all files; raises `Damaged` or `OSError`."""
        for file in self._files.values():
            file.flush()

    # The index

    def row(self, path: str) -> Optional[FileRow]:
        """What the index knows of a file."""
        if self._rows is None:
            self._rows = self._read_index()
        key = self.relative(path)
        return self._new_rows.get(key) or self._rows.get(key)

    def keep(self, path: str, row: FileRow) -> None:
        """Let the index know of a file."""
        self._new_rows[self.relative(path)] = row

    def is_as_hashed(self, path: str) -> bool:
        """Whether a content file is the one that was hashed; looked at once."""
        known = self._checked.get(path)
        if known is None:
            stat, row = Stat.of(path), self.row(path)
            known = self._checked[path] = stat is not None and row is not None and row.is_of(stat)
        return known

    def hash_beside(self, path: str, raw: bytes) -> None:
        """Let the index know of a content file with this content."""
        stat = Stat.of(path)
        if stat is not None and index.blake3 is not None:
            self.keep(path, FileRow.new(stat, Hashes({"": index.blake3(raw)}, {})))

    def close(self) -> None:
        """Write what was gathered, and the index if it has changed."""
        self.flush()
        if not self._new_rows or index.blake3 is None:
            return
        with self.locked():
            rows = self._read_index()
            rows.update(self._new_rows)
            rows = {key: row for key, row in rows.items() if os.path.exists(os.path.join(self.root, key))}
            replace(self._index_path(), index.pack(rows, index.blake3))
        self._new_rows.clear()

    def _index_path(self) -> str:
        return os.path.join(self._dx, "snapshots.bin")

    def _read_index(self) -> dict[str, FileRow]:
        if index.blake3 is None:
            return {}
        try:
            with open(self._index_path(), "rb") as file:
                return index.unpack(file.read(), index.blake3) or {}
        except OSError:
            return {}

    def relative(self, path: str) -> str:
        """A path as the index and messages have it: relative to the root if it lies below it."""
        return path[len(self._above) :].replace(os.sep, "/") if path.startswith(self._above) else path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing snapshots."""
        if not os.path.isdir(self._dx):
            os.makedirs(self._dx, exist_ok=True)
            with open(os.path.join(self._dx, ".gitignore"), "w") as ignore:
                ignore.write(_IGNORE)
        try:
            import fcntl
        except ImportError:
            yield
            return
        with open(os.path.join(self._dx, "snapshots.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def read(path: str) -> dict[str, Entry]:
    """The entries of a snapshot file, none if it isn't there; raises `Damaged`, which names the file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return parse(file.read())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{path} can't be read: {error}") from None
    except Damaged as error:
        raise Damaged(f"{path}, {error}") from None


def write(path: str, entries: dict[str, Entry]) -> None:
    """Replace a snapshot file at once; without entries there is none."""
    if not entries:
        _remove(path)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace(path, render(entries).encode())


def _holds(path: str, raw: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == raw
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def accept_inline(store: Store, path: str) -> list[str]:
    """Write the pending inline snapshots of the file at `path` into the source that it stands beside; gives their names.

    Raises `snapshot_inline.Misplaced` if the source isn't as it was, `Damaged` or `OSError`."""
    folder, name = os.path.split(path)
    source = os.path.join(os.path.dirname(folder), name[: -len(PENDING)] + ".py")
    with store.locked():
        entries = read(path)
        own = {key: entry for key, entry in entries.items() if entry.inline}
        if own:
            snapshot_inline.accept(source, own)
            rest = {key: entry for key, entry in entries.items() if key not in own}
            write(path, rest)
    return list(own)
