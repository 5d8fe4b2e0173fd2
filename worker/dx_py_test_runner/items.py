"""Describes collected tests to the orchestrator. What the tests of a module or class have in common is worked out once."""

from __future__ import annotations

import os
from types import FunctionType, MethodType
from typing import Any, Optional

import _pytest.mark
import pytest
from _pytest.compat import get_real_func

from . import say
from .readers import is_installed
from .wire import Pack

_real_function: Any = get_real_func
_Directory: Any = getattr(pytest, "Directory", ())  # since pytest 8
_KEEP_NOTHING = frozenset(("_pytest", "anyio", "pytest_asyncio", "pytest_cov", "xdist"))
#: Whether an attribute of a function is a keyword; before pytest 9.2 all are.
_is_keyword: Any = getattr(_pytest.mark, "_is_matchable_function_attribute", lambda _name: True)


class _Above:
    """What a parent gives to all tests below it."""

    __slots__ = ("names", "classes", "markers", "packed", "of_others", "start")

    def __init__(self, parent: Any) -> None:
        chain = parent.listchain()
        self.names = {node.name for node in chain if not _is_outermost(node)}
        for node in chain:
            self.names.update(node.extra_keyword_matches)
        self.classes = "::".join(node.name for node in chain if isinstance(node, pytest.Class))
        self.markers = [marker for node in reversed(chain) for marker in node.own_markers]
        self.names.update(marker.name for marker in self.markers)
        #: The markers as they are told.
        self.packed = b"".join(map(_packed, self.markers))
        self.of_others = say.is_of_others(parent.ihook, parent.config)
        #: What the IDs of its tests start with.
        self.start = parent.nodeid + "::"


class _Alike:
    """Tests that have but their names, lines and places for themselves."""

    __slots__ = ("common", "names", "lines", "places")

    def __init__(self, common: bytes) -> None:
        self.common = common
        self.names: list[str] = []
        self.lines: list[int] = []
        self.places: list[int] = []

    def pack(self, out: Pack) -> None:
        """Add what they have in common, then their own."""
        out.raw(self.common)
        out.text("\n".join(self.names))
        out.numbers(self.lines)
        out.numbers(self.places)


class Items:
    """Packs the items of one session. `are_seen` says whether somebody looks at all tests and may treat one by what others are."""

    def __init__(self, are_seen: bool) -> None:
        self._parents: dict[Any, _Above] = {}
        self._are_seen = are_seen
        # The tests of a function that is parametrised have its markers, with all parameters: each is told often, and kept with its form.
        self._markers: dict[int, tuple[Any, bytes]] = {}

    def pack(self, out: Pack, items: list[Any], places: list[int]) -> None:
        """Add the items of a file, whose places in the session are given: first those that are told one by one, then those that are
        alike."""
        others: list[tuple[Any, _Above, int]] = []
        alike: dict[Any, _Alike] = {}
        parent = above = None
        for item, place in zip(items, places):
            if item.parent is not parent or above is None:
                parent = item.parent
                above = self._parents.get(parent)
                if above is None:
                    above = self._parents[parent] = _Above(parent)
            function = item.obj if type(item) is pytest.Function else None
            if type(function) is MethodType:
                function = function.__func__
            name = item.name
            # A plain function has but its name and its line for itself.
            if (
                type(function) is not FunctionType
                or function.__dict__
                or item.own_markers
                or item.extra_keyword_matches
                or item.originalname != name
                or item.nodeid != above.start + name
                or "\n" in name
            ):
                others.append((item, above, place))
                continue
            info = item._fixtureinfo
            definitions = info.name2fixturedefs
            key = (above, info.argnames, *definitions, *map(id, definitions.values())) if definitions else above
            some = alike.get(key)
            if some is None:
                some = alike[key] = _Alike(self._common(item, above))
            some.names.append(name)
            some.lines.append(function.__code__.co_firstlineno)
            some.places.append(place)
        out.u32(len(others))
        for item, above, place in others:
            out.text(item.nodeid)
            out.text(str(getattr(item, "originalname", None) or item.name))
            out.text(above.classes)
            out.u32((_line(item) or 0) + 1)
            out.u32(place)
            out.texts(sorted(_keywords(item, above)))
            self._pack_tail(out, item, above)
        out.u32(len(alike))
        for some in alike.values():
            some.pack(out)

    def _common(self, item: Any, above: _Above) -> bytes:
        """What is told of a plain function and of all that are like it."""
        out = Pack()
        out.text(above.start)
        out.text(above.classes)
        out.texts(sorted(map(str, above.names)))
        self._pack_tail(out, item, above)
        return out.bytes()

    def _pack_tail(self, out: Pack, item: Any, above: _Above) -> None:
        own = item.own_markers
        out.u32(len(own) + len(above.markers))
        for marker in own:
            known = self._markers.get(id(marker))
            if known is None:
                known = self._markers[id(marker)] = marker, _packed(marker)
            out.raw(known[1])
        out.raw(above.packed)
        shared = None if self._are_seen or above.of_others else _shared_fixtures(item)
        out.u8(shared is None)
        out.texts(shared or [])
        out.texts(_bonds(item, above))


