"""Tries which of the modules that tests import can be imported ahead.

What a user names in `preload` is vouched for. What was merely seen to be imported isn't: so importing it must ask for nothing that may be
otherwise when the tests import it, and leave nothing in the process that a fork would share. Each is tried in a fork of the zygote, which
is gone afterwards; only what passes is imported in the zygote.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from types import FrameType
from typing import Any, NamedTuple, Optional

from .internals import variables_of_module
from .preload import OF_DISTRIBUTIONS, changes
from .readers import LIBRARY, is_installed
from .rewriting import Rewriting, is_rewritten
from .trace import EXISTENCE, FILE, LISTING, TEXT, VARIABLE, Trace
from .variables import ALL, SET_IN_WORKERS, is_volatile

#: How long the import of a module may take, in seconds.
_PATIENCE = 60.0
#: How long the import of a module must take for it to be worth it, in seconds.
_WORTH_IT = 0.003
#: Functions whose answers differ between processes and times, by module (or class) and name.
_VARYING = {
    "posix": ("getpid", "getppid", "urandom", "getrandom", "isatty", "get_terminal_size", "times"),
    "time": (
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "process_time_ns",
        "localtime",
        "gmtime",
        "ctime",
    ),
    "datetime": ("now", "utcnow", "today"),
    "date": ("today",),
    # A generator that is made, or begins anew, other than by `random`'s own class.
    "Random": ("seed",),
    "TextIOWrapper": ("isatty",),
    "BufferedWriter": ("isatty",),
    "FileIO": ("isatty",),
}


#: The generator of the functions of `random`.
_shared = getattr(random, "_inst", None)

#: Where distributions are looked for.
_METADATA = os.path.join(LIBRARY, "importlib", "metadata")
#: How far above who reads a file the module is that wants it, at most.
_NEAR = 12


class Known(NamedTuple):
    """What was seen where tests were collected."""

    #: The packages that may be imported.
    packages: frozenset[str]
    #: The modules in which pytest rewrites assertions.
    rewritten: frozenset[str]
    #: The variables that something changes.
    changed: frozenset[str]
    #: Whether some stay changed.
    stay_changed: bool
    #: Whether distributions are searched for where they are here.
    finds_distributions: bool


class Reading:
    """Hears what is read while modules are imported."""

    hears_volatile = True

    def __init__(self, trace: Trace, known: Known) -> None:
        self._trace, self._known = trace, known
        self._inside = os.path.join(trace.root, "")
        #: The files and folders that were looked at.
        self.paths: set[str] = set()
        #: The variables that were asked for.
        self.variables: set[str] = set()
        #: Why that can't be done ahead, or nothing.
        self.objection = ""

    def __enter__(self) -> Reading:
        self._trace.witness = self
        return self

    def __exit__(self, *_exception: object) -> None:
        self._trace.witness = None

    def read(self, kind: int, name: str) -> None:
        """Hear of something that is read."""
        if kind == VARIABLE:
            if name in ("", ALL):
                self._object("asks for all variables")
            elif name in self._known.changed or is_volatile(name) or name.startswith(SET_IN_WORKERS):
                self._object(f"asks for the variable {name}")
            else:
                self.variables.add(name)
        elif kind not in (FILE, EXISTENCE, LISTING, TEXT):
            self._object("starts a process or connects to another machine")
        elif self._known.finds_distributions and _is_searched(name) and _looks_for_distributions():
            pass  # Which there are in folders that are searched is compared in any case.
        elif _tells_of_distribution(name) and _looks_for_distributions():
            self.paths.add(name)
        elif self._trace.temporary.holds(name) or name.startswith(self._inside) and not is_installed(name):
            self._object(f"looks at {name}")
        else:
            self.paths.add(name)

    def wrote(self, path: str) -> None:
        """Hear of a path that is written, made or removed."""
        if not path.endswith((".pyc", "/__pycache__")):
            self._object(f"writes {path}")

    def _object(self, why: str) -> None:
        self.objection = self.objection or why


class Generators:
    """Hears of generators of random numbers that begin by chance while modules are imported: a fork can let them begin anew, if nobody has
    asked them for a number before."""

    def __init__(self) -> None:
        self.begun: list[random.Random] = []

    def called(self, frame: FrameType, event: str, function: Any) -> None:
        """Hear, as a profiler, of calls."""
        owner = getattr(function, "__self__", None) if event == "c_call" else None
        if isinstance(owner, random.Random):
            self.objection(frame, function, owner)

    def objection(self, frame: FrameType, function: Any, generator: random.Random) -> str:
        """What a generator is asked for that isn't the same each time, or nothing."""
        name = f"Random.{function.__name__}"
        if any(generator is one for one in self.begun):
            return name
        if function.__name__ != "seed":
            return ""
        if generator is _shared or frame.f_code is not random.Random.seed.__code__:
            return name
        if frame.f_locals.get("a") is None:
            self.begun.append(generator)
        return ""


