"""What a worker spares itself at its start and its end: work of pytest's and Python's whose result nobody looks at, and which took longer
than the tests where few are run."""

from __future__ import annotations

import fcntl
import gc
import operator
import os
import stat
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Any, NoReturn, Optional

from .internals import takes, variables_of_module

#: Variables for what runs when a process ends, in C: sanitizers and profilers, and libraries that are loaded before all others.
_AT_THE_END_IN_C = ("LD_PRELOAD", "DYLD_INSERT", "ASAN_", "LSAN_", "MSAN_", "TSAN_", "UBSAN_", "GCOV_", "LLVM_PROFILE_")

#: Where plugins of pytest's own are, and the worker's.
_OWN_PLUGINS = ("_pytest.", "dx_py_test_runner.")

#: After how many more objects than are gone garbage is collected while tests are.
_SELDOM = 200_000

#: The streams that a worker speaks through, and those that it was started with.
own_streams: set[int] = set()
#: Interpreters with another collector have none.
_freeze_objects: Callable[[], None] = getattr(gc, "freeze", lambda: None)
_unfreeze_objects: Callable[[], None] = getattr(gc, "unfreeze", lambda: None)
#: Gives the objects of this process that aren't frozen, so that nobody takes it for a question of a test's.
all_objects: Callable[[], list[Any]] = gc.get_objects
#: The files among frozen objects that may have kept what was written to them.
_frozen_files: list[Any] = []
#: The streams that were open for writing when objects were frozen first.
_first_streams: set[int] = set()
#: Whether a zygote has frozen its objects, before it forked this process.
_is_frozen = False
#: pytest's plugin that captures what tests print.
_capture: Any = None


def freeze(is_zygote: bool = False) -> None:
    """Spare collections what lives as long as the process: pytest ends with several, which looked through all that was imported by now
    took half of the CPU time of a run of one test; and those of a fork would touch, and so copy, every page. `trace` takes it back when
    a test asks which objects there are."""
    global _is_frozen
    if is_zygote or not _is_frozen:
        if is_zygote:
            gc.collect()
        _first_streams.update(written_streams() or ())
        _freeze_objects()
        _is_frozen = is_zygote


def collect_seldom() -> Callable[[], None]:
    """Let garbage be collected seldom from now on; gives what ends that. While modules are imported and tests are collected nearly all
    objects stay, and Python looks at each several times, which takes a twentieth of the CPU time."""
    before = gc.get_threshold()
    meanwhile = (_SELDOM, *before[1:])
    if not 0 < before[0] < _SELDOM:
        return lambda: None
    gc.set_threshold(*meanwhile)

    def end() -> None:
        # What the project has set is its own affair.
        if gc.get_threshold() == meanwhile:
            gc.set_threshold(*before)
            if gc.isenabled() and gc.get_count()[0] > before[0]:
                gc.collect(0)  # as would be done by itself, but in a test

    return end


def collect_once_is_enough() -> None:
    """Let pytest's last collections end with the first that finds nothing: before its version 9 there are ten, each of which looks at
    every object that the tests have left. On a suite of 1,000 tests of a web framework they took a tenth of the run. What the first has
    looked at isn't looked at again."""
    try:
        from _pytest import unraisableexception as unraisable
    except ImportError:
        return
    if not hasattr(unraisable, "gc_collect_harder"):
        return

    def collect(iterations: int) -> None:
        for _ in range(iterations):
            found = gc.collect()
            if _streams_of_others():
                _frozen_files.extend(_written_files(all_objects()))
            _freeze_objects()
            if not found:
                break

    unraisable.gc_collect_harder = collect


def leave_cache_to_orchestrator() -> None:
    """Write nothing to pytest's cache, as xdist's workers don't, also in the only worker: the orchestrator does it, who knows what became
    of each test at last. The names of all tests, which pytest reads and writes in each run, are read only where `--nf` asks for them."""
    try:
        from _pytest.cacheprovider import LFPlugin, NFPlugin

        initialise = NFPlugin.__init__
        for plugin in (LFPlugin, NFPlugin):
            del plugin.pytest_sessionfinish
    except (ImportError, AttributeError):  # other internals: what is written twice is the same
        return

    def without_names(self: Any, config: Any) -> None:
        if config.option.newfirst:
            initialise(self, config)
        else:
            self.config, self.active, self.cached_nodeids = config, False, set()

    NFPlugin.__init__ = without_names  # type: ignore[method-assign]


def keep_parser() -> None:
    """Let pytest parse with the parser of the arguments that it has, unless options came: before its version 9 it makes another one each
    time, four while it starts."""
    from _pytest.config import argparsing

    original = getattr(argparsing.Parser, "_getparser", None)
    if not takes(original, "self"):
        return
    kept: list[Any] = []

    def _getparser(self: Any) -> Any:
        parts = [self, self.extra_info, self.prog]
        for group in (*self._groups, self._anonymous):
            parts += group, group.description, group.name
            for option in group.options:
                parts += option, *option.names()
                for attribute in option.attrs().items():
                    parts += attribute
        if not kept or len(parts) != len(kept[0]) or not all(map(operator.is_, parts, kept[0])):
            kept[:] = parts, original(self)  # type: ignore[misc]
        return kept[1]

    argparsing.Parser._getparser = _getparser  # type: ignore[attr-defined]


