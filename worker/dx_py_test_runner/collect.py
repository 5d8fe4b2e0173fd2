"""Makes plain test functions into items without asking hooks that have nothing to say on them.

pytest builds two nodes for each function, asks hooks for its parameters, and works out its fixtures from scratch. A function that
nothing parametrises needs one node, and functions of the same parent with the same arguments need the same fixtures; those of a module
that ask for no fixture have all but their name in common. Everything else is left to pytest, whose own method is called for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE, CO_VARARGS, CO_VARKEYWORDS
from pathlib import Path
from types import FunctionType
from typing import Any, Callable, Optional

import pytest
from _pytest import fixtures, main, python
from _pytest.fixtures import FuncFixtureInfo
from _pytest.outcomes import OutcomeException
from _pytest.python import PyCollector
from _pytest.scope import Scope

from . import say
from .mould import Mould, fits

#: Makes items of a thing that a collector holds under a name, or leaves that to others.
Maker = Callable[[Any, str, Any], Optional[list[pytest.Function]]]

#: Implementations that only act on what parametrises: marks, and fixtures with parameters.
_PLAIN_GENERATORS = ("_pytest.python", "_pytest.fixtures")
#: Implementations of `pytest_pycollect_makeitem` that leave plain functions to pytest itself: they look for classes, and for coroutines.
_PLAIN_MAKERS = (
    "_pytest.python",
    "_pytest.unittest",
    "pytest_asyncio.plugin",
    "anyio.pytest_plugin",
    "dx_py_test_runner.session",
)
#: What isn't a plain function's.
_SPECIAL = (
    CO_VARARGS | CO_VARKEYWORDS | CO_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR
)  # fmt: skip
#: Attributes that tell of another signature than the code's.
_WRAPPED = frozenset(("__wrapped__", "__signature__", "patchings"))
#: Marks that decide on the fixtures of a function.
_MARKS_OF_FIXTURES = frozenset(("parametrize", "usefixtures"))
_names_of: Any = getattr(fixtures, "getfuncargnames", None)
#: Of pytest 9, and of 8.4.
_DEFINITIONS = ("_arg2node2fixturedefs", "_arg2nodeid2fixturedefs", "_arg2fixturedefs")
#: For a node whose fixtures are worked out after it is there.
_NO_FIXTURES = FuncFixtureInfo((), (), [], {})


def install(session: Any, is_left_out: Callable[[Any], bool]) -> tuple[Callable[[], None], Maker]:
    """Collect plain functions the short way in this session; gives what undoes it, and what is asked first for items of a module.
    `is_left_out` tells of a parametrised function whether no tests are made of it.

    Raises AttributeError if pytest's internals are others than those known here.
    """
    if _names_of is None:
        raise AttributeError("getfuncargnames")
    _share_proxies(session)
    # Also when tests run: pytest looks at a function of its own for each that uses `request`, and each time at the signature.
    fixtures.getfuncargnames = _getfuncargnames  # type: ignore[attr-defined]
    original = PyCollector._genfunctions
    manager = session._fixturemanager
    closures = _Closures(manager)
    plain: dict[Any, bool] = {}
    moulds: dict[Any, Mould] = {}
    fitting: Optional[bool] = None

    def plain_items(parent: Any, name: str, function: Any) -> Optional[tuple[pytest.Function, ...]]:
        """The only item of a function that nothing parametrises, or nothing if it is left out; none if it has several, or if pytest
        shall tell what is wrong."""
        try:
            item = pytest.Function.from_parent(parent, name=name, fixtureinfo=_NO_FIXTURES)
            # Of a method pytest looks at the function, not at what is bound to an instance.
            item._fixtureinfo = info = manager.getfixtureinfo(item, function, item.cls)
            item.fixturenames = info.names_closure
            item._initrequest()
            if _is_parametrised(item):
                return () if is_left_out(item) else None
            if type(parent) is pytest.Module and _is_bare(function) and _has_plain_makers(parent):
                closures.keep(parent, info)
            return (item,)
        except (Exception, OutcomeException):
            return None

    def bare_item(collector: Any, name: str, obj: Any) -> Optional[list[pytest.Function]]:
        """The item of a function that has but its name for itself, once another one of its module has been made."""
        nonlocal fitting
        if type(obj) is not FunctionType or not name.startswith(prefixes):
            return None
        info = closures.kept(collector)
        if info is None or not _is_bare(obj):
            return None
        mould = moulds.get(collector)
        if mould is not None and not obj.__dict__:
            return [mould.make(name, obj, info)]
        item = pytest.Function.from_parent(collector, name=name, callobj=obj, fixtureinfo=info)
        if mould is None and not obj.__dict__:
            if fitting is None:
                fitting = fits(item)
            if fitting:
                moulds[collector] = Mould(item)
        return [item]

    # pytest's own generator is handed out, not iterated over: this function would show in its tracebacks.
    def generate(self: Any, name: str, function: Any) -> Iterator[Any]:
        is_plain = plain.get(self)
        if is_plain is None:
            is_plain = plain[self] = self.session is session and _has_plain_hooks(self)
        items = plain_items(self, name, function) if is_plain else None
        return original(self, name, function) if items is None else iter(items)

    def undo() -> None:
        PyCollector._genfunctions = original  # type: ignore[method-assign]
        fixtures.reorder_items = reorder
        closures.undo()

    reorder = fixtures.reorder_items

    def reordered(items: Any) -> list[Any]:
        return reorder(items) if any(map(_has_wide_parameters, items)) else list(dict.fromkeys(items))

    fixtures.reorder_items = reordered

    prefixes = tuple(prefix for prefix in session.config.getini("python_functions") if not set(prefix) & set("*?["))
    PyCollector._genfunctions = generate  # type: ignore[method-assign,assignment]
    return undo, bare_item


def _share_proxies(session: Any) -> None:
    """Give the nodes of a path the same proxy for hooks while no conftest is loaded: pytest makes one, and looks for the conftests that it
    leaves out, each time that a node or a fixture asks for hooks. It stays so when tests run."""
    if "gethookproxy" in vars(session):
        return
    original, manager = session.gethookproxy, session.config.pluginmanager
    conftests, folders = manager._conftest_plugins, manager._dirpath2confmods
    known: dict[Any, tuple[int, int, Any]] = {}

    def gethookproxy(fspath: Any) -> Any:
        found = known.get(fspath)
        if found is None or found[0] != len(conftests) or found[1] != len(folders):
            proxy = original(fspath)
            known[fspath] = found = (len(conftests), len(folders), proxy)
        return found[2]

    session.gethookproxy = gethookproxy


def _getfuncargnames(function: Any, *, name: str = "", cls: Optional[type] = None) -> tuple[str, ...]:
    found = _argument_names(function, name, cls)
    return _names_of(function, name=name, cls=cls) if found is None else found


def _argument_names(function: Any, name: str, cls: Optional[type]) -> Optional[tuple[str, ...]]:
    """The parameters of a plain function that have no default, as its code tells: pytest works out the signature of each, which takes
    ten times as long. None if there is more to it."""
    if type(function) is not FunctionType or not _WRAPPED.isdisjoint(function.__dict__):
        return None
    code = function.__code__
    if code.co_posonlyargcount:
        return None
    count, defaults = code.co_argcount, function.__kwdefaults__ or {}
    names = code.co_varnames[: count - len(function.__defaults__ or ())]
    only = code.co_varnames[count : count + code.co_kwonlyargcount]
    names += tuple(one for one in only if one not in defaults)
    if cls is None:
        return names
    # What is found as a plain function is bound to an instance.
    for base in cls.__mro__:
        if (name or function.__name__) in base.__dict__:
            return names[1:] if base.__dict__[name or function.__name__] is function else None
    return None


def _has_wide_parameters(item: Any) -> bool:
    """Whether a test has a parameter that others share, so that pytest brings them together."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(scope is not Scope.Function for scope in callspec._arg2scope.values())


