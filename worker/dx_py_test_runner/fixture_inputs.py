"""What a cached fixture's value was made of beyond its code: seen while it is made, and compared before it is handed out again.

In a worker of dx-py the observer that is there hears of it. Elsewhere one is put in while the value is made, and taken out again.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, Optional

from . import variables
from .fixture_store import CLOCK, digest
from .trace import EXISTENCE, FILE, LISTING, PROJECT, UNKNOWABLE, VARIABLE, Trace, _stat

_ABSENT = "absent"
#: Names that no listing counts: caches that running tests leaves behind.
_CACHES = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".dx", ".git", ".coverage")
#: How long a tick of a file system's clock is, or of the one that tells when a process started, at the most, in nanoseconds.
_TICK = 20_000_000


class Input(NamedTuple):
    """Something that was read: its kind and name as in `trace`, its digest, and for a file what tells that it is the same."""

    kind: int
    name: str
    digest: str
    stat: tuple[int, ...]

    @classmethod
    def now(cls, kind: int, name: str) -> Input:
        """It as it is now."""
        if kind == FILE:
            return cls(kind, name, *_file(name))
        if kind == EXISTENCE:
            return cls(kind, name, _existence(name), ())
        if kind == LISTING:
            return cls(kind, name, _listing(name), ())
        if kind == VARIABLE:
            value = variables.value_of(name)
            # It may be a secret.
            return cls(kind, name, _ABSENT if value is None else digest(value).hex(), ())
        return cls(kind, name, "", ())

    def holds(self) -> bool:
        """Whether it is still the same. What has no digest is."""
        if self.kind in (PROJECT, UNKNOWABLE):
            return True
        if self.kind == FILE and self.stat and self.stat == _state(self.name):
            return True
        return Input.now(self.kind, self.name).digest == self.digest

    def changed(self) -> int:
        """When it was changed last, if it is a file, in nanoseconds since 1970; 0 for all else."""
        return max(self.stat[1:3]) if self.kind == FILE and self.stat else 0

    def packed(self) -> list[Any]:
        """It as JSON."""
        return [self.kind, self.name, self.digest, list(self.stat)]

    @classmethod
    def unpacked(cls, row: Any) -> Input:
        """From JSON; raises `ValueError` or `TypeError` if it is none."""
        kind, name, text, state = row
        return cls(kind, name, text, tuple(state))


def _state(path: str) -> Optional[tuple[int, ...]]:
    """Size, the times of change of its content and of anything of it, in nanoseconds since 1970, and which file it is."""
    try:
        found = _stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _file(path: str) -> tuple[str, tuple[int, ...]]:
    """The digest of a file's content and its stat."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return _ABSENT, ()
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return "no file", ()
        state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if not found.st_size:
            return digest(b"").hex(), state
        with mmap.mmap(fd, found.st_size, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
            return digest(view).hex(), state
    finally:
        os.close(fd)


def digest_of_file(path: str) -> str:
    """The digest of a file's content."""
    return _file(path)[0]


def _existence(path: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return _ABSENT
    if stat.S_ISLNK(mode):
        try:
            target = os.readlink(path)
        except OSError:
            target = ""
        return f"link to {target}, {_kind(path)}"
    return _kind(path)


def _kind(path: str) -> str:
    try:
        mode = _stat(path).st_mode
    except OSError:
        return "nothing"
    if stat.S_ISREG(mode):
        return "program" if mode & stat.S_IXUSR else "file"
    return "folder" if stat.S_ISDIR(mode) else "something else"


def _listing(path: str) -> str:
    try:
        with os.scandir(path) as entries:
            names = [f"{each.name}{'/' if each.is_dir() else ''}" for each in entries if _counts(each.name)]
    except OSError:
        return _ABSENT
    return digest("\0".join(sorted(names)).encode("utf-8", "surrogateescape")).hex()


def _counts(name: str) -> bool:
    return name not in _CACHES and not name.startswith(".coverage.") and not name.endswith((".pyc", ".pyo"))


class Seen:
    """What the making of a value was seen to do."""

    hears_volatile = False

    def __init__(self) -> None:
        #: Files that were changed later may not be what was read.
        self.began = CLOCK[1]() - _TICK
        self._reads: dict[tuple[int, str], None] = {}
        self._written: dict[str, None] = {}

    def read(self, kind: int, name: str) -> None:
        """Hear of something that is read."""
        # What it has written itself it may read.
        if name not in self._written or kind == VARIABLE:
            self._reads.setdefault((kind, name))

    def wrote(self, path: str) -> None:
        """Hear of a path that is written, made or removed."""
        self._written.setdefault(path)

    def add(self, other: Seen) -> None:
        """Hear of all that another one has heard of."""
        self._written.update(other._written)
        for kind, name in other._reads:
            self.read(kind, name)

    def doubt(self) -> str:
        """Why a value that is made again may be another one, or why handing it out isn't all that making it does; empty if it isn't so."""
        for kind, name in self._reads:
            if kind == UNKNOWABLE:
                return f"its set-up depends on {name}"
            if kind == PROJECT:
                return "its set-up starts a process, or asks for all of the project"
        for path in self._written:
            if os.path.lexists(path):
                return f"its set-up leaves {path} behind, which restoring its value wouldn't"
        return ""

    def inputs(self, modules: Iterable[str]) -> list[Input]:
        """What was read, as it is now, and these files of modules."""
        reads = dict(self._reads)
        for path in modules:
            reads.setdefault((FILE, path))
        return [Input.now(kind, name) for kind, name in reads]


#: The values that are being made, each a part of the one before.
_making: list[Seen] = []


@contextmanager
def seeing(trace: Optional[Trace], root: str) -> Iterator[Seen]:
    """See what is read and written in the meantime; `trace` is the observer of this process, if it has one."""
    seen = Seen()
    if trace is None:
        from .observe import Watch

        watch = Watch.of_process(root)
        observer: Trace = watch.trace
        context: AbstractContextManager[None] = watch
    else:
        observer, context = trace, nullcontext()
    before, observer.witness = observer.witness, seen
    _making.append(seen)
    try:
        with context:
            yield seen
    finally:
        _making.pop()
        observer.witness = before
        if _making:
            _making[-1].add(seen)


def replay(trace: Optional[Trace], inputs: Iterable[Input], owner: str) -> None:
    """Let the test of the moment, and the module `owner` for good, depend on what a value was made of."""
    for each in inputs:
        if _making:
            _making[-1].read(each.kind, each.name)
        if trace is not None:
            trace.read_before(each.kind, each.name, [owner])


def is_installed(path: str) -> bool:
    """Whether a file belongs to an installed distribution, to the standard library, or to this package."""
    return "/site-packages/" in path or "/dist-packages/" in path or path.startswith((*_STANDARD, _OWN))


def _standard() -> tuple[str, ...]:
    import sysconfig

    paths = sysconfig.get_paths()
    return tuple({os.path.join(paths[name], "") for name in ("stdlib", "platstdlib") if paths.get(name)})


_STANDARD = _standard()
_OWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def loaded() -> dict[str, str]:
    """The files of the modules that are loaded and neither installed nor the standard library's, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        try:
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except AttributeError:
            continue
        if isinstance(file, str) and os.path.isabs(file) and not is_installed(file):
            found[name] = file
    return found


_start: list[int] = []
#: Where nobody tells when a process started. Most modules of a project are loaded after this one.
_LOADED = CLOCK[1]()


def process_start() -> int:
    """When this process started, in nanoseconds since 1970: what it has loaded can't be newer than files were then."""
    if not _start or _start[0] != os.getpid():
        _start[:] = [os.getpid(), _started()]
    return _start[1]


def _started() -> int:
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _LOADED
    # Ticks are long, and nothing of a project's is loaded so early.
    return CLOCK[1]() - int(age * 1e9) + _TICK
