"""What objects refer to, and whether that can change: for `leftovers`, which compares it."""

from __future__ import annotations

import contextvars
import functools
import hashlib
import io
import logging
import os
import sys
import threading
import types
import weakref
from array import array
from collections import OrderedDict, deque
from gc import get_referents
from opcode import opmap
from pathlib import PurePath
from typing import Any, Callable, Optional, Protocol

from .internals import identity
from .probes import load

#: What is looked at of a value for its digest.
_MOST_PARTS, _MOST_TEXT = 60, 200

_PYTEST_CURRENT_TEST = b"PYTEST_CURRENT_TEST"

# What is done with objects of a type: nothing; nothing but to tell that it has unknown insides; to look at what it refers to; to compare
# that as well; or, for the rest, what their functions below say.
ATOM, OPAQUE, FIXED, MUTABLE, MODULE, CLASS, FUNCTION, PECULIAR = range(8)

_ATOMS = (str, int, float, bytes, bool, type(None), complex)

#: Types by their modules and names whose objects don't change, or whose changes nobody sees.
_CONSTANT = frozenset(
    (
        "_abc._abc_data",
        "_struct.Struct",
        "_thread.RLock",
        "_thread._localdummy",
        "builtins.NoDefaultType",
        "builtins.NotImplementedType",
        "builtins.classmethod_descriptor",
        "builtins.code",
        "builtins.ellipsis",
        "builtins.frame",
        "builtins.getset_descriptor",
        "builtins.member_descriptor",
        "builtins.method-wrapper",
        "builtins.method_descriptor",
        "builtins.object",
        "builtins.range",
        "builtins.slice",
        "builtins.traceback",
        "builtins.wrapper_descriptor",
        "collections._tuplegetter",
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "operator.attrgetter",
        "operator.itemgetter",
        "operator.methodcaller",
        "pydantic_core._pydantic_core.SchemaSerializer",
        "pydantic_core._pydantic_core.SchemaValidator",
        "pydantic.type_adapter.TypeAdapter",
        "pyexpat.XMLParserType",
        "re.Pattern",
        "typing.NoDefault",
        "zoneinfo.ZoneInfo",
    )
)

#: Such that only refer to others for good.
_FIXED_TYPES = frozenset(
    (
        tuple,
        frozenset,
        property,
        staticmethod,
        classmethod,
        types.MethodType,
        types.BuiltinMethodType,
        types.MappingProxyType,
        types.GenericAlias,
        types.UnionType,
        super,
    )
)

#: Those of the interpreter's own whose references are all that they hold.
_TRANSPARENT = frozenset(
    (
        "_collections._deque_iterator",
        "_functools._lru_cache_wrapper",
        "_functools.partial",
        "_thread._local",
        "builtins.BaseException",
        "builtins.Exception",
        "builtins.cell",
        "builtins.dict",
        "builtins.list",
        "builtins.set",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "functools._lru_cache_wrapper",
        "functools.partial",
        "types.SimpleNamespace",
        "typing.Generic",
        "typing.Protocol",
    )
)

#: Whose own objects are none of the project's, and what of pytest's leads to such that are.
_FOREIGN = frozenset(("_pytest", "pytest", "pluggy", "dx_py_test_runner", "typing", "_typing"))
_LEADING = frozenset(
    ("FixtureFunctionDefinition", "FixtureFunctionMarker", "Mark", "MarkDecorator", "ParameterSet", "UnionType")
)

_SETTING = (opmap["STORE_ATTR"], opmap["DELETE_ATTR"])
_IMPORTING = (opmap["IMPORT_NAME"], opmap["IMPORT_FROM"])
_EXTENDED = opmap["EXTENDED_ARG"]

#: A flag of types that aren't static ones of native code, and what only a class statement leaves in a class, one of them at least.
_HEAP_TYPE = 1 << 9
_OF_PYTHON = ("__static_attributes__", "__firstlineno__", "__slots__", "__weakref__", "__dict__")

