"""The files of cached fixtures, `.dx/fixtures/`: one for each value, written at once and read through a private mapping.

A file is a header, a table of buffers, metadata, a pickle, and the pickle's out-of-band buffers at whole pages, so that a value made of
large buffers is handed out where it lies in the file: nothing is copied until somebody writes, and then the page that is written. The
crate `dx-py-fixture` reads and writes the same bytes; `ARCHITECTURE.md` describes them.

Unpickling runs code, so a file is only trusted if it is this user's, in a folder that is this user's alone, is no link, has the time
that it was given when it was made, and has the right checksum. The checksum covers all but the buffers, whose digests are beside it:
to check 1 GB takes longer than to restore it. They are looked at only if `DX_PY_FIXTURES_VERIFY` is set. What else tells of a change: the
file is complete on the disk before it gets its name, it is never changed afterwards, and a write into it changes its time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import pickle
import re
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple, Optional

from . import plugin, snapshot_index

MAGIC, VERSION = b"DXFX", 1
BLAKE3, BLAKE2B = 1, 2
#: Where buffers begin, so that each can be mapped.
PAGE = 4096
#: Buffers that are smaller are part of the pickle.
SMALLEST_BUFFER = PAGE
#: Magic, version, algorithm, zero; lengths of the metadata and of the pickle; buffers, zero; length of the file.
_HEAD = struct.Struct("<4sHBBQQIIQ")
_BUFFER = struct.Struct("<QQ32s")
_DIGEST = 32
_START = _HEAD.size + _DIGEST
_ENDING = ".dxf"
_TEMPORARY = ".tmp-"
_LOCK = ".lock"
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")
_IGNORE = "# Written by dx-py. Everything here can be deleted at any time.\n*\n"
_DAY = 86_400
#: After how many seconds an entry that nobody has used is removed, and what an interrupted process has left.
_UNUSED, _LEFT = 30 * _DAY, _DAY
#: How many bytes all entries have together at the most, if nothing else is said.
DEFAULT_LIMIT = 8_000_000_000
#: How long a process waits for another one that makes the same value, in seconds.
PATIENCE = 600.0

#: Kept in a tuple, where libraries that stop the clock, which go through the modules for it, don't find it.
CLOCK = (time.time, time.time_ns, time.sleep)
Digest = Callable[[Any], bytes]


def _blake2b(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


#: The digest that new files have, and its number. Python's own where nobody has BLAKE3.
ALGORITHM: int = BLAKE2B if snapshot_index.blake3 is None else BLAKE3
digest: Digest = snapshot_index.blake3 or _blake2b
_DIGESTS: dict[int, Digest] = {BLAKE2B: _blake2b}
if snapshot_index.blake3 is not None:
    _DIGESTS[BLAKE3] = snapshot_index.blake3


class Damaged(Exception):
    """A file isn't an entry that can be trusted; the text says why."""


class Unusable(Exception):
    """The folder of cached fixtures can't be used; the text says why and what to do."""


class Pickled(NamedTuple):
    """A value, ready to be written."""

    data: bytes
    buffers: list[memoryview]

    def digest(self) -> bytes:
        """A digest of the value."""
        return digest(b"".join([digest(self.data), *map(digest, self.buffers)]))


class Entry(NamedTuple):
    """An entry that was read and checked."""

    metadata: dict[str, Any]
    data: memoryview
    buffers: list[memoryview]

    def load(self) -> Any:
        """The value; raises whatever unpickling raises."""
        return pickle.loads(self.data, buffers=self.buffers)


def dumps(value: Any) -> Pickled:
    """Pickle a value, its large buffers beside it; raises whatever pickling raises."""
    buffers: list[memoryview] = []

    def is_small(buffer: Any) -> bool:
        raw = buffer.raw()
        if raw.nbytes < SMALLEST_BUFFER:
            return True
        buffers.append(raw)
        return False

    return Pickled(pickle.dumps(value, 5, buffer_callback=is_small), buffers)