def _is_outermost(node: Any) -> bool:
    """Whether a node is the session or the root's folder, whose names `-k` doesn't look into."""
    return isinstance(node, pytest.Session) or isinstance(node, _Directory) and isinstance(node.parent, pytest.Session)


def _bonds(item: Any, above: _Above) -> list[str]:
    """What an item has in common with others of its file, so that they run in the same worker: a class, fixtures of the module or
    package, a group for xdist. A fixture, which `>` marks, binds all tests from its first user on. `*` stands for the file."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return ["*"]
    outermost = above.classes.partition("::")[0]
    bonds = [outermost] if outermost else []
    for name, definitions in info.name2fixturedefs.items():
        scope = definitions[-1].scope if definitions else "function"
        # A fixture of class scope belongs to the module where there is no class.
        if scope in ("module", "package") or scope == "class" and not outermost:
            bonds.append(">" + name)  # until the file ends
    for mark in (*item.own_markers, *above.markers):
        if mark.name == "xdist_group":
            bonds.append("xdist_group " + ", ".join(str(part) for part in (*mark.args, *mark.kwargs.values())))
    return bonds


def _shared_fixtures(item: Any) -> Optional[list[str]]:
    """The project's fixtures that an item is given and that live longer than a test; None if there are other such ones than those of pytest
    and of plugins that keep nothing of a test in theirs. One of the session that applies by itself is given only to who asks for it by
    name."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return None
    shared = []
    for name, definitions in info.name2fixturedefs.items():
        for definition in definitions:
            scope = definition.scope
            if scope == "function" or _origin(definition).partition(".")[0] in _KEEP_NOTHING:
                continue
            if scope != "session" or not getattr(definition, "_autouse", False) or _is_asked_for(name, info):
                if is_installed(getattr(getattr(definition.func, "__code__", None), "co_filename", os.sep)):
                    return None
                shared.append(name)
                break
    return shared


def _origin(definition: Any) -> str:
    return getattr(definition.func, "__module__", None) or ""


def _is_asked_for(name: str, info: Any) -> bool:
    definitions = info.name2fixturedefs.values()
    return name in info.argnames or any(name in one.argnames for several in definitions for one in several)


def _line(item: Any) -> Optional[int]:
    """The line of an item, from 0, as its `location` has it."""
    if type(item) is pytest.Function:
        code = getattr(_real_function(item.obj), "__code__", None)
        if code is not None:
            return int(code.co_firstlineno) - 1
    try:
        line = item.location[1]
    except Exception:  # a plugin's item may have no place in a file
        return None
    return None if line is None else int(line)


def _keywords(item: Any, above: _Above) -> set[str]:
    """The names that `-k` looks into, as pytest gathers them."""
    names: set[Any] = {item.name, *above.names, *item.extra_keyword_matches}
    names.update(filter(_is_keyword, getattr(getattr(item, "function", None), "__dict__", ())))
    names.update(marker.name for marker in item.own_markers)
    return {str(name) for name in names}


def _packed(marker: Any) -> bytes:
    out = Pack()
    out.text(marker.name)
    out.texts([_representation(arg) for arg in marker.args])
    out.u32(len(marker.kwargs))
    for key, value in marker.kwargs.items():
        out.text(str(key))
        out.text(_representation(value))
    return out.bytes()


def _representation(value: Any) -> str:
    """A value as text; of a user's class only the name, since its `__repr__` is the user's code."""
    if type(value) in (str, int, float, bool, bytes, type(None)):
        return repr(value)[:200]
    if type(value) in (tuple, list):
        return "(" + ", ".join(_representation(part) for part in value[:20]) + ")"
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