class Trial:
    """Imports those modules for which that is the same as later, one after another, as it becomes known of each.

    `known` is what was seen where the tests were collected.
    """

    def __init__(self, trace: Trace, known: Known) -> None:
        self._trace, self._known = trace, known
        self._rewriting = Rewriting()
        self._waiting: list[str] = []
        self._pid = self._end = 0
        self._heard = b""
        self._until, self._has_refused = 0.0, False
        #: How many modules each import brought.
        self.loaded: dict[str, int] = {}
        #: Why which modules were left out.
        self.refused: dict[str, str] = {}
        #: The paths that were looked at meanwhile.
        self.paths: set[str] = set()
        #: The variables that were asked for.
        self.variables: set[str] = set()
        #: Whether some of what was imported isn't Python code.
        self.is_native = False
        #: What forks have to let begin anew.
        self.generators: list[random.Random] = []

    def start(self, names: Iterable[str]) -> bool:
        """Begin to try modules; gives whether there are any. What comes of it is to be heard from `fileno` on."""
        self._waiting += names
        return self._fork()

    def fileno(self) -> int:
        """The number of the stream that is readable when there is something to hear."""
        return self._end

    def _fork(self) -> bool:
        """Try what is left in another fork, if anything is."""
        if not self._waiting:
            return False
        self._end, said = os.pipe()
        self._heard, self._has_refused = b"", False
        self._until = time.monotonic() + _PATIENCE
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self._try(said)
            finally:
                os._exit(0)
        os.close(said)
        return True

    def _try(self, said: int) -> None:
        """In the fork: try modules one after another, up to the first that is refused. Tells for each why, and whether it takes time."""
        with self._rewriting:
            for name in self._waiting:
                why, duration, begins = self._objection(name)
                os.write(said, json.dumps((name, why, duration >= _WORTH_IT, begins)).encode() + b"\n")
                if why:
                    break

    def hear(self) -> bool:
        """Take in what the fork has told, and import what passes; gives whether it goes on, with another `fileno` perhaps."""
        some = os.read(self._end, 1 << 16)
        lines = (self._heard + some).split(b"\n")
        self._heard = lines.pop()
        for name, why, is_worth_it, begins in map(json.loads, lines):
            self._waiting.remove(name)
            if why:
                self.refused[name] = why
            elif is_worth_it:
                self._import(name, begins)
            self._until, self._has_refused = time.monotonic() + _PATIENCE, bool(why)
        if some:
            return True
        os.close(self._end)
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # whoever waits for all forks was faster
        if self._waiting and not self._has_refused:
            self.refused[self._waiting.pop(0)] = "ends the interpreter, or takes too long"
        return self._fork()

    def hurry(self) -> None:
        """End the fork if it takes too long."""
        if time.monotonic() > self._until:
            self.give_up()

    def give_up(self) -> None:
        """End the fork."""
        try:
            os.kill(self._pid, signal.SIGKILL)
        except OSError:
            pass  # it has ended

    def close(self) -> None:
        """Hear no more of it: in a fork, or since what comes of it is of no use."""
        os.close(self._end)

    def _import(self, name: str, begins: bool) -> None:
        before, generators = set(sys.modules), Generators()
        with self._rewriting, Reading(self._trace, self._known) as reading:
            sys.setprofile(generators.called if begins else None)
            try:
                importlib.import_module(name)
            finally:
                sys.setprofile(None)
        self.generators += generators.begun
        self.paths |= reading.paths
        self.variables |= reading.variables
        new = sys.modules.keys() - before
        self.loaded[name] = len(new)
        self.is_native |= any(is_native(sys.modules[name]) for name in new)

    def _objection(self, name: str) -> tuple[str, float, bool]:
        """Import a module: why that can't be done ahead, or nothing, how many seconds it took, and whether generators of random numbers
        begin there."""
        before, streams = set(sys.modules), _holders()
        asked: list[str] = []
        generators = Generators()

        def watch(frame: FrameType, event: str, function: Any) -> None:
            # pytest's own rewriting isn't the module's affair.
            if event == "c_call" and not self._trace.is_internal(frame.f_code.co_filename):
                owner = getattr(function, "__self__", None)
                if isinstance(owner, random.Random):
                    objection = generators.objection(frame, function, owner)
                    asked.extend([objection] if objection else [])
                    return
                kind = getattr(owner, "__name__", type(owner).__name__)
                home = str(getattr(function, "__module__", None) or kind)
                if function.__name__ in _VARYING.get(home, ()):
                    asked.append(f"{home}.{function.__name__}")

        began = time.perf_counter()
        with Reading(self._trace, self._known) as reading:
            sys.setprofile(watch)
            try:
                why = changes(name, is_vouched_for=False)
            finally:
                sys.setprofile(None)
        duration = time.perf_counter() - began
        why = why or reading.objection or self._strange(sys.modules.keys() - before)
        if asked and not why:
            why = f"calls {asked[0]}"
        if not why and _holders() > streams:
            why = "keeps a standard stream"
        return why, duration, bool(generators.begun)

    def _strange(self, names: set[str]) -> str:
        """What would be otherwise about modules that were imported, or nothing."""
        for name in sorted(names):
            module = sys.modules[name]
            if not is_installed(getattr(module, "__file__", None)):
                continue
            if self._known.stay_changed and is_native(module):
                return f"brings {name}, which isn't Python code and may ask for variables that the tests change"
            if name.partition(".")[0] not in self._known.packages:
                return f"imports {name}, which the tests do not"
            if is_rewritten(module) != (name in self._known.rewritten):
                return f"imports {name}, whose assertions pytest treats in another way"
        return ""


def is_native(module: Any) -> bool:
    """Whether a module is one of those that aren't Python code, and is installed."""
    file = variables_of_module(module).get("__file__")
    return isinstance(file, str) and file.endswith(tuple(EXTENSION_SUFFIXES)) and is_installed(file)


def _is_searched(folder: str) -> bool:
    """Whether modules and distributions are looked for in a folder."""
    return any(os.path.abspath(each) == folder for each in sys.path)


def _tells_of_distribution(path: str) -> bool:
    return any(part.lower().endswith(OF_DISTRIBUTIONS) for part in path.split(os.sep))


def _looks_for_distributions() -> bool:
    """Whether what is read now is read since somebody asks which distributions there are."""
    frame: Optional[FrameType] = sys._getframe(2)
    for _ in range(_NEAR):
        if frame is None:
            break
        if frame.f_code.co_filename.startswith(_METADATA):
            return True
        frame = frame.f_back
    return False


def _holders() -> int:
    """How many objects hold the standard streams or the command line."""
    return len(gc.get_referrers(sys.stdin, sys.stdout, sys.stderr, sys.argv))