def pack_front(metadata: bytes, pickled: Pickled, algorithm: int = ALGORITHM) -> tuple[bytes, list[int], int]:
    """All that comes before the pickle, where the buffers begin, and the length of the file."""
    hash_ = _DIGESTS[algorithm]
    at = _START + _BUFFER.size * len(pickled.buffers) + len(metadata) + len(pickled.data)
    rows, places = [], []
    for buffer in pickled.buffers:
        at = -(-at // PAGE) * PAGE
        places.append(at)
        rows.append(_BUFFER.pack(at, buffer.nbytes, hash_(buffer)))
        at += buffer.nbytes
    head = _HEAD.pack(MAGIC, VERSION, algorithm, 0, len(metadata), len(pickled.data), len(rows), 0, at)
    rest = b"".join(rows) + metadata
    return head + hash_(head + rest + hash_(pickled.data)) + rest, places, at


def parse(view: memoryview, verify: bool = False) -> Entry:
    """The entry that these bytes hold; raises `Damaged`. With `verify` the buffers are checked too."""
    if len(view) < _START:
        raise Damaged("it is shorter than a header")
    magic, version, algorithm, _, metadata_length, data_length, count, _, length = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise Damaged("it isn't a cached fixture")
    if version != VERSION:
        raise Damaged(f"it has format {version}, and this is {VERSION}")
    hash_ = _DIGESTS.get(algorithm)
    if hash_ is None:
        raise Damaged(f"nobody here has the digest {algorithm} that it was made with")
    table = _START + _BUFFER.size * count
    end = table + metadata_length + data_length
    if length != len(view) or end > length:
        raise Damaged("its length isn't what its header says")
    data = view[table + metadata_length : end]
    front = bytes(view[: _HEAD.size]) + bytes(view[_START : table + metadata_length]) + hash_(data)
    if hash_(front) != bytes(view[_HEAD.size : _START]):
        raise Damaged("its checksum is wrong")
    buffers = []
    for number in range(count):
        start, size, expected = _BUFFER.unpack_from(view, _START + _BUFFER.size * number)
        if start < end or start + size > length:
            raise Damaged("a buffer lies outside of it")
        buffers.append(view[start : start + size])
        if verify and hash_(buffers[-1]) != expected:
            raise Damaged("a buffer's checksum is wrong")
    try:
        metadata = json.loads(bytes(view[table : table + metadata_length]))
    except ValueError as error:
        raise Damaged(f"its metadata can't be read: {error}") from None
    if not isinstance(metadata, dict):
        raise Damaged("its metadata is no object")
    return Entry(metadata, data, buffers)


class Store:
    """The cached fixtures of a project, as one process sees them."""

    def __init__(self, root: str, limit: Optional[int] = None) -> None:
        self._dx = os.path.join(root, ".dx")
        #: The folder that holds the entries.
        self.folder = os.path.join(self._dx, "fixtures")
        #: How many bytes all of them may have together.
        self.limit = _limit() if limit is None else limit
        self._verifies = os.environ.get("DX_PY_FIXTURES_VERIFY", "0") not in ("", "0")
        self._is_ready = False

    def _path(self, name: str, key: bytes, ending: str = _ENDING) -> str:
        word = _UNSAFE.sub("_", name)[:60].strip("_") or "fixture"
        return os.path.join(self.folder, f"{word}-{key.hex()[:40]}{ending}")

    def prepare(self) -> None:
        """Make the folder, or look whether it is this user's alone; raises `Unusable`."""
        if self._is_ready:
            return
        try:
            if not os.path.isdir(self._dx):
                os.makedirs(self._dx, exist_ok=True)
                with open(os.path.join(self._dx, ".gitignore"), "w") as ignore:
                    ignore.write(_IGNORE)
            try:
                os.mkdir(self.folder, 0o700)
            except FileExistsError:
                pass
            found = os.lstat(self.folder)
        except OSError as error:
            raise Unusable(f"fixtures can't be kept in {self.folder}: {error.strerror or error}") from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise Unusable(
                f"{self.folder} isn't a folder of yours alone, so that what lies there can't be trusted: remove it, and it is made anew"
            )
        self._is_ready = True

    # Reading

    def find(self, name: str, key: bytes) -> Optional[Entry]:
        """The entry of this key, mapped; None if there is none. What can't be trusted is removed. Raises `Unusable`."""
        self.prepare()
        path = self._path(name, key)
        try:
            view, made = _mapped(path)
            entry = parse(view, self._verifies)
            if entry.metadata.get("key") != key.hex() or entry.metadata.get("made") != made:
                raise Damaged("it was changed, or isn't where it was made")
        except FileNotFoundError:
            return None
        except (Damaged, OSError, struct.error):
            self.remove(name, key)
            return None
        return entry

    def touch(self, name: str, key: bytes) -> None:
        """Note that an entry was used."""
        path = self._path(name, key)
        try:
            # The time of its making stays.
            os.utime(path, ns=(CLOCK[1](), os.lstat(path).st_mtime_ns), follow_symlinks=False)
        except OSError:
            pass

    # Writing

    def keep(self, name: str, key: bytes, metadata: dict[str, Any], pickled: Pickled) -> None:
        """Write an entry; raises `Unusable` or `OSError`."""
        self.prepare()
        # Whole seconds, which any file system keeps.
        made = int(CLOCK[0]())
        text = json.dumps({**metadata, "key": key.hex(), "made": made}, separators=(",", ":")).encode()
        front, places, length = pack_front(text, pickled)
        if length > self.limit:
            raise Unusable(
                f"it takes {length / 1e6:,.0f} MB, and all cached fixtures may take {self.limit / 1e6:,.0f} MB: `fixtures-mb` in dx-py.toml, or "
                f"the variable {plugin.LIMIT_VARIABLE}, sets another limit"
            )
        fd, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=self.folder)
        try:
            with open(fd, "wb") as file:
                file.write(front)
                file.write(pickled.data)
                for place, buffer in zip(places, pickled.buffers):
                    file.seek(place)
                    file.write(buffer)
                file.flush()
                os.fsync(fd)
            os.utime(temporary, ns=(CLOCK[1](), made * 1_000_000_000))
            os.replace(temporary, self._path(name, key))
        except BaseException:
            _unlink(temporary)
            raise
        self._trim(os.path.basename(self._path(name, key)))

    def remove(self, name: str, key: bytes) -> None:
        """Remove an entry, if it is there."""
        _unlink(self._path(name, key))

    def _trim(self, newest: str) -> None:
        """Remove what wasn't used for the longest time until the rest is within the limit."""
        now, total = CLOCK[0](), 0
        kept = []
        with os.scandir(self.folder) as found:
            for each in found:
                try:
                    state = each.stat(follow_symlinks=False)
                except OSError:
                    continue
                is_entry = each.name.endswith(_ENDING) and not each.name.startswith(_TEMPORARY)
                # `touch` sets the time of access, whatever the file system does about it.
                last = state.st_atime if is_entry else state.st_mtime
                if now - last > (_UNUSED if is_entry else _LEFT):
                    _unlink(each.path)
                elif is_entry:
                    total += state.st_size
                    kept.append((each.name != newest, -last, state.st_size, each.path))
        for is_other, _, size, path in sorted(kept, reverse=True):
            if total <= self.limit or not is_other:
                break
            _unlink(path)
            total -= size

    # Making a value once

    @contextmanager
    def making(self, name: str, key: bytes, patience: float = PATIENCE) -> Iterator[None]:
        """Keep other processes from making the same value; after `patience` seconds it isn't waited any longer. Raises `Unusable`."""
        self.prepare()
        path = self._path(name, key, _LOCK)
        fd = _lock(path, patience)
        try:
            yield
        finally:
            if fd >= 0:
                # Whoever waits has it open.
                _unlink(path)
                os.close(fd)


