"""Who is reading: what kinds of code there are, and whose code is on the stack."""

from __future__ import annotations

import importlib.machinery
import linecache
import os
import sys
from types import CodeType, FrameType
from typing import Any, Callable, Optional, Union

from .functions import OF_TEST, Functions
from .internals import identity
from .probes import load

#: Code that belongs to nobody (made of strings), the standard library's, its parts that keep nothing of what is read while they run,
#: pytest's and this package's, such as reads what no outcome is meant to depend on, and all other. None is zero: that a kind is known is
#: asked by `or`. The compiled part knows the numbers.
SKIP, STDLIB, FLEETING, INTERNAL, UNMEANT, USER = range(1, 7)

#: Where the standard library is.
LIBRARY = os.path.dirname(os.__file__)
#: The file of the standard library's cache of sources.
_LINECACHE = os.path.join(LIBRARY, "linecache.py")
_OF_LINES = (_LINECACHE, os.path.join(LIBRARY, "tokenize.py"))
_TRACEBACK = os.path.join(LIBRARY, "traceback.py")

#: Modules of the standard library that hand on what they are given, or read, and keep nothing of it for later calls.
_KEEP_NOTHING = (
    "_collections_abc",  # the methods of `os.environ`
    "codecs",
    "contextlib",
    "genericpath",
    "glob",
    "os",
    "posixpath",
    "shutil",
    "subprocess",
)
#: Those that show code, such as in a traceback that is logged: what `linecache` keeps it is made to forget.
_KEEP_NO_SOURCES = ("inspect", "linecache", "logging/__init__", "traceback")
_KEEP_NOTHING_FILES = {f"<frozen {name}>" for name in _KEEP_NOTHING}.union(
    os.path.join(LIBRARY, name + ".py") for name in (*_KEEP_NOTHING, *_KEEP_NO_SOURCES, "pathlib", "unittest/case")
)
_PATHLIB = os.path.join(LIBRARY, "pathlib", "")

#: The file of the standard library's way to start programs.
SUBPROCESS = os.path.join(LIBRARY, "subprocess.py")
#: Gathers the constants in the text of all modules that aren't installed, for what Hypothesis draws by chance.
_GATHERS_CONSTANTS = "/hypothesis/internal/constants_ast.py"

#: Of how many pieces of code it is remembered what they are.
_MOST_CODES = 20_000

_SITE, _DEBIANS_SITE = "/site-packages/", "/dist-packages/"


class Kinds(dict[str, int]):
    """The kind of the code in each file, by the name that code objects have of it. A file is looked at once: stacks are walked often."""

    def __init__(self, own_dir: str) -> None:
        super().__init__()
        #: The folders of this package and of pytest.
        self.internal = (own_dir, *_installed_kernel())
        self._stdlib = tuple(_standard_library())

    def __missing__(self, filename: str) -> int:
        kind = self[filename] = self._classify(filename)
        return kind

    def _classify(self, filename: str) -> int:
        is_frozen = filename.startswith("<frozen ")
        if not is_frozen:
            if filename.startswith("<") or not os.path.isabs(filename):
                return SKIP
            if filename.startswith(self.internal):
                return INTERNAL
            if is_installed(filename) and filename.endswith(_GATHERS_CONSTANTS):
                return UNMEANT
            if is_installed(filename) or not filename.startswith(self._stdlib):
                return USER
        keeps_nothing = filename in _KEEP_NOTHING_FILES or filename.startswith(_PATHLIB)
        return FLEETING if keeps_nothing else STDLIB


