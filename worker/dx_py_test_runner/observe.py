"""Puts the observer's hooks into the interpreter: the audit hook, and wrappers of what raises no audit event."""

from __future__ import annotations

import atexit
import functools
import genericpath
import os
import pathlib
import posixpath
import stat
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, Callable, Optional

from .children import SPAWN_EVENTS
from .internals import identity
from .probes import load
from .readers import forget_sources
from .trace import BEYOND_EVENTS, EXISTENCE, FILE, OWN_EVENTS, VARIABLE, Trace, path_below
from .variables import ALL, is_volatile

_getframe = sys._getframe
_is_dir, _is_link = stat.S_ISDIR, stat.S_ISLNK


def install(trace: Trace) -> None:
    """Start observing."""
    trace.is_installed = True
    forget_sources(lambda _file: True)
    _hear(trace)
    trace.heeded.update(_HANDLED)
    _wrap_stat(trace)
    # Before the look-up is: what is asked for this is nobody's affair.
    trace.ignore_changes = _watch_changes(trace)
    _wrap_environ(trace)
    _wrap_others(trace)


def see_functions(trace: Trace) -> None:
    """See which functions run as well, if this Python can tell."""
    trace.heeded.update(_OF_FUNCTIONS)
    # Modules that tests make for themselves are theirs, and may be meant to go away.
    trace.functions.start(lambda file: trace.is_of_project(file) and not trace.temporary.holds(file))