#: In place of a value: there is none.
MISSING = object()


class State(Protocol):
    """The state that objects are part of."""

    #: By identity each object that is part of it, the names that lead to it, and the scope in which they do.
    known: dict[int, tuple[Any, frozenset[str], str]]

    def is_in_project(self, file: str) -> bool:
        """Whether a file is the project's."""


def _identities_by_name(objects: list[Any]) -> bytes:
    return array("Q", map(id, objects)).tobytes()


def _fast_identities() -> Callable[[list[Any]], bytes]:
    """What gives the identities of a list's objects as bytes: a copy of what the list is made of, if that is laid out as is known, which is
    ten times faster than to ask for each."""
    probes = load()
    if probes is not None:
        compiled: Callable[[list[Any]], bytes] = probes.identities
        return compiled
    try:
        from ctypes import c_void_p, string_at
    except ImportError:
        return _identities_by_name
    # A list is its count of references, its type, its length, and where its items are.
    at, place = 3 * tuple.__itemsize__, c_void_p.from_address

    def identities(objects: list[Any]) -> bytes:
        return string_at(place(id(objects) + at).value or 0, 8 * len(objects)) if objects else b""

    sample = [identities, at, None, "", identities]
    is_known = sys.implementation.name == "cpython" and list.__basicsize__ == 5 * 8
    return identities if is_known and identities(sample) == _identities_by_name(sample) else _identities_by_name


identities_of = _fast_identities()


def is_own_stream(each: Any) -> bool:
    """Whether a value is a stream of this process, or what pytest puts in its place. Which of them there is, and what was written, is a
    matter of how the test of the moment is captured."""
    standard = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return _full_name(type(each)).startswith("_pytest.capture.") or any(each is stream for stream in standard)


class Operands:
    """What the instructions of code have names for."""

    def __init__(self, code: types.CodeType) -> None:
        #: The attributes that it sets or deletes, and what it imports.
        self.set: list[str] = []
        self.imported: list[str] = []
        if not code.co_names:
            return
        # It is made each time that it is asked for.
        bytecode = code.co_code
        kinds = bytecode[::2]
        for operations, found in ((_SETTING, self.set), (_IMPORTING, self.imported)):
            for operation in operations:
                at = kinds.find(operation)
                while at >= 0:
                    number, before = bytecode[2 * at + 1], at - 1
                    shift = 8
                    while before >= 0 and kinds[before] == _EXTENDED:
                        number |= bytecode[2 * before + 1] << shift
                        before, shift = before - 1, shift + 8
                    if number < len(code.co_names):
                        found.append(code.co_names[number])
                    at = kinds.find(operation, at + 1)
        self.set = [name for name in self.set if not name.startswith("__")]


def file_of(each: Any) -> str:
    """The file of the module that a class, or what stands for a function, says to be of."""
    is_class = issubclass(type(each), type)
    name = type.__getattribute__(each, "__module__") if is_class else getattr(each, "__module__", None)
    module = sys.modules.get(name) if type(name) is str else None
    file = getattr(module, "__file__", None)
    return file if type(file) is str else ""


#: The variables of a class, without asking its metaclass.
variables_of: Callable[[type], Any] = type.__dict__["__dict__"].__get__


def class_variables(cls: type) -> Optional[dict[str, Any]]:
    """The dictionary behind `cls.__dict__`."""
    names = variables_of(cls).keys()
    for each in get_referents(cls):
        if type(each) is dict and each.keys() == names:
            return each
    return None