def _is_bare(function: Any) -> bool:
    """Whether a function has no parameters, no attributes but marks that don't decide on fixtures, and returns when it is called."""
    code = function.__code__
    if code.co_argcount or code.co_kwonlyargcount or code.co_flags & _SPECIAL:
        return False
    attributes = function.__dict__
    if not attributes:
        return True
    marks = attributes.get("pytestmark")
    return len(attributes) == 1 and type(marks) is list and _MARKS_OF_FIXTURES.isdisjoint({mark.name for mark in marks})


def unnamed(session: Any, arguments: list[str]) -> Callable[[], None]:
    """Let pytest take only `arguments` for paths that the user named, whatever it is told to collect; gives what undoes it.

    It collects all tests of a file that is named, also if its name isn't one of a test file, and doctests of any text.
    """
    paths = _paths_of(session, arguments)
    # As text: to hash a path takes longer than all else here.
    named = set(map(str, paths))
    above = named.union(*(map(str, path.parents) for path in paths))

    def isinitpath(path: Any, *, with_parents: bool = False) -> bool:
        text = str(path if isinstance(path, Path) else Path(path))
        return text in (above if with_parents else named)

    session.isinitpath = isinitpath

    def undo() -> None:
        del session.isinitpath

    return undo


def _paths_of(session: Any, arguments: list[str]) -> set[Path]:
    """The files and folders that arguments name."""
    here = session.config.invocation_params.dir
    return {Path(os.path.abspath(here / argument.partition("::")[0])) for argument in arguments}


#: What is asked of each file and folder that pytest meets, and told of what came of it.
HOOKS_OF_FOLDERS = (
    "pytest_ignore_collect",
    "pytest_collect_file",
    "pytest_collect_directory",
    "pytest_pycollect_makemodule",
    "pytest_make_collect_report",
    "pytest_collectreport",
    "pytest_collectstart",
)


