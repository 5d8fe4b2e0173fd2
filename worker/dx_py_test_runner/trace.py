"""Observes what the tests of this process depend on: imports, files, folders, paths probed, variables, child processes.

A PEP 578 audit hook sees opened files, listed folders, started processes, connections, and first imports. `stat` and its kin and
`os.environ` raise no audit event, so they are wrapped. An import that `sys.modules` answers raises no event either, and is a
dependency all the same; `__import__` is not wrapped for it, since a wrapper's frame shows in tracebacks, and code looks at those.
Instead the code of each module, which the `exec` event hands over, tells which names it may import.

What is read belongs to the test (or the collected file) of the moment and, for good, to each module of the user's whose code was
on the stack: what a module read once may be kept by it in a cache, and a later test that reaches the module depends on it too.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import resolve_name, source_from_cache
from opcode import opmap
from stat import S_ISDIR
from types import CodeType, FrameType
from typing import Any, Optional, Protocol

from . import variables
from .children import SPAWN_EVENTS, Needs, needs_of_child
from .internals import variables_of_module
from .readers import SKIP, USER, Readers, forget_sources, is_for_traceback, is_linecache, is_subprocess
from .temporary import Read, Temporary, is_naming
from .usual import Usual

FILE, EXISTENCE, LISTING, VARIABLE, PROJECT, UNKNOWABLE, TEXT = range(7)

_getframe = sys._getframe
_fspath = os.fspath
_getcwd = os.getcwd
_stat = os.stat
_readlink = os.readlink
_STDLIB_NAMES = frozenset(getattr(sys, "stdlib_module_names", ()))

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# With one of these nothing is read that was there before.
_ONLY_WRITE_FLAGS = os.O_WRONLY | os.O_TRUNC | os.O_EXCL

#: Where runs of tests keep what they know of earlier runs. No outcome is meant to depend on it.
OWN_RECORDS = ("/.hypothesis", "/.dx/", "/.pytest_cache/")

#: Events by which the parts of this package that tests may call say what they look at, and what a test then depends on.
OWN_EVENTS = {
    "dx_py_test_runner.reads_project": (PROJECT, ""),
    "dx_py_test_runner.reads_records": (UNKNOWABLE, "the records of earlier runs"),
}

#: Events by which something begins that outlives whoever begins it, beside child processes.
BEYOND_EVENTS = frozenset(("_thread.start_new_thread", "_thread.start_joinable_thread", "socket.bind"))

#: The instruction that imports a module, and functions that import what a string says.
_IMPORT = opmap["IMPORT_NAME"]
_IMPORTERS = frozenset(("__import__", "import_module"))

#: How many paths are kept as text. Those in the temporary folder are others in each test.
_MOST_TEXTS = 4000

#: How often garbage is collected at once: finalizers may make more of it, and tuples in tuples are let go of one after the other.
_COLLECTIONS = 4

#: The owner of what every test of the process reads.
_EVERYBODY = "m:"


class Witness(Protocol):
    """Hears of what is read and written for a while."""

    #: Whether it is told also of variables that no outcome is meant to depend on.
    hears_volatile: bool

    def read(self, kind: int, name: str) -> None:
        """Hear of something that is read."""

    def wrote(self, path: str) -> None:
        """Hear of a path that is written, made or removed."""


class Heeded(set[str]):
    """The audit events that somebody is told of, and who has to know if they become others."""

    _tell: Optional[Callable[[], None]] = None

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call that now, and whenever they are others."""
        self._tell = tell
        tell()

    def update(self, *events: Iterable[str]) -> None:
        """Heed these as well."""
        super().update(*events)
        if self._tell is not None:
            self._tell()

    def clear(self) -> None:
        """Heed none."""
        super().clear()
        if self._tell is not None:
            self._tell()