def is_at_home(function: Any) -> bool:
    """Whether a function, or what stands for one, is a variable of the module that it says to be of."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    return module is not None and getattr(module, "__dict__", {}).get(name) is function


def kind_of(own: type) -> int:
    if own in _ATOMS:
        return ATOM
    if issubclass(own, types.ModuleType):
        return MODULE
    if issubclass(own, type):
        return CLASS
    if own is types.FunctionType:
        return FUNCTION
    if own in _FIXED_TYPES:
        return FIXED
    if _peculiar_type(own) is not None:
        return PECULIAR
    if issubclass(own, (weakref.ref, *weakref.ProxyTypes, logging.Manager, PurePath)):
        return ATOM
    name = _full_name(own)
    if name in _CONSTANT or _is_empty(own):
        return ATOM
    if name == "functools._lru_list_elem":
        return FIXED
    top = name.partition(".")[0]
    if top in _FOREIGN:
        return MUTABLE if own.__name__ in _LEADING and top in ("_pytest", "pytest") else ATOM
    # What was defined in Python holds what it refers to, if what it is derived from does.
    for base in own.__mro__:
        if base is object or base in _ATOMS or base in _FIXED_TYPES or issubclass(base, BaseException):
            continue
        name = _full_name(base)
        if name not in _TRANSPARENT and name not in _CONSTANT and (name.startswith("_io.") or not _is_python(base)):
            return OPAQUE
    return MUTABLE


def _is_empty(own: type) -> bool:
    """Whether objects of a type have no room for anything, as those have that native code puts in place of a value that isn't there."""
    return own.__basicsize__ == object.__basicsize__ and not own.__itemsize__ and not own.__dictoffset__


def _is_python(cls: type) -> bool:
    """Whether a class was defined in Python: those of native code don't have all of this in their dictionaries."""
    if not cls.__flags__ & _HEAP_TYPE:
        return False
    shown = variables_of(cls)
    return any(key in shown for key in _OF_PYTHON) or cls.__base__ is not object and _is_python(cls.__base__ or object)


def _full_name(own: type) -> str:
    # Without asking a metaclass, which may be the project's.
    module, name = type.__getattribute__(own, "__module__"), type.__getattribute__(own, "__qualname__")
    return f"{module}.{name}" if type(module) is str else str(name)


def is_equal(now: list[Any], before: list[Any]) -> bool:
    """Whether what differs in identity is plain and equal."""
    return len(now) == len(before) and all(
        one is other or type(one) is type(other) and type(one) in _ATOMS and one == other
        for one, other in zip(now, before)
    )


def _said_of(each: Any) -> str:
    if type(each) is int:
        return hex(each)[:_MOST_TEXT]  # in tens it may be too long for Python
    if type(each) in (str, bytes):
        return f"{len(each)} {each[:_MOST_TEXT]!r}"
    return repr(each)


#: The last bit of a digest that tells all of a value. `cli/leftovers.rs` asks for it.
EXACT = 1

#: In place of digests: what is there is what was there, in another order. `cli/leftovers.rs` asks for it.
REORDERED = 2

#: Types of what has nothing but an order of values.
SEQUENCES = (list, deque)

#: Containers of which the parts tell all, beside dictionaries.
_OF_PARTS = (*SEQUENCES, tuple)


def digest(value: Any) -> int:
    """A digest of what a value is, the same in other processes: of its type, and of what it holds as far as that is plain; `EXACT` says
    whether that is all of it."""
    said: list[str] = []
    pending = [value]
    is_exact = True
    while pending and len(said) < _MOST_PARTS:
        each = pending.pop()
        own = type(each)
        if own in _ATOMS:
            plain = _said_of(each)
            said.append(f"{own.__name__} {plain}")
            is_exact &= len(plain) < _MOST_TEXT
        elif issubclass(own, type) or own is types.FunctionType:
            name = _full_name(each) if own is not types.FunctionType else f"{each.__module__}.{each.__qualname__}"
            said.append(name)
            is_exact &= "<locals>" not in name
        else:
            said.append(_full_name(own))
            if own in (dict, OrderedDict):
                pending += [one for pair in list(each.items()) for one in pair]
            elif own not in (set, frozenset, types.ModuleType, types.FrameType):
                pending += get_referents(each)
                is_exact &= own in _OF_PARTS
            else:
                is_exact &= own in (set, frozenset) and not each
    text = "\0".join(said).encode("utf-8", "backslashreplace")
    found = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return found | EXACT if is_exact and not pending else found & ~EXACT