def look_only_at(session: Any, arguments: list[str]) -> Callable[[], None]:
    """Let folders hold nothing but what leads to `arguments`, each of which is there once; gives what undoes it. On its way to a file pytest
    makes a node for each other one in its folders, and drops it; and it looks into the folder of each file that is named anew, as that may
    be named twice. Only for sessions in which nobody else implements `HOOKS_OF_FOLDERS`."""
    if not (say.is_known() and hasattr(main, "scandir") and hasattr(python, "scandir")):
        return lambda: None
    wanted = _paths_of(session, arguments)
    above = {str(folder) for path in wanted for folder in path.parents}
    on_the_way = above.union(map(str, wanted))
    # All of a folder that is wanted itself.
    whole = {str(path) for path in wanted if path.is_dir()}
    original = main.scandir

    def scandir(path: Any, *sort_key: Any) -> list[os.DirEntry[str]]:
        entries: list[os.DirEntry[str]] = original(path, *sort_key)
        folder = str(path)
        if folder not in above or folder in whole or not whole.isdisjoint(map(str, Path(folder).parents)):
            return entries
        return [entry for entry in entries if entry.path in on_the_way]

    def collect_one_node(node: Any, handle_dupes: bool = True) -> Any:
        return collect_one(node, handle_dupes or isinstance(node, pytest.Directory))

    for module in (main, python):
        module.scandir = scandir  # type: ignore[attr-defined]
    collect_one = session._collect_one_node
    session._collect_one_node = collect_one_node

    def undo() -> None:
        for module in (main, python):
            module.scandir = original  # type: ignore[attr-defined]
        del session._collect_one_node

    return undo


def _has_plain_hooks(collector: Any) -> bool:
    """Whether nobody beside pytest itself generates parameters for the functions of a module or class."""
    if any(
        say.module_of(one) not in _PLAIN_GENERATORS for one in collector.ihook.pytest_generate_tests.get_hookimpls()
    ):
        return False
    module, cls = collector.getparent(pytest.Module), collector.getparent(pytest.Class)
    holders = [node.obj for node in (module, cls) if node is not None]
    return not any(hasattr(holder, "pytest_generate_tests") for holder in holders)


def _has_plain_makers(collector: Any) -> bool:
    """Whether nobody has a say in what is made of a plain function."""
    implementations = collector.ihook.pytest_pycollect_makeitem.get_hookimpls()
    return all(say.module_of(implementation) in _PLAIN_MAKERS for implementation in implementations)


def _is_parametrised(item: Any) -> bool:
    if any(mark.name == "parametrize" for mark in item.iter_markers()):
        return True
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.params is not None for some in definitions for definition in some)


class _Closures:
    """Remembers which fixtures functions of one parent need, by the names that they begin with, until another fixture is defined."""

    def __init__(self, manager: Any) -> None:
        # By parent and names what pytest gives; by parent alone what functions get that ask for nothing.
        self._known: dict[Any, Any] = {}
        self._manager = manager
        closure = manager.getfixtureclosure

        def remembered(
            parentnode: Any, initialnames: tuple[str, ...], ignore_args: Any
        ) -> tuple[list[str], dict[str, Any]]:
            if not isinstance(parentnode, pytest.Function):
                return closure(parentnode, initialnames, ignore_args)  # type: ignore[no-any-return]
            key = (parentnode.parent, tuple(initialnames), frozenset(ignore_args))
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = closure(parentnode, initialnames, ignore_args)
            names, definitions = found
            # What is handed out is changed when the function is parametrised.
            return list(names), dict(definitions)

        for name in _definitions(manager):
            setattr(manager, name, _Definitions(getattr(manager, name), self._known))
        manager.getfixtureclosure = remembered

    def keep(self, parent: Any, info: FuncFixtureInfo) -> None:
        """Remember the fixtures of a function of this parent that asks for nothing."""
        self._known[parent] = info

    def kept(self, parent: Any) -> Optional[FuncFixtureInfo]:
        """Those of another such function."""
        info = self._known.get(parent)
        if info is None:
            return None
        return FuncFixtureInfo(info.argnames, info.initialnames, list(info.names_closure), dict(info.name2fixturedefs))

    def undo(self) -> None:
        """Let pytest work it out again."""
        for name in _definitions(self._manager):
            setattr(self._manager, name, dict(getattr(self._manager, name)))
        vars(self._manager).pop("getfixtureclosure", None)
        self._known.clear()


def _definitions(manager: Any) -> list[str]:
    """The attributes that hold the definitions of fixtures by name, in this version of pytest."""
    found = [name for name in _DEFINITIONS if isinstance(getattr(manager, name, None), dict)]
    if not found:
        raise AttributeError("definitions of fixtures")
    return found


class _Definitions(dict[str, Any]):
    """Definitions of fixtures by name; what is known of closures is forgotten when another one comes.

    The manager's own methods are left alone: they would show in tracebacks, and in the places of warnings.
    """

    def __init__(self, definitions: dict[str, Any], known: dict[Any, Any]) -> None:
        super().__init__(definitions)
        self._known = known

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._known.clear()
        return super().setdefault(name, default)

    def __setitem__(self, name: str, definitions: Any) -> None:
        self._known.clear()
        super().__setitem__(name, definitions)