def _lock(path: str, patience: float) -> int:
    """Lock a file; gives its descriptor, or -1 where that can't be done: what is made twice is the same."""
    try:
        import fcntl

        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):
        return -1
    pause, waited = 0.005, 0.0
    while waited < patience:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                break
        CLOCK[2](pause)
        waited += pause
        pause = min(pause * 1.5, 0.1)
    os.close(fd)
    return -1


def _limit() -> int:
    text = plugin.fixtures_limit or os.environ.get(plugin.LIMIT_VARIABLE, "")
    return int(text) * 1_000_000 if text.isdecimal() else DEFAULT_LIMIT


def _mapped(path: str) -> tuple[memoryview, int]:
    """A file's bytes, mapped so that writes are nobody else's, and the second that it was made in; raises `Damaged` or `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise Damaged("it isn't a file that only you can write")
        made, rest = divmod(found.st_mtime_ns, 1_000_000_000)
        if found.st_size < _START or rest:
            raise Damaged("it isn't as it was made")
        if sys.version_info >= (3, 13):
            whole = mmap.mmap(fd, found.st_size, access=mmap.ACCESS_COPY, trackfd=False)
        else:
            whole = mmap.mmap(fd, found.st_size, access=mmap.ACCESS_COPY)
    finally:
        os.close(fd)
    return memoryview(whole), made


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