def pass_over_pytests_plugins() -> None:
    """Don't look for fixtures in those plugins of pytest's own, and of the worker's, that hold none, nor at what isn't one in the modules
    that do: pytest looks at each name in each of them when a session starts."""
    from _pytest import fixtures

    manager = fixtures.FixtureManager
    definition = getattr(fixtures, "FixtureFunctionDefinition", None)
    registered = getattr(manager, "pytest_plugin_registered", None)
    if definition is None or not takes(registered, "self", "plugin", "plugin_name"):
        return

    def pytest_plugin_registered(self: Any, plugin: Any, plugin_name: str) -> None:
        kind = type(plugin)
        name = plugin.__name__ if kind is ModuleType else kind.__module__
        if name.startswith(_OWN_PLUGINS):
            holders = (plugin,) if kind is ModuleType else (*kind.__mro__, plugin)
            names = {
                name
                for holder in holders
                for name, value in getattr(holder, "__dict__", {}).items()
                if type(value) is definition
            }
            if not names:
                return
            if kind is ModuleType:
                fixtures.dir = lambda _plugin: sorted(names)  # type: ignore[attr-defined]
                try:
                    registered(self, plugin, plugin_name)  # type: ignore[misc]
                finally:
                    del fixtures.dir  # type: ignore[attr-defined]
                return
        registered(self, plugin, plugin_name)  # type: ignore[misc]

    manager.pytest_plugin_registered = pytest_plugin_registered  # type: ignore[method-assign]


def leave(status: int) -> NoReturn:
    """End the process as `sys.exit` does, but don't take the interpreter apart object by object: the orchestrator waits for the end, and
    after large suites that took longer than a tenth of the run.

    Threads are waited for, and what was registered to run at exit runs, in Python and, as profilers and sanitizers want it, in C. What was
    written to files that are still open goes to them, as if they had been closed one by one. Finalizers of objects that are left over
    don't run, which Python doesn't promise either.
    """
    try:
        import atexit
        import threading

        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        _flush()
        if not _may_run_code_of_others():
            _hang_up()
            os._exit(status)
        import ctypes

        leave_process = ctypes.PyDLL(None).exit
    except BaseException:  # an interpreter that is built in another way
        sys.exit(status)
    leave_process(status)
    raise SystemExit(status)


def _hang_up() -> None:
    """Let the orchestrator know that nothing is left to do but to give memory back, for which it needn't wait."""
    for number in own_streams:
        try:
            os.close(number)
        except OSError:  # a test has closed it
            pass


def _flush() -> None:
    files: list[Any] = [sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, *_frozen_files]
    streams = _streams_of_others()
    if streams is None or streams & _first_streams:
        _unfreeze_objects()
    if streams is None or streams:
        files += _written_files(all_objects())
    for file in files:
        try:
            file.flush()
        except (AttributeError, OSError, ValueError):  # none, closed, detached, or nobody reads
            pass


def _streams_of_others() -> Optional[set[int]]:
    """What this process has opened for writing; None if that isn't known. If there is nothing, no file has kept what was written to it: to
    look for some among all objects takes longer than many a run."""
    streams = written_streams()
    return None if streams is None else streams - own_streams - _streams_of_capture()


def note_capture(config: Any) -> None:
    """Learn of what captures output. It keeps the streams that were there before open, which no file object of Python's writes to."""
    global _capture
    _capture = config.pluginmanager.getplugin("capturemanager")


def _streams_of_capture() -> set[int]:
    capturing = getattr(_capture, "_global_capturing", None)
    return {getattr(getattr(capturing, name, None), "targetfd_save", -1) for name in ("out", "err")}


def note_streams() -> None:
    """Note which streams were handed down to this process: it opens none itself that its children would have."""
    own_streams.update(number for number in written_streams() or () if os.get_inheritable(number))


def written_streams() -> Optional[set[int]]:
    """What is open for writing, the standard streams apart; None if this system doesn't tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = [int(name) for name in os.listdir(folder)]
        except (OSError, ValueError):
            continue
        return {number for number in numbers if number > 2 and _is_open_for_writing(number)}
    return None


def _is_open_for_writing(number: int) -> bool:
    try:
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return False
        status = os.fstat(number)
        # A file that has no name any more nobody will read, such as the memory that processes share.
        is_gone = stat.S_ISREG(status.st_mode) and not status.st_nlink
        return not is_gone and status.st_rdev != os.stat(os.devnull).st_rdev
    except OSError:  # what the folder was listed by
        return False


def _written_files(objects: list[Any]) -> list[Any]:
    """The files among these objects that may have kept what was written to them. Text goes to its buffer first."""
    import io

    kinds = {id(kind): kind for kind in map(type, objects)}.values()
    found: list[Any] = []
    for wanted in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
        some = {id(kind) for kind in kinds if issubclass(kind, wanted)}
        found += [one for one in objects if id(type(one)) in some]
    return found


def _may_run_code_of_others() -> bool:
    """Whether something else than Python's own modules, and the worker's compiled part, may have registered what runs when the process ends, in
    C."""
    if "_ctypes" in sys.modules or any(name.startswith(_AT_THE_END_IN_C) for name in os.environ):
        return True
    own = {path for path in sys.path if os.path.basename(path) == "lib-dynload"}
    own.add(os.path.dirname(__file__))
    ending = tuple(EXTENSION_SUFFIXES)
    for module in list(sys.modules.values()):
        file = variables_of_module(module).get("__file__")
        if isinstance(file, str) and file.endswith(ending) and os.path.dirname(file) not in own:
            return True
    return False
