"""The index of snapshots, `.dx/snapshots.bin`: for each snapshot file its stat and the BLAKE3 hash of each of its snapshots.

A value whose hash is there matches, and no content is loaded. A stat that differs means that the file is read and hashed again. The
crate `dx-py-snapshot` reads and writes the same bytes; `ARCHITECTURE.md` describes them. Damage means that there is no index.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, Optional

from .snapshot_text import escape, unescape

Hash = Callable[[bytes], bytes]


def _find_blake3() -> Optional[Hash]:
    try:
        from dx_py_test_runner._native import blake3 as native  # type: ignore[import-not-found,unused-ignore]

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
_ROW = struct.Struct("<IQqqQqII")
#: How long after a file's change, in nanoseconds, it may be changed again within the same tick of the file system's clock.
_TICK = 20_000_000


class Hashed(NamedTuple):
    """A snapshot's hash, and the file beside that holds its content, if one does."""

    digest: bytes
    file: str


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
        self._hashes: Optional[dict[str, Hashed]] = None

    @classmethod
    def new(cls, stat: Stat, hashes: dict[str, Hashed]) -> FileRow:
        """The row of a file that has just been hashed."""
        names = sorted(hashes)
        lines = [escape(name) + (f"\t{hashes[name].file}" if hashes[name].file else "") for name in names]
        return cls(stat, time.time_ns(), "\n".join(lines).encode(), b"".join(hashes[name].digest for name in names))

    def is_of(self, stat: Stat) -> bool:
        """Whether this was hashed of the file that has this stat; one that was hashed as it was written may differ."""
        return stat == self.stat and max(stat.modified, stat.changed) + _TICK <= self.hashed_at

    @property
    def hashes(self) -> dict[str, Hashed]:
        """The hashes by name."""
        if self._hashes is None:
            lines = self._names.decode().split("\n") if self._digests else []
            found = {}
            for at, line in enumerate(lines):
                name, _, file = line.partition("\t")
                found[unescape(name)] = Hashed(self._digests[at * 32 : at * 32 + 32], file)
            self._hashes = found
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