class Trace:
    """The observations of one worker process, gathered until `take` hands out what is new."""

    def __init__(self, own_dir: str, root: str) -> None:
        #: Where the project is.
        self.root = root
        self.context: Optional[str] = None
        #: The audit events that it is told of.
        self.heeded = Heeded()
        self.listings: set[str] = set()
        self.collecting = False
        #: Told, while a value that is to be cached is made, of all that is read and written.
        self.witness: Optional[Witness] = None
        #: The variables that were changed since the process began, with their values before, and what ends that they are noted.
        self.changed_variables: dict[str, Optional[str]] = {}
        self.ignore_changes: Callable[[], None] = lambda: None
        #: Called when the body of a module that is neither Python's nor pytest's is about to run.
        self.before_body: Callable[[], None] = lambda: None
        #: Those that modules had asked for which were imported ahead.
        self.asked_ahead: frozenset[str] = frozenset()
        #: Whether some of these aren't Python code, and may have asked for any unseen.
        self.is_native_ahead = False
        self._modules: list[tuple[str, str]] = []
        self._imports: list[tuple[str, str]] = []
        self._reads: list[tuple[str, int, str]] = []
        self._written: list[str] = []
        #: Modules, by name and file, and who imports whom, that were told.
        self.known_modules: set[tuple[str, str]] = set()
        self.known_imports: set[tuple[str, str]] = set()
        self._names: dict[str, set[str]] = {}
        # The files whose code was handed over since it was last told who imports whom.
        self._scanned: set[str] = set()
        # By a name that code may import: the modules that it can stand for, each with the package that it is then sought in.
        self._meanings: dict[str, list[tuple[str, str]]] = {}
        self._packages: dict[str, str] = {}
        self._attempts: list[tuple[str, str]] = []
        self._settled: set[str] = set()
        self._unsettled = False
        self._touched: list[str] = []
        # What `linecache` has read since the context began.
        self._cached_sources: set[str] = set()
        self._known_reads: set[tuple[str, int, str]] = set()
        self._writers: dict[str, Optional[str]] = {}
        # Who wrote last what lies in the temporary folder, and in its folders, which end with a slash.
        self._givers: dict[str, Optional[str]] = {}
        #: Whether what is written is every test's.
        self.is_sharing = False
        #: The paths of the files of tests, by their node IDs.
        self.files: dict[str, str] = {}
        self.busy = False
        #: Whether what is read is what is about to be imported.
        self._is_importing = False
        #: Whether it hears of anything yet.
        self.is_installed = False
        self.temporary = Temporary(root)
        #: What is every test's, since many read it.
        self.usual = Usual(root, (VARIABLE,), (EXISTENCE, FILE))
        self._readers = readers = Readers(own_dir)
        self._own_dir = own_dir
        self._kinds = readers.kinds
        self.functions = readers.functions
        self.is_of_project = readers.is_of_project
        self.is_internal = readers.is_internal
        #: The owners of what is read by the code on the stack.
        self.owners = readers.owners
        self.is_for_pytest = readers.is_for_pytest
        # By absolute paths, as they were given, what `_path` makes of them.
        self._texts: dict[str, str] = {}
        # What was recorded since the context began: code asks for the same variable again and again.
        self._recorded: set[tuple[object, ...]] = set()

    # Contexts

    def unheard(self, call: Callable[[], Any]) -> Any:
        """What `call` gives, of which nobody is told."""
        events = set(self.heeded)
        self.heeded.clear()
        try:
            return call()
        finally:
            self.heeded.update(events)

    def enter(self, context: Optional[str]) -> Optional[str]:
        """Make `context` (`t:` and a test ID, or `f:` and a file's node ID) the owner of what is read; gives the one before."""
        before, self.context = self.context, context
        self._recorded.clear()
        if self._cached_sources:
            # Who asks for them next has them read again, and is seen to.
            forget_sources(self._cached_sources.__contains__)
            self._cached_sources.clear()
        if self.functions.is_traced:
            # What runs while a file is collected is every test's.
            self.functions.enter(self._test())
        return before

    def _test(self) -> Optional[str]:
        """The test of the moment, if there is one."""
        context = self.context
        return context[2:] if context is not None and context.startswith("t:") else None

    # Recording

    def record(self, kind: int, key: str, owners: list[str]) -> None:
        """Note that the current context and the modules `owners` depend on something."""
        if self.witness is not None:
            self.witness.read(kind, key)
        recorded = (kind, key, self._is_importing, *owners)
        if recorded not in self._recorded:
            self._recorded.add(recorded)
            self._record(self.context, kind, key, owners)
            if self.usual.becomes_one(self.context, kind, key):
                self._add(_EVERYBODY, kind, key)

    def variable(self, name: str, frame: Optional[FrameType]) -> None:
        """Note that code in that frame asks for a variable, or for all."""
        owners = self.owners(frame)
        # Nobody else is told of these.
        if self.witness is not None and variables.is_volatile(name):
            if owners and self.witness.hears_volatile:
                self.witness.read(VARIABLE, name)
            return
        # Who looks at all of them is given each.
        is_told = (VARIABLE, variables.ALL, self._is_importing, *owners) in self._recorded
        if owners and (not is_told or self.witness is not None):
            self.record(VARIABLE, name, owners)

    def is_misled(self) -> str:
        """A variable that was changed after a module had asked for it, or may have, which was imported ahead; or nothing."""
        names = self.changed_variables.keys() & self.asked_ahead
        if self.is_native_ahead:
            names |= set(self.staying_changes())
        return min(names, default="")

    def staying_changes(self) -> Iterator[str]:
        """The variables that are changed now, but for those that each worker gets."""
        for name, before in self.changed_variables.items():
            is_of_worker = variables.is_volatile(name) or name.startswith(variables.SET_IN_WORKERS)
            if not is_of_worker and variables.value_of(name) != (None if before is None else os.fsencode(before)):
                yield name

    def doubt_everything(self, why: str) -> None:
        """Let every test of this process depend on something that can't be compared."""
        self._add(_EVERYBODY, UNKNOWABLE, why)

    def end(self, why: str) -> None:
        """Observe nothing from here on. All that runs then depends on something that can't be compared."""
        self.heeded.clear()
        self.busy = True
        self.doubt_everything(why)

    def is_usual(self, kind: int, key: object) -> bool:
        """Whether every test is said to read that, so that nobody need be asked who does."""
        return type(key) is str and (kind, key) in self.usual and self.witness is None

    def _record(self, context: Optional[str], kind: int, key: str, owners: Iterable[str]) -> None:
        if context is not None:
            self._add(context, kind, key)
        for owner in owners:
            self._add("m:" + owner, kind, key)
        if kind == FILE and key.endswith(".py") and not self._is_importing:
            self._record(context, TEXT, key, owners)

    def _add(self, owner: str, kind: int, key: str) -> None:
        entry = (owner, kind, key)
        if entry not in self._known_reads:
            self._known_reads.add(entry)
            self._reads.append(entry)

    def _path(self, path: Any) -> Optional[str]:
        """`path` as absolute text, or None if it names nothing that a test can depend on."""
        known = self._texts.get(path) if type(path) is str else None
        if known is not None:
            return known
        try:
            given = text = os.fsdecode(_fspath(path))
        except (TypeError, ValueError):
            return None
        if not text or "\0" in text:
            return None
        if not text.startswith("/"):
            try:
                text = os.path.join(_getcwd(), text)
            except OSError:
                return None
        text = os.path.normpath(text)
        if text.startswith(("/dev/", "/proc/", "/sys/")) or any(name in text for name in OWN_RECORDS):
            return None
        # The names in the temporary folder itself change with every process of the machine.
        if self.temporary.is_it(text):
            return None
        if given.startswith("/"):
            if len(self._texts) == _MOST_TEXTS:
                self._texts.clear()
            self._texts[given] = text
        return text

    def read(self, kind: int, path: Any, depth: int) -> None:
        """Note that the code `depth` frames up read `path`."""
        if not self.is_usual(kind, path):
            self._read_in(_getframe(depth), kind, path)

    def _read_in(self, frame: FrameType, kind: int, path: Any) -> None:
        owners = self.owners(frame)
        if not owners:
            return
        if is_for_traceback(frame):
            owners = []
        text = self._path(path)
        if text is None:
            return
        if text.endswith(".pyc"):
            try:
                text = source_from_cache(text)
            except ValueError:
                return
        if self.temporary.holds(text):
            text = self.temporary.follow(text)
        if self.witness is not None:
            # Before it is asked who has written it: what a test wrote may be read by the making of a value.
            self.witness.read(kind, text)
        if self.temporary.holds(text):
            self._may_be_given(kind, text, owners)
            if text not in self._writers and not (kind == EXISTENCE and is_naming(frame)):
                self.temporary.keep(Read(self.context, kind, text), owners)
            return
        if self._writers.get(text, self) == self.context:
            return
        self.record(kind, text, owners)

    def _may_be_given(self, kind: int, text: str, owners: list[str]) -> None:
        """Note whether a test reads there what another one wrote, for whatever reason that did: a change of anything may bear on it. And
        if it reads what importing its file made, each test of that file may come to write there."""
        test = self._test()
        if test is None:
            return
        giver = self._givers.get(text + "/" if kind == LISTING else text)
        if giver is not None and giver != self.context:
            self.record(PROJECT, "", owners)
            # So the two run together.
            self._record(giver, PROJECT, "", ())
        if self.temporary.was_made_at_import(text):
            path = self.files.get(test.partition("::")[0])
            self._record(self.context, PROJECT if path is None else FILE, path or "", ())

    def read_before(self, kind: int, key: str, owners: list[str]) -> None:
        """Note that what the current context and the modules `owners` are given was made of something that was read at another time."""
        if kind in (FILE, EXISTENCE, LISTING):
            if self.temporary.holds(key):
                if key not in self._writers:
                    self.temporary.keep(Read(self.context, kind, key), owners)
                return
            if self._writers.get(key, self) == self.context:
                return
        self._record(self.context, kind, key, owners)

    def read_for(self, path: str, frame: FrameType) -> None:
        """Note that this package read the file `path` for the code in `frame`."""
        text = self._path(path)
        if text is not None and self._writers.get(text, self) != self.context:
            self.record(FILE, text, self.owners(frame))

    def wrote(self, path: Any) -> None:
        """Note that the current context wrote, made or removed `path`."""
        text = self._path(path)
        if text is None or "/__pycache__/" in text:
            return
        if self.witness is not None:
            self.witness.wrote(text)
        if self.temporary.holds(text):
            self.temporary.forget_link(text)
            if self.functions.is_traced:
                giver = None if self.is_sharing or self._test() is None else self.context
                self._givers[text] = self._givers[os.path.dirname(text) + "/"] = giver
            if self.temporary.was_made(text):
                return
            self.temporary.add_written(text, self.collecting)
        self.usual.forget(text)
        if text not in self._writers:
            self._written.append(text)
        self._writers[text] = self.context

    # Audit events

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event == "open":
            path, _mode, flags = args
            if isinstance(path, int) or self.busy:
                return
            if is_linecache(_getframe(2)):
                self._cached_sources.add(os.fsdecode(path))
            if not isinstance(flags, int) or not flags & _ONLY_WRITE_FLAGS:
                # Of a file that is opened for both, what it held is read before it is written.
                self._is_importing = _getframe(2).f_code.co_filename.startswith("<frozen importlib")
                try:
                    self.read(FILE, path, 3)
                finally:
                    self._is_importing = False
            if isinstance(flags, int) and flags & _WRITE_FLAGS:
                self.wrote(path)
        elif event == "object.__getattr__":
            if args[1] == "__code__":
                self.functions.is_read(args[0], _getframe(2))
        elif event in ("os.listdir", "os.scandir"):
            path = args[0]
            if self.busy:
                return
            if isinstance(path, int):
                path = path_below(path, "")
            frame = _getframe(2)
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return
            if self.collecting and not self.owners(frame):
                text = self._path(_getcwd() if path is None else path)
                if text is not None:
                    self.listings.add(text)
                return
            self.read(LISTING, "." if path is None else path, 3)
            if event == "os.scandir" and self._kinds[frame.f_code.co_filename] == USER and _mentions_stat(frame.f_code):
                self._entries("." if path is None else os.fsdecode(path), frame)
        elif event in SPAWN_EVENTS:
            frame = _getframe(2)
            owners = self.owners(frame)
            if owners:
                self._starts(owners, needs_of_child(frame, event, args))
        elif event in OWN_EVENTS:
            caller: Optional[FrameType] = _getframe(2)
            while caller is not None and caller.f_code.co_filename.startswith(self._own_dir):
                caller = caller.f_back
            owners = self.owners(caller)
            if owners:
                self.record(*OWN_EVENTS[event], owners)
        elif event in BEYOND_EVENTS:
            self.functions.reaches_out()
        elif event == "socket.connect":
            self.functions.reaches_out()
            remote = _remote(args[1])
            if remote is not None:
                owners = self.owners(_getframe(2))
                self.record(UNKNOWABLE, "a connection to " + remote, owners)
        elif event == "sqlite3.connect":
            self._database(args[0])
        elif event == "ctypes.dlopen":
            name = args[0]
            # A name without a folder is one of the system's libraries.
            if name is not None and os.sep in os.fsdecode(_fspath(name)):
                self.read(FILE, name, 3)
        elif event == "exec":
            code = args[0]
            if type(code) is CodeType and self._kinds[code.co_filename] == USER:
                self.before_body()
                self.functions.imports()
                if self.is_of_project(code.co_filename):
                    self.functions.watch(code)
                    self.functions.begins_body(code.co_filename)
                self._scan(code.co_filename, _names_in(code))
            elif type(code) is CodeType and self._kinds[code.co_filename] == SKIP:
                self._scan_text(code, _getframe(2))
        elif event == "import":
            name = args[0]
            if name.partition(".")[0] not in _STDLIB_NAMES:
                self._attempt(name, _getframe(2))
        elif event == "code.__new__":
            if self._kinds[args[1]] == USER and self.is_of_project(args[1]):
                self.functions.is_made(args[1])
        elif event == "function.__new__":
            code = args[0]
            if self._kinds[code.co_filename] == USER and self.is_of_project(code.co_filename):
                self.functions.watch(code)
        elif event in ("os.utime", "os.chmod", "os.chown"):
            self._touch(args[0])
        elif event in ("gc.get_objects", "gc.get_referrers"):
            if gc.get_freeze_count():
                # Neither finds objects that are frozen. What of these is garbage by now wasn't collected when the test had the rest collected.
                gc.unfreeze()
                for _ in range(_COLLECTIONS):
                    gc.collect()
        # A path that is relative to an open folder can't be told.
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            if args[-1] == -1:
                self.wrote(args[0])
        elif event in ("os.rename", "os.link") and args[2] == args[3] == -1:
            if event == "os.rename":
                self.wrote(args[0])
            else:
                self._touch(args[0])
            self.wrote(args[1])
        elif event == "os.symlink" and args[2] == -1:
            self.wrote(args[1])
            link = self._path(args[1])
            if link is not None and self.temporary.holds(link):
                self.temporary.add_link(os.fsdecode(_fspath(args[0])), link)

    def _database(self, name: Any) -> None:
        """SQLite opens the file by itself, later: it reads one that is there, and makes one that isn't."""
        self.functions.reaches_out()
        text = os.fsdecode(_fspath(name))
        if text.startswith("file:"):
            text = text[len("file:") :].partition("?")[0].partition("#")[0]
            if text.startswith("//"):
                text = "/" + text[2:].partition("/")[2]
            if "%" in text:
                self.record(PROJECT, "", self.owners(_getframe(3)))
                return
        if text in ("", ":memory:"):
            return
        try:
            _stat(text)
        except OSError:
            self.wrote(text)
        else:
            self.read(FILE, text, 4)

    def _touch(self, path: Any) -> None:
        text = self._path(path)
        if text is not None:
            self._touched.append(text)

    # Imports

    def _scan(self, file: str, names: set[str]) -> None:
        """Remember the names in the code of a file: those that it imports are among them."""
        self._names.setdefault(file, names).update(names)
        self._scanned.add(file)
        self._unsettled = True

    def _scan_text(self, code: CodeType, frame: FrameType) -> None:
        """Remember the names in code that is of no file, if it imports anything: it does so for the code that has it run."""
        names = _names_of_imports(code)
        owners = self.owners(frame) if names else []
        if owners:
            file = owners[0].partition("\0")[0]
            if not names <= self._names.get(file, set()):
                self._scan(file, names)

    def _entries(self, folder: str, frame: FrameType) -> None:
        """Note that code in that frame may ask the entries of a folder for their size or time: their methods can't be observed."""
        self.busy = True
        try:
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    self._read_in(frame, FILE, path)
        finally:
            self.busy = False

    def opened(self, frame: FrameType, path: Any, flags: int, mode: int = 0, *, dir_fd: Optional[int] = None) -> None:
        """Note that code in that frame calls `os.open`, if it is by a folder that is open: the audit event doesn't tell of that."""
        if dir_fd is None or self.busy or flags & _ONLY_WRITE_FLAGS:
            return
        text = path_below(dir_fd, path)
        self._read_in(frame, EXISTENCE if S_ISDIR(_stat(text).st_mode) else FILE, text)

    def looked_for(self, frame: FrameType, name: str, package: Optional[str] = None) -> None:
        """Note that code in that frame looks for a module, by `importlib.util.find_spec`."""
        name = resolve_name(name, package) if name.startswith(".") else name
        # Where code is that is just running is no news to anybody: web frameworks ask for the module of who calls them.
        file = _file_of(sys.modules.get(name))
        if file is None or file not in {owner.partition("\0")[0] for owner in self.owners(frame)}:
            self._attempt(name, frame)

    def started(self, frame: FrameType, *_arguments: Any) -> None:
        """Note that code in that frame starts a process in the way of `multiprocessing`; `subprocess` tells itself."""
        owners = [] if is_subprocess(frame) else self.owners(frame)
        if owners:
            self._starts(owners, Needs(None, inherits=True))

    def _starts(self, owners: list[str], needs: Needs) -> None:
        """Note that a process is started which needs that, and all variables if it inherits them."""
        self.functions.reaches_out()
        if needs.files is None:
            self.record(PROJECT, "", owners)
        elif self.witness is not None and not needs.only_by_files:
            self.witness.read(PROJECT, "")  # a process is more than what it looks at
        for path in needs.files or ():
            self.record(FILE, path, owners)
        if needs.inherits:
            self.record(VARIABLE, variables.ALL, owners)

    def _attempt(self, name: str, frame: FrameType) -> None:
        """Note a first import, found or not, by the nearest code of the user's."""
        owners = self.owners(frame)
        if owners:
            self._attempts.append((owners[0].partition("\0")[0], name))
            self._unsettled = True

    def _settle(self) -> None:
        """Turn names and attempts into edges, now that the modules are there."""
        if not self._unsettled:
            return
        self._unsettled = False
        modules = dict(sys.modules)
        files: dict[str, list[str]] = {}

        def add_edge(importer: str, name: str) -> None:
            if name not in files:
                files[name] = self._files_of(name, modules)
            for file in files[name]:
                self._import(importer, file)

        for importer, name in self._attempts:
            if name in modules:
                add_edge(importer, name)
            elif name.partition(".")[0] not in _STDLIB_NAMES:
                self._import(importer, "?" + name)
        self._attempts.clear()
        new = [name for name in modules if name not in self._settled and name.partition(".")[0] not in _STDLIB_NAMES]
        for name in new:
            file = _file_of(modules[name])
            if file is not None:
                package = variables_of_module(modules[name]).get("__package__")
                self._packages[file] = package if isinstance(package, str) else ""
        meanings: dict[str, list[tuple[str, str]]] = {}
        for name in new:
            self._settled.add(name)
            parts = name.split(".")
            for at in range(len(parts)):
                meanings.setdefault(".".join(parts[at:]), []).append((".".join(parts[:at]), name))
        for ending, found in meanings.items():
            self._meanings.setdefault(ending, []).extend(found)
        # A file that was scanned since may use any module; a module that is new may be used by any file.
        scanned, self._scanned = self._scanned, set()
        for file, names in list(self._names.items()):  # another thread may import meanwhile
            possible = self._meanings if file in scanned else meanings
            for used in possible.keys() & names:
                for prefix, name in possible[used]:
                    if name in modules and self._may_import(file, prefix):
                        add_edge(file, name)

    def _may_import(self, file: str, prefix: str) -> bool:
        """Whether a name in `file` can stand for a module below `prefix`: absolutely, or relative to the file's package."""
        if not prefix or prefix in self._names[file]:
            return True
        package = self._packages.get(file, "")
        return package == prefix or package.startswith(prefix + ".")

    def _files_of(self, name: str, modules: dict[str, Any]) -> list[str]:
        """The files that a test depends on whose imports reach that module: its own, and those of the packages that it lies in."""
        files = []
        while name:
            file = _file_of(modules.get(name))
            if file is not None and self._is_lasting(file) and self._kinds[file] == USER:
                self._module(name, file)
                files.append(file)
            name = name.rpartition(".")[0]
        return files

    def _is_lasting(self, file: str) -> bool:
        """Whether a module's file is one that a test can depend on."""
        text = self._path(file)
        return text is not None and not self.temporary.was_made(text)

    def _module(self, name: str, file: str) -> None:
        if (name, file) not in self.known_modules:
            self.known_modules.add((name, file))
            self._modules.append((name, file))

    def _import(self, importer: str, imported: str) -> None:
        if importer != imported and (importer, imported) not in self.known_imports:
            self.known_imports.add((importer, imported))
            self._imports.append((importer, imported))

    def add_collected(self, file: str, path: str) -> None:
        """Note that a file was collected, whether or not it holds tests."""
        self._add("f:" + file, FILE, path)

    def add_root(self, name: str, file: str) -> None:
        """Note a module that every test of the process depends on, such as a plugin."""
        self._module(name, file)
        self._import("", file)

    # Handing out

    def take(
        self,
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, int, str]], list[str], list[str]]:
        """What is new since the last call: modules, imports, reads, written paths, paths whose times or modes were set."""
        self._settle()
        for read, owners in self.temporary.settled(self._writers):
            self._record(read.context, read.kind, read.path, owners)
        new = (self._modules, self._imports, self._reads, self._written, self._touched)
        self._modules, self._imports, self._reads, self._written, self._touched = [], [], [], [], []
        return new


