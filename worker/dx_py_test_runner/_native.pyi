"""The compiled part: what `queries` and `wire` stand on."""

import os
from typing import Optional, Union, final

# In a stub it is there for every Python, whether or not the package is installed.
from typing_extensions import Buffer

__all__ = ["RingWriter", "__version__", "blake3", "discover", "outcomes", "runs", "snapshot_digest"]

__version__: str

_Mark = tuple[str, list[str], list[tuple[str, str]]]
_Found = tuple[str, str, int, Optional[str], str, list[_Mark], bool]
_Run = tuple[str, int, Optional[float], Optional[int], int, int, str]
_Outcome = tuple[str, str, int, str, float, str]
_Path = Union[str, os.PathLike[str]]

def blake3(data: Buffer, /) -> bytes:
    """The BLAKE3 digest of bytes, 32 bytes long."""

def snapshot_digest(kind: str, content: Union[str, bytes], /) -> bytes: ...
def discover(folder: _Path, paths: list[_Path]) -> tuple[list[_Found], list[tuple[str, str]]]: ...
def runs(folder: _Path, limit: int) -> list[_Run]: ...
def outcomes(folder: _Path, wanted: str, limit: int) -> list[_Outcome]: ...

@final
class RingWriter:
    """Writes reports into a ring."""

    def __new__(cls, fd: int, /) -> RingWriter: ...
    def queue(self, kind: int, payload: bytes, sequence: int, duration_ns: int = 0, status: int = 0) -> bool: ...
    def frame(self, kind: int, payload: bytes, sequence: int, duration_ns: int = 0, status: int = 0) -> bytes: ...
    def sent(self, size: int, /) -> None: ...