class Watch:
    """Observes now and then, in a process that isn't a worker. An audit hook stays where it is: in the meantime it heeds no event."""

    _of_process: Optional[Watch] = None

    def __init__(self, root: str) -> None:
        self.trace = Trace(os.path.join(os.path.dirname(os.path.abspath(__file__)), ""), root)
        self._depth = 0
        self._undo: list[Callable[[], None]] = []
        _hear(self.trace)

    @classmethod
    def of_process(cls, root: str) -> Watch:
        """The one of this process, whose project is at `root`."""
        if cls._of_process is None:
            cls._of_process = cls(root)
        return cls._of_process

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self.trace.enter("")
            self.trace.heeded.update(_HANDLED)
            self._undo = [_wrap_stat(self.trace), _wrap_environ(self.trace), _wrap_others(self.trace)]

    def __exit__(self, *_exception: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.trace.heeded.clear()
            for undo in self._undo:
                undo()
            # Nobody asks for what it gathered.
            self.trace.enter(None)
            self.trace.take()


#: The audit events that tell of what a test depends on.
_HANDLED = frozenset(
    {
        "open",
        "exec",
        "gc.get_objects",
        "gc.get_referrers",
        "import",
        "os.utime",
        "os.chmod",
        "os.chown",
        "os.listdir",
        "os.scandir",
        "socket.connect",
        "sqlite3.connect",
        "ctypes.dlopen",
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.rename",
        "os.link",
        "os.symlink",
    }
).union(SPAWN_EVENTS, OWN_EVENTS)


#: Those that tell which functions ran. They are frequent: pytest asks each function that it collects for its code.
_OF_FUNCTIONS = frozenset(("code.__new__", "function.__new__", "object.__getattr__")).union(BEYOND_EVENTS)


def _hear(trace: Trace) -> None:
    """Have a trace told of the audit events that it heeds."""
    audit, handled = trace.audit, trace.heeded

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in handled:
            try:
                audit(event, args)
            except Exception:  # an observer must never change what it observes
                pass

    probes = load()
    number = None if probes is None else probes.add_hook(hook)
    if probes is None or number is None:
        sys.addaudithook(hook)
        return
    handled.on_change(lambda: probes.heed(number, tuple(handled)))
    # What runs later may find less of the interpreter than a function needs.
    atexit.register(handled.clear)


def _codes(owner: Any, *names: str) -> Iterator[CodeType]:
    """The code of those functions that are there."""
    for name in names:
        code = getattr(getattr(owner, name, None), "__code__", None)
        if type(code) is CodeType:
            yield code


#: Functions that ask whether something is there, and which links lead to it; and those between them and `os`, by the identity of their code.
_OF_PLACES = frozenset(
    map(
        identity,
        (
            *_codes(genericpath, "exists", "isdir", "isfile", "islink", "lexists"),
            *_codes(posixpath, "_joinrealpath", "islink", "lexists", "realpath"),
            *_codes(pathlib.Path, "exists", "is_dir", "is_file", "is_symlink", "resolve"),
        ),
    )
)
_BETWEEN = frozenset(map(identity, _codes(pathlib.Path, "lstat", "stat")))


def _asks_for_place(path: Any, frame: FrameType) -> bool:
    """Whether code in that frame doesn't ask for what is in a file, a Python file at that: others are also read by native code, unseen, which
    is commonly preceded by asking whether they are there."""
    if not os.fsdecode(path).endswith(".py"):
        return False
    code, caller = frame.f_code, frame.f_back
    if identity(code) in _BETWEEN and caller is not None:
        code = caller.f_code
    return identity(code) in _OF_PLACES


class _Observed:
    """A function of `os` that tells the trace which path it was asked about.

    An object, since a function would become a method where a class keeps it as an attribute, as pathlib does before Python 3.11.
    """

    def __init__(self, trace: Trace, original: Any, gives_stat: bool) -> None:
        self._trace = trace
        self._original = original
        self._gives_stat = gives_stat
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = "os"
        self.__doc__ = original.__doc__

    def __call__(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # pytest doesn't show this frame when the call fails
        if type(path) is int or self._trace.busy or self._trace.is_for_pytest(_getframe(1)):
            return self._original(path, *args, **kwargs)
        try:
            result = self._original(path, *args, **kwargs)
        except OSError:
            self._note(EXISTENCE, path, kwargs)
            raise
        mode = result.st_mode if self._gives_stat else 0
        if not mode or _is_dir(mode) or _is_link(mode) or mode & 0o100:
            # Where a link leads and whether a file is a program is told by its existence.
            self._note(EXISTENCE, path, kwargs)
        if mode and not _is_dir(mode):
            self._note(FILE, path, kwargs)
        return result

    def _note(self, kind: int, path: Any, kwargs: dict[str, Any]) -> None:
        self._trace.busy = True
        try:
            folder = kwargs.get("dir_fd")
            if kind == FILE and _asks_for_place(path, _getframe(2)):
                kind = EXISTENCE
            self._trace.read(kind, path if folder is None else path_below(folder, path), 3)
        except Exception:  # an observer must never change what it observes
            pass
        finally:
            self._trace.busy = False

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        return str(self.__name__)


#: Classes of the standard library that keep functions of `os` as their own, from the time of their import on: pathlib does up to
#: Python 3.10, glob from 3.13 on. A `.pth` file may have had them imported long before.
_KEEPERS = (("pathlib", "_NormalAccessor"), ("glob", "_StringGlobber"))


def _wrap_stat(trace: Trace) -> Callable[[], None]:
    """Wrap functions of `os`; gives what puts them back."""
    keepers = [getattr(sys.modules.get(module), name, None) for module, name in _KEEPERS]
    replaced: list[tuple[Any, str, Any, Any]] = []
    for name, gives_stat in (("stat", True), ("lstat", True), ("access", False), ("readlink", False)):
        original = getattr(os, name)
        observed = _Observed(trace, original, gives_stat)
        for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if original in supported:
                supported.add(observed)
        for holder in (os, *filter(None, keepers)):
            held = vars(holder).get(name)
            is_static = type(held) is staticmethod
            if (held.__func__ if is_static else held) is original:
                place = staticmethod(observed) if is_static else observed
                replaced.append((holder, name, place, held))
                setattr(holder, name, place)

    def undo() -> None:
        for holder, name, place, held in replaced:
            if vars(holder).get(name) is place:
                setattr(holder, name, held)

    return undo


def _wrap_environ(trace: Trace) -> Callable[[], None]:
    """Wrap the look-up of variables, and what tells which there are; gives what puts it back."""
    environ: Any = type(os.environ)
    originals = {name: getattr(environ, name) for name in ("__getitem__", "__iter__", "__len__", "__repr__")}
    look_up = originals["__getitem__"]

    def __getitem__(self: Any, key: Any) -> Any:
        __tracebackhide__ = True  # pytest doesn't show this frame when there is no such variable
        try:
            name = _name(self, key)
            if (
                name is not None
                and (trace.witness is not None or not is_volatile(name))
                and not trace.is_usual(VARIABLE, name)
            ):
                trace.variable(name, _getframe(1))
        except Exception:  # an observer must never change what it observes
            pass
        return look_up(self, key)

    def of_all(original: Any) -> Callable[[Any], Any]:
        def look_at_all(self: Any) -> Any:
            __tracebackhide__ = True
            try:
                if self is os.environ or self is _bytes:
                    trace.variable(ALL, _getframe(1))
            except Exception:  # an observer must never change what it observes
                pass
            return original(self)

        look_at_all.__name__ = original.__name__
        look_at_all.__qualname__ = original.__qualname__
        return look_at_all

    wrapped: dict[str, Any] = {name: of_all(original) for name, original in originals.items()}
    wrapped["__getitem__"] = __getitem__
    return _put(wrapped, environ)


def _watch_changes(trace: Trace) -> Callable[[], None]:
    """Note which variables are changed; gives what ends that."""
    environ: Any = type(os.environ)
    originals = {name: getattr(environ, name) for name in ("__setitem__", "__delitem__")}
    look_up = environ.__getitem__

    def value_of(name: str) -> Optional[str]:
        try:
            value: str = look_up(os.environ, name)
        except (KeyError, ValueError):
            return None
        return value

    def watched(original: Any) -> Callable[..., Any]:
        def change(self: Any, key: Any, *value: Any) -> Any:
            __tracebackhide__ = True
            name = _name(self, key)
            before = None if name is None else value_of(name)
            result = original(self, key, *value)
            if name is not None and value_of(name) != before:
                trace.changed_variables.setdefault(name, before)
            return result

        change.__name__ = original.__name__
        change.__qualname__ = original.__qualname__
        return change

    return _put({name: watched(original) for name, original in originals.items()}, environ)


def _put(functions: dict[str, Any], kind: Any) -> Callable[[], None]:
    """Put functions into the place of those of a class; gives what puts these back."""
    originals = {name: getattr(kind, name) for name in functions}
    for name, function in functions.items():
        setattr(kind, name, function)

    def undo() -> None:
        for name, function in functions.items():
            if getattr(kind, name) is function:
                setattr(kind, name, originals[name])

    return undo


#: The same variables as bytes, where the system has them so.
_bytes: Any = getattr(os, "environb", None)


def _name(mapping: Any, key: Any) -> Optional[str]:
    """The variable that is looked up in one of the mappings of all variables; none in another one, or if it can't be one."""
    if mapping is os.environ and isinstance(key, str):
        return key
    if mapping is _bytes and isinstance(key, bytes):
        return os.fsdecode(key)
    return None


class _Heard:
    """A function whose calls somebody hears of, with the frame of who calls. An object, as `_Observed` is."""

    def __init__(self, original: Any, hear: Callable[..., None]) -> None:
        functools.update_wrapper(self, original)
        self._original = original
        self._hear = hear

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # pytest doesn't show this frame when the call fails
        try:
            self._hear(_getframe(1), *args, **kwargs)
        except Exception:  # an observer must never change what it observes
            pass
        return self._original(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        return str(self._original.__name__)


def _wrap_others(trace: Trace) -> Callable[[], None]:
    """Wrap what opens files by a folder that is open, what looks for modules and imports none, and how `multiprocessing` starts
    processes: no audit event tells of them. Gives what puts it back."""
    import importlib.util

    places: list[tuple[Any, str, Callable[..., None]]] = [
        (os, "open", trace.opened),
        (importlib.util, "find_spec", trace.looked_for),
    ]
    try:
        import _posixsubprocess
    except ImportError:  # of a Python that starts processes in another way
        pass
    else:
        places.append((_posixsubprocess, "fork_exec", trace.started))
    heard = []
    for module, name, hear in places:
        original = getattr(module, name)
        function = _Heard(original, hear)
        if original in os.supports_dir_fd:
            os.supports_dir_fd.add(function)
        setattr(module, name, function)
        heard.append((module, name, function, original))

    def undo() -> None:
        for module, name, function, original in heard:
            if getattr(module, name) is function:
                setattr(module, name, original)

    return undo