# What is looked at otherwise than by its references


def environment() -> list[Any]:
    data: Any = os.environ._data  # type: ignore[attr-defined]
    # In which order they were set is told to nobody who doesn't look for that.
    return [one for key, value in sorted(data.items()) if key != _PYTEST_CURRENT_TEST for one in (key, value)]


_getcwd = os.getcwd


def working_directory() -> list[Any]:
    try:
        return [_getcwd()]
    except OSError:
        return [None]


class _WeakKeys:
    """Looks at the values of those keys that are part of the state: to find one its key is needed. Of keys of which few are, and many may
    be waiting to be collected, only those that are new are asked whether they are."""

    def __init__(self, state: State, each: Any) -> None:
        self._known, self._data = state.known, each.data
        self._lasting: list[Any] = []
        self._last: Any = None

    def __call__(self) -> list[Any]:
        data, known = self._data, self._known
        new: list[Any] = []
        for reference in reversed(data):
            if reference is self._last:
                break
            new.append(reference)
        if new:
            self._last = new[0]
            ids = set(map(identity, new))
            self._lasting = [one for one in self._lasting if one() is not None and identity(one) not in ids]
            self._lasting += [one for one in reversed(new) if identity(one()) in known]
        return [data[one] for one in self._lasting if one in data]


def _of_weak_values(state: State, each: Any) -> Callable[[], list[Any]]:
    known = state.known

    def look() -> list[Any]:
        data = each.data
        values = [reference() for reference in list(data.values() if type(data) is dict else data)]
        return [value for value in values if identity(value) in known]

    return look


def _of_context_variable(_state: State, each: Any) -> Callable[[], list[Any]]:
    def look() -> list[Any]:
        value = each.get(MISSING)
        return [] if value is MISSING else [value]

    return look


def _of_logger(_state: State, each: Any) -> Callable[[], list[Any]]:
    return lambda: [each.level, each.propagate, each.disabled, *each.handlers, *each.filters]


def _of_kept_results(state: State, each: Any) -> Callable[[], list[Any]]:
    # What a library keeps of its own functions is its own affair.
    is_foreign = is_at_home(each) and not state.is_in_project(file_of(each))
    return _nothing if is_foreign else lambda: get_referents(each)


def _of_stream_in_memory(_state: State, each: Any) -> Callable[[], list[Any]]:
    own: Any = io.BytesIO if isinstance(each, io.BytesIO) else io.StringIO

    def look() -> list[Any]:
        try:
            held = [own.getvalue(each), own.tell(each)]
        except ValueError:  # it is closed
            held = []
        return held + get_referents(each)

    return look


def _nothing() -> list[Any]:
    return []


#: By types what makes, for an object of such a type, what looks at it.
_LOOKS: dict[type, Callable[[State, Any], Callable[[], list[Any]]]] = {
    weakref.WeakKeyDictionary: _WeakKeys,
    weakref.WeakValueDictionary: _of_weak_values,
    weakref.WeakSet: _of_weak_values,
    contextvars.ContextVar: _of_context_variable,
    logging.Logger: _of_logger,
    functools._lru_cache_wrapper: _of_kept_results,
    io.BytesIO: _of_stream_in_memory,
    io.StringIO: _of_stream_in_memory,
    type(threading.Lock()): lambda _state, each: lambda: [each.locked()],
}


def _peculiar_type(own: type) -> Any:
    for base in own.__mro__:
        if base in _LOOKS:
            return base
    return None


def look_at(state: State, each: Any) -> Callable[[], list[Any]]:
    """What looks at a peculiar object that is part of a state."""
    return _LOOKS[_peculiar_type(type(each))](state, each)