def _names_in(code: CodeType) -> set[str]:
    """The names in code and in what is nested in it."""
    names: set[str] = set()
    for one in _with_nested(code):
        names.update(one.co_names)
    return names


def _with_nested(code: CodeType) -> list[CodeType]:
    found = [code]
    for one in found:
        found += [constant for constant in one.co_consts if type(constant) is CodeType]
    return found


def _names_of_imports(code: CodeType) -> set[str]:
    """The names in code if it imports anything, as far as that can be told, with what strings say that it has imported."""
    names: set[str] = set()
    imports = False
    for one in _with_nested(code):
        imports = imports or _IMPORT in one.co_code[::2]
        names.update(one.co_names)
        if not _IMPORTERS.isdisjoint(one.co_names):
            imports = True
            said = [constant for constant in one.co_consts if type(constant) is str]
            names.update(part for name in said for part in (name, *name.split(".")))
    return names if imports else set()


def _mentions_stat(code: CodeType) -> bool:
    """Whether a function, or one in it, has a name `stat`."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return "stat" in code.co_names or any(map(_mentions_stat, inner))


def path_below(folder: int, path: Any) -> str:
    """A path as text, from the folder that is open under that number; raises OSError if the system doesn't tell which it is."""
    try:
        root = _readlink(f"/proc/self/fd/{folder}")
    except OSError:
        import fcntl

        get_path = getattr(fcntl, "F_GETPATH", None)
        if get_path is None:
            raise
        root = os.fsdecode(fcntl.fcntl(folder, get_path, bytes(1024)).rstrip(b"\0"))
    return os.path.join(root, os.fsdecode(_fspath(path)))


def _file_of(module: Any) -> Optional[str]:
    """The file of a module."""
    file = variables_of_module(module).get("__file__")
    return file if isinstance(file, str) else None


def _remote(address: Any) -> Optional[str]:
    """The host of `address` if it lies beyond this machine."""
    if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
        return None
    host = address[0]
    if host in ("localhost", "::1", "", "0.0.0.0", "::") or host.startswith("127."):
        return None
    return host
