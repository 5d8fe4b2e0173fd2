"""The index of snapshots, `.dx/snapshots.bin`: for each snapshot file its stat and the BLAKE3 hash of each of its snapshots.

A value whose hash is there matches, and no content is loaded. A stat that differs means that the file is read and hashed again. The
crate `dx-py-snapshot` reads and writes the same bytes; `ARCHITECTURE.md` describes them. Damage means that there is no index.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, Optional, Union

from .snapshot_text import escape, unescape

Hash = Callable[[bytes], bytes]


def _digest_of(kind: str, content: Union[str, bytes]) -> bytes:
    """The hash of a snapshot: of its kind and its content."""
    assert blake3 is not None
    raw = content if isinstance(content, bytes) else content.encode()
    return blake3(kind.encode() + b"\0" + raw)


#: What `_digest_of` is here, computed without copies where the compiled part is there.
digest_of: Callable[[str, Union[str, bytes]], bytes] = _digest_of


def _find_blake3() -> Optional[Hash]:
    global digest_of
    try:
        # An installed package of another version may lack one of them.
        from dx_py_test_runner._native import blake3 as native  # type: ignore[import-not-found,unused-ignore]
        from dx_py_test_runner._native import snapshot_digest

        digest_of = snapshot_digest
        return native  # type: ignore[no-any-return,unused-ignore]
    except ImportError:
        pass
    try:
        from blake3 import blake3  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None

    def digest(data: bytes) -> bytes:
        return blake3(data).digest()  # type: ignore[no-any-return,unused-ignore]

    return digest


#: BLAKE3 of some bytes, 32 bytes long; None where nobody has it, and contents are compared themselves.
blake3 = _find_blake3()

_MAGIC, _VERSION = b"DXSI", 1
_HEADER = struct.Struct("<4sI32sI")
_DIGEST = struct.Struct("32s")
_ROW = struct.Struct("<IQqqQqII")
#: How long after a file's change, in nanoseconds, it may be changed again within the same tick of the file system's clock.
_TICK = 20_000_000


class Hashes(NamedTuple):
    """The hashes of a file's snapshots by name, and the files beside that hold the contents of some."""

    digests: dict[str, bytes]
    files: dict[str, str]


class Stat(NamedTuple):
    """What tells that a file is the one that was hashed."""

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, path: str) -> Optional[Stat]:
        """The stat of a file now; None if it isn't there."""
        try:
            found = os.stat(path)
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class FileRow:
    """What the index knows of one file."""

    __slots__ = ("stat", "hashed_at", "_hashes", "_names", "_digests")

    def __init__(self, stat: Stat, hashed_at: int, names: bytes, digests: bytes) -> None:
        self.stat = stat
        self.hashed_at = hashed_at
        self._names = names
        self._digests = digests
        self._hashes: Optional[Hashes] = None

    @classmethod
    def new(cls, stat: Stat, hashes: Hashes) -> FileRow:
        """The row of a file that has just been hashed."""
        digests, files = hashes
        names = sorted(digests)
        lines = [f"{escape(name)}\t{files[name]}" if name in files else escape(name) for name in names]
        return cls(stat, time.time_ns(), "\n".join(lines).encode(), b"".join(map(digests.__getitem__, names)))

    def is_of(self, stat: Stat) -> bool:
        """Whether this was hashed of the file that has this stat; one that was hashed as it was written may differ."""
        return stat == self.stat and max(stat.modified, stat.changed) + _TICK <= self.hashed_at

    @property
    def hashes(self) -> Hashes:
        """The hashes."""
        if self._hashes is None:
            text = self._names.decode()
            names = text.split("\n")
            files: dict[str, str] = {}
            if "\t" in text or "\\" in text:
                for at, line in enumerate(names):
                    name, _, file = line.partition("\t")
                    names[at] = name = unescape(name)
                    if file:
                        files[name] = file
            digests = (digest for (digest,) in _DIGEST.iter_unpack(self._digests))
            self._hashes = Hashes(dict(zip(names, digests)), files)
        return self._hashes

    def packed(self, path: str) -> bytes:
        """The row's bytes."""
        key = path.encode()
        row = _ROW.pack(len(key), *self.stat, self.hashed_at, len(self._names), len(self._digests) // 32)
        return b"".join((row, key, self._names, self._digests))


def pack(rows: dict[str, FileRow], hash_: Hash) -> bytes:
    """The bytes of an index with these rows, by path."""
    body = b"".join(rows[path].packed(path) for path in sorted(rows))
    rest = struct.pack("<I", len(rows)) + body
    return _MAGIC + struct.pack("<I", _VERSION) + hash_(rest) + rest


def unpack(data: bytes, hash_: Hash) -> Optional[dict[str, FileRow]]:
    """The rows of an index by path; None if it isn't a sound one of this version."""
    if len(data) < _HEADER.size:
        return None
    magic, version, checksum, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION or hash_(data[_HEADER.size - 4 :]) != checksum:
        return None
    rows = {}
    at = _HEADER.size
    try:
        for _ in range(count):
            path_length, size, modified, changed, inode, hashed_at, names_length, hashes = _ROW.unpack_from(data, at)
            at += _ROW.size
            path = data[at : at + path_length].decode()
            at += path_length
            names = data[at : at + names_length]
            at += names_length
            digests = data[at : at + 32 * hashes]
            at += 32 * hashes
            rows[path] = FileRow(Stat(size, modified, changed, inode), hashed_at, names, digests)
    except (struct.error, UnicodeDecodeError):
        return None
    return rows if at == len(data) else None