class Readers:
    """Tells whose code is on the stack. Where it is seen which functions run, it is these: whoever reaches none of them can't be given what
    they read, unless other code on the stack keeps it."""

    def __init__(self, own_dir: str) -> None:
        self.kinds = Kinds(own_dir)
        self.functions = Functions(self.is_internal)
        # By the identity of code what it is on a stack: one look-up a frame. It is another where functions are told apart.
        self._known: dict[int, Union[str, int]] = {}
        self._codes: list[CodeType] = []
        self._knows_functions = False
        probes = load()
        self._walk: Callable[[Optional[FrameType], dict[int, Any], Callable[[CodeType], Any]], list[Any]] = (
            _owners if probes is None else probes.owners
        )

    def is_of_project(self, filename: str) -> bool:
        """Whether a file is neither installed nor the standard library's, nor of this package."""
        return self.kinds[filename] == USER and not is_installed(filename)

    def is_internal(self, filename: str) -> bool:
        """Whether code in a file is pytest's, or of this package."""
        return self.kinds[filename] == INTERNAL

    def is_for_pytest(self, frame: Optional[FrameType]) -> bool:
        """Whether code in that frame, or whoever calls it through a function or two of the standard library, is pytest's or of this package:
        then nobody owns what is read. Most of what is looked at between tests is."""
        for _ in range(3):
            if frame is None:
                break
            kind = self.kinds[frame.f_code.co_filename]
            if kind != FLEETING:
                return kind == INTERNAL
            frame = frame.f_back
        return False

    def owners(self, frame: Optional[FrameType]) -> list[str]:
        """The files of the user's modules on the stack, or their functions, the nearest first; none if the reader is pytest, this package, or
        another one whose reading isn't meant to bear on anything."""
        are_functions = self.functions.is_traced
        if are_functions != self._knows_functions:
            self._knows_functions = are_functions
            self._forget()
        owners = self._walk(frame, self._known, self._look_at)
        may_keep = bool(owners) and owners[-1] is None
        if may_keep:
            owners.pop()
        if not are_functions:
            return owners
        if may_keep:
            return list(dict.fromkeys([owner.partition("\0")[0] for owner in owners]))
        if owners and self.functions.is_of_test():
            return [owner + OF_TEST if "\0" in owner else owner for owner in owners]
        return owners

    def _look_at(self, code: CodeType) -> Union[str, int]:
        """Who owns what is read while a piece of code runs, or its kind."""
        filename = code.co_filename
        what: Union[str, int] = self.kinds[filename]
        if what == USER:
            # Whoever is equal is the same.
            what = sys.intern(self.functions.names.get(identity(code), filename) if self._knows_functions else filename)
        if len(self._codes) == _MOST_CODES:
            self._forget()
        self._codes.append(code)  # its identity stays its own
        self._known[identity(code)] = what
        return what

    def _forget(self) -> None:
        self._known.clear()
        self._codes.clear()


def _owners(
    frame: Optional[FrameType], known: dict[int, Union[str, int]], look_at: Callable[[CodeType], Union[str, int]]
) -> list[Any]:
    """The owners of the code in that frame and in those that called it, as the compiled part finds them: the nearest first and each once, and
    `None` behind them if other code may keep what it reads."""
    owners: dict[Optional[str], None] = {}
    may_keep = False
    while frame is not None:
        code = frame.f_code
        what = known.get(identity(code)) or look_at(code)
        if type(what) is str:
            owners[what] = None
        elif what == INTERNAL:
            break
        elif what == UNMEANT:
            return []
        elif what != FLEETING:
            may_keep = True
        frame = frame.f_back
    if may_keep:
        owners[None] = None
    return list(owners)


def is_linecache(frame: Optional[FrameType]) -> bool:
    """Whether that frame, or the one that called it to open a file in its encoding, is of `linecache`."""
    for _ in range(2):
        if frame is not None:
            if frame.f_code.co_filename == _LINECACHE:
                return True
            frame = frame.f_back
    return False


def is_for_traceback(frame: Optional[FrameType]) -> bool:
    """Whether code in that frame reads the source for a traceback, as text for whoever runs. Nobody is taken to keep that for others."""
    if not is_linecache(frame):
        return False
    while frame is not None and frame.f_code.co_filename in _OF_LINES:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == _TRACEBACK


def forget_sources(are_meant: Callable[[str], bool]) -> None:
    """Have `linecache` forget what it has read of files whose names are meant; not what was put into it, which has no time."""
    for name, entry in list(linecache.cache.items()):
        if len(entry) == 4 and entry[1] is not None and are_meant(entry[3]):
            linecache.cache.pop(name, None)


def is_subprocess(frame: FrameType) -> bool:
    """Whether that frame is of `subprocess`."""
    return frame.f_code.co_filename == SUBPROCESS


def is_installed(filename: Optional[str]) -> bool:
    """Whether a module's file belongs to an installed distribution."""
    return filename is not None and (_SITE in filename or _DEBIANS_SITE in filename)


def _standard_library() -> list[str]:
    """The folders of the standard library, with a trailing separator."""
    import sysconfig

    paths = sysconfig.get_paths()
    found = {paths["stdlib"], paths["platstdlib"], LIBRARY}
    return [os.path.join(path, "") for path in found if path]


def _installed_kernel() -> list[str]:
    """The folders of pytest, pluggy and coverage, if they are installed; in their own checkouts they are the project.

    What they read for themselves (coverage reads every source that it measures) no test depends on.
    """
    found = []
    for name in ("_pytest", "pytest", "pluggy", "iniconfig", "coverage", "pytest_cov"):
        spec = importlib.machinery.PathFinder.find_spec(name)
        if spec is not None and spec.origin and is_installed(spec.origin):
            found.append(os.path.join(os.path.dirname(spec.origin), ""))
    return found
