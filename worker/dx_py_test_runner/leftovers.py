"""Finds what tests leave behind: whatever of the state that the project's code can reach differs after a test from what it was before.

The state is what the variables of the project's modules, the attributes of its classes, and what its functions keep (cells, values by
default, attributes) lead to; beside it the values of fixtures that tests share, parameters that test functions share, the environment and
the working directory. Each object is reached under the names that code must mention to get at it: those of the variables, attributes and
parameters that lead there. So what a test left is told as names, and a later test that runs no code which mentions one of them can't find it.

Comparing is a matter of identity: an object has changed if it refers to others than before, and what can't change isn't asked. What an
object of a type of unknown insides holds isn't seen: the names that lead to it are told as *opaque*, as if each test that mentions one
changed it.
"""

from __future__ import annotations

import contextvars
import functools
import hashlib
import logging
import os
import sys
import types
import weakref
from array import array
from collections.abc import Iterable
from gc import get_referents
from itertools import chain
from opcode import opmap
from operator import is_
from pathlib import PurePath
from typing import Any, Callable, Optional

#: In place of a name: all that run later may find it.
ANYBODY = "*"

#: Under how many names an object is told; what is reached by more is anybody's.
_MOST_NAMES = 16

#: How many objects are compared at once, and how many there may be.
_CHUNK = 256
_MOST_OBJECTS = 50_000

#: After how many tests that left something under a name it isn't compared any more: whoever mentions it may be one of them.
_USUAL = 16

#: After how many changes the state is walked anew, so that what is gone is let go of.
_WORTH_A_WALK = 400

#: What is looked at of a value for its digest.
_MOST_PARTS, _MOST_TEXT, _MOST_DELTAS = 60, 200, 8

#: What a module, a class or a function has that the interpreter, or pytest, keeps there for itself.
_OWN_KEYS = frozenset(
    (
        "__abstractmethods__",
        "__annotate_func__",
        "__annotations_cache__",
        "__builtins__",
        "__cached__",
        "__dict__",
        "__loader__",
        "__slotnames__",
        "__spec__",
        "__warningregistry__",
        "__weakref__",
        "_abc_impl",
    )
)

#: Names by which the environment is asked.
_ENVIRONMENT = frozenset(
    ("environ", "environb", "expanduser", "expandvars", "getenv", "getenvb", "gettempdir", "monkeypatch")
)
_PYTEST_CURRENT_TEST = b"PYTEST_CURRENT_TEST"

# What is done with objects of a type: nothing; nothing but to tell that it has unknown insides; to look at what it refers to; to compare
# that as well; or, for the rest, what their functions below say.
_ATOM, _OPAQUE, _FIXED, _MUTABLE, _MODULE, _CLASS, _FUNCTION, _PECULIAR = range(8)

_ATOMS = (str, int, float, bytes, bool, type(None), complex)

#: Types by their modules and names whose objects don't change, or whose changes nobody sees.
_CONSTANT = frozenset(
    (
        "_abc._abc_data",
        "_struct.Struct",
        "_thread.RLock",
        "_thread._localdummy",
        "_thread.lock",
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
_EXTENDED = opmap["EXTENDED_ARG"]

#: A flag of types that aren't static ones of native code, and what only a class statement leaves in a class, one of them at least.
_HEAP_TYPE = 1 << 9
_OF_PYTHON = ("__static_attributes__", "__firstlineno__", "__slots__", "__weakref__", "__dict__")

_MISSING = object()
_keys_of, _count_of = dict.__iter__, dict.__len__


def _identities_by_name(objects: list[Any]) -> bytes:
    return array("Q", map(id, objects)).tobytes()


def _fast_identities() -> Callable[[list[Any]], bytes]:
    """What gives the identities of a list's objects as bytes: a copy of what the list is made of, if that is laid out as is known, which is
    ten times faster than to ask for each."""
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


_identities = _fast_identities()


class _Chunk:
    """Objects that are compared at once, and what they referred to."""

    __slots__ = ("flat", "flat_keys", "is_of_more", "key_counts", "keyed", "keys", "objects", "referents")

    def __init__(self) -> None:
        self.objects: list[Any] = []
        # Dictionaries among them, whose references are their values alone.
        self.keyed: list[Any] = []
        self.referents: list[list[Any]] = []
        self.flat = self.flat_keys = b""
        self.keys: list[Any] = []
        self.key_counts: list[int] = []
        #: Whether its objects are reached by other ways than the value of the fixture that they belong to.
        self.is_of_more = False

    def look(self) -> None:
        """Take what there is now for what there was."""
        self.referents = [get_referents(each) for each in self.objects]
        self.flat = _identities(list(chain.from_iterable(self.referents)))
        self.keys = list(chain.from_iterable(map(_keys_of, self.keyed)))
        self.flat_keys = _identities(self.keys)
        self.key_counts = list(map(_count_of, self.keyed))

    def is_as_it_was(self) -> bool:
        """Whether each object refers to what it did."""
        return (
            _identities(get_referents(*self.objects)) == self.flat
            and _identities(list(chain.from_iterable(map(_keys_of, self.keyed)))) == self.flat_keys
        )


class _Namespace:
    """A dictionary whose values are reached by their keys: of a module, a class or a function."""

    __slots__ = ("content", "skipped", "variables")

    def __init__(self, variables: dict[str, Any], skipped: frozenset[str]) -> None:
        self.variables = variables
        self.skipped = skipped
        self.content: dict[str, Any] = {}


class Leftovers:
    """The state of the project in this process, compared after each test. `is_of_project` says of a file whether it is the project's; `codes`
    is the project's code that is known, a list to which more may be added."""

    def __init__(self, is_of_project: Callable[[str], bool], codes: list[types.CodeType]) -> None:
        self._is_of_project = is_of_project
        # The project's code, to which more is added; how much of it was looked at; and the attributes that it may set.
        self._codes = codes
        self._read = 0
        self._set: set[str] = set()
        #: The names that lead to what can't be compared.
        self.opaque: set[str] = set()
        self._begun = False
        # In how many comparisons something was found under each name, and the names that were given up.
        self._counts: dict[str, int] = {}
        self._usual: frozenset[str] = frozenset()
        self._kinds: dict[type, int] = {}
        self._files: dict[str, bool] = {}
        self._items: list[Any] = []
        self._parameters: dict[int, tuple[str, Any]] = {}
        self._fixtures: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        #: By identity each object that is part of the state, and the names that lead to it.
        self.known: dict[int, tuple[Any, frozenset[str]]] = {}
        self._namespaces: dict[int, _Namespace] = {}
        self._modules: dict[str, Any] = {}
        self._count_of_modules = 0
        self._chunks: list[_Chunk] = []
        self._open = _Chunk()
        self._peculiar: list[tuple[Callable[[], list[Any]], list[Any], frozenset[str], Any]] = []
        self._looks: dict[int, Callable[[], list[Any]]] = {}
        self._of_fixtures: list[tuple[Any, Any, list[_Chunk]]] = []
        # Modules and classes that aren't the project's, and what of theirs its code may set.
        self._foreign: dict[int, Any] = {}
        self._places: list[tuple[Any, str]] = []
        self._placed = (0, 0)
        self._values: list[Any] = []
        self._changes = 0

    # What there is

    def hear_of(self, items: Iterable[Any]) -> None:
        """Learn of tests, whose parameters may be those of others."""
        self._items.extend(items)

    def watch_fixture(self, fixture: Any) -> None:
        """Learn of a fixture that tests share, whose value is about to be made."""
        if not any(each is fixture for each in self._fixtures):
            self._fixtures.append(fixture)

    def begin(self) -> None:
        """A test is about to run: what was imported since the last one isn't what a test left."""
        if not self._begun:
            self._begun = True
            self._walk()
        elif self._items or self._count_of_modules != len(sys.modules):
            self._add_modules()
            self._add_parameters()
            self._close()
            self._place_foreign()

    def _walk(self) -> None:
        self._reset()
        self._add_modules()
        self._add_parameters()
        self._add_peculiar(_environment, _ENVIRONMENT, None)
        self._add_peculiar(_working_directory, frozenset((ANYBODY,)), None)
        self._add_fixtures()
        self._close()
        self._place_foreign()

    def add_module(self, variables: dict[str, Any]) -> None:
        """The body of a module has run, with these variables: what a test makes of them from now on is what it leaves."""
        name, file = variables.get("__name__"), variables.get("__file__")
        if not self._begun or id(variables) in self._namespaces or type(name) is not str or type(file) is not str:
            return
        module = sys.modules.get(name)
        if module is not None and module.__dict__ is variables and self.is_in_project(file):
            self._modules[name] = module
            self._add_namespace(variables, _OWN_KEYS)
            self._close()

    def _add_modules(self) -> list[str]:
        """Add modules that are new; gives their names."""
        modules = sys.modules
        self._count_of_modules = len(modules)
        new = []
        for name, module in list(modules.items()):
            if self._modules.get(name, _MISSING) is module or not isinstance(module, types.ModuleType):
                continue
            file = module.__dict__.get("__file__")
            if type(file) is str and self.is_in_project(file):
                self._modules[name] = module
                new.append(name)
                self._add_namespace(module.__dict__, _OWN_KEYS)
        return new

    def is_in_project(self, file: str) -> bool:
        """Whether a file is the project's."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = self._is_of_project(file)
        return known

    def _add_parameters(self) -> None:
        items, self._items = self._items, []
        for item in items:
            callspec = getattr(item, "callspec", None)
            if callspec is None:
                continue
            function = item.nodeid.partition("[")[0]
            for name, value in callspec.params.items():
                if self._kind(value) == _ATOM:
                    continue
                first, _ = self._parameters.setdefault(id(value), (function, value))
                if first != function:
                    self._add(value, frozenset((name,)))

    def _add_fixtures(self) -> bool:
        """Look at values that tests share; gives whether one is new. What is torn down is let go of."""
        kept = []
        for fixture, value, chunks in self._of_fixtures:
            result = fixture.cached_result
            if result is not None and result[0] is value or any(chunk.is_of_more for chunk in chunks):
                kept.append((fixture, value, chunks))
                continue
            for chunk in chunks:
                self._chunks.remove(chunk)
                for each in chunk.objects:
                    self.known.pop(id(each), None)
        self._of_fixtures = kept
        if not self._fixtures:
            return False
        self._close()
        is_new = False
        for fixture in self._fixtures:
            result = fixture.cached_result
            if result is None or any(each is fixture for each, _, _ in kept):
                continue
            value = result[0]
            count = len(self._chunks)
            self._add(value, frozenset((fixture.argname,)))
            self._close()
            kept.append((fixture, value, self._chunks[count:]))
            is_new = True
        self._fixtures = [each for each in self._fixtures if each.cached_result is not None]
        return is_new

    # Walking

    def _add_peculiar(self, look: Callable[[], list[Any]], names: frozenset[str], kept: Any) -> None:
        self._peculiar.append((look, look(), names, kept))

    def _add_namespace(self, variables: dict[str, Any], skipped: frozenset[str]) -> None:
        namespace = _Namespace(variables, skipped)
        self._namespaces[id(variables)] = namespace
        self.known[id(variables)] = (variables, frozenset())
        self._compare_later(variables, is_keyed=False)
        namespace.content = content = dict(variables)
        for key, value in content.items():
            if key not in skipped:
                self._add(value, _names_of(key))

    def _compare_later(self, each: Any, is_keyed: bool) -> None:
        self._open.objects.append(each)
        if is_keyed:
            self._open.keyed.append(each)
        if len(self._open.objects) >= _CHUNK:
            self._close()

    def _close(self) -> None:
        """End the chunk that objects are put into."""
        if self._open.objects:
            chunk, self._open = self._open, _Chunk()
            chunk.look()
            self._chunks.append(chunk)
            if len(self.known) > _MOST_OBJECTS:
                raise OverflowError("the tests' modules lead to too many objects")

    def _add(self, value: Any, names: frozenset[str]) -> None:
        """Add what a value leads to, which is reached by these names."""
        known, kinds = self.known, self._kinds
        names -= self._usual
        pending = [(value, names)] if names else []
        while pending:
            each, names = pending.pop()
            kind = kinds.get(type(each), -1)
            if kind < 0:
                kind = self._kind(each)
            if kind == _ATOM:
                continue
            if kind == _OPAQUE:
                self.opaque.update(names)
                continue
            before = known.get(id(each))
            if before is not None:
                if names <= before[1] or ANYBODY in before[1]:
                    continue
                names = before[1] | names
                if len(names) > _MOST_NAMES:
                    names = frozenset((ANYBODY,))
                self._join(each)
            known[id(each)] = (each, names)
            if kind == _FUNCTION:
                self._add_function(each, names, before is None, pending)
                continue
            if kind in (_CLASS, _MODULE):
                if before is None:
                    self._add_class_or_module(each, kind)
                continue
            if kind == _PECULIAR:
                if before is None:
                    self._looks[id(each)] = _LOOKS[_peculiar_type(type(each))](self, each)
                    self._add_peculiar(self._looks[id(each)], names, each)
                pending += [(one, names) for one in self._looks[id(each)]()]
                continue
            is_keyed = issubclass(type(each), dict)
            if kind == _MUTABLE and before is None:
                self._compare_later(each, is_keyed)
            pending += [(one, names) for one in get_referents(each)]
            if is_keyed:
                pending += [(key, names) for key in list(_keys_of(each))]

    def _add_class_or_module(self, each: Any, kind: int) -> None:
        if kind == _MODULE:
            name = vars(each).get("__name__")
            if sys.modules.get(name) is each and name not in self._modules:
                self._foreign[id(each)] = each
        elif not self.is_in_project(_file_of(each)):
            self._foreign[id(each)] = each
        else:
            variables = _class_variables(each)
            if variables is not None:
                self._add_namespace(variables, _OWN_KEYS)

    def _place_foreign(self) -> None:
        """Find what of foreign modules and classes the project's code may set."""
        codes, self._read = self._codes[self._read :], len(self._codes)
        for code in codes:
            self._set.update(_set_by(code))
        sizes = (len(self._set), len(self._foreign))
        if sizes != self._placed:
            self._placed = sizes
            foreign = list(self._foreign.values())
            self._places = [(each, name) for each in foreign for name in self._set & vars(each).keys()]
            self._values = self._values_of_places()

    def _values_of_places(self) -> list[Any]:
        return [vars(each).get(name) for each, name in self._places]

    def _join(self, each: Any) -> None:
        """What belonged to the value of a fixture is reached by other ways, too."""
        for _, _, chunks in self._of_fixtures:
            for chunk in chunks:
                if not chunk.is_of_more and any(one is each for one in chunk.objects):
                    chunk.is_of_more = True

    def _add_function(self, function: Any, names: frozenset[str], is_new: bool, pending: list[Any]) -> None:
        code = function.__code__
        cells, defaults = function.__closure__ or (), function.__defaults__ or ()
        if not self.is_in_project(code.co_filename):
            if not _is_at_home(function):
                for each in (*cells, *defaults, function.__dict__):
                    pending.append((each, names))
            return
        if not is_new:
            return
        of_defaults = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        by_names = (zip(code.co_freevars, cells), zip(of_defaults, defaults), (function.__kwdefaults__ or {}).items())
        for name, value in chain.from_iterable(by_names):
            if name not in self._usual:
                pending.append((value, frozenset((name,))))
        # A function has a dictionary once it is asked for. An empty one costs nothing to compare, to find a new one would.
        self._add_namespace(function.__dict__, _OF_FUNCTIONS)

    # Kinds

    def _kind(self, each: Any) -> int:
        own = type(each)
        kind = self._kinds.get(own)
        if kind is None:
            kind = self._kinds[own] = _kind_of(own)
        return kind

    # Comparing

    def compare(self) -> list[tuple[str, int]]:
        """What is otherwise than when it was last asked: the names that lead there, with digests of what there is now and wasn't."""
        left: dict[str, set[int]] = {}
        for chunk in list(self._chunks):
            if not chunk.is_as_it_was():
                self._find(chunk, left)
        for place, (look, before, names, kept) in enumerate(self._peculiar):
            now = look()
            if len(now) != len(before) or not all(map(is_, now, before)):
                self._peculiar[place] = (look, now, names, kept)
                if not _is_equal(now, before):
                    current = self.known[id(kept)][1] if kept is not None else names
                    self._note(left, current, now, before)
        values = self._values_of_places()
        if not all(map(is_, values, self._values)):
            for (_, name), now, former in zip(self._places, values, self._values):
                if not _is_equal([now], [former]):
                    self._note(left, _names_of(name), [now], [former])
            self._values = values
        self._compare_modules(left)
        self._add_fixtures()
        self._close()
        for name in left:
            count = self._counts[name] = self._counts.get(name, 0) + 1
            if count == _USUAL:
                self._usual |= {name}
                self.opaque.add(name)
                self._changes = _WORTH_A_WALK
        if self._changes >= _WORTH_A_WALK:
            self._walk()
        return [(name, delta) for name, deltas in left.items() for delta in deltas]

    def _compare_modules(self, left: dict[str, set[int]]) -> None:
        modules = sys.modules
        gone = [name for name, module in self._modules.items() if modules.get(name) is not module]
        for name in gone:
            del self._modules[name]
        new = self._add_modules() if gone or self._count_of_modules != len(modules) else []
        for name in {*gone, *new}:
            for one in {name, name.rpartition(".")[2]}:
                left.setdefault(one, set()).add(_digest(name))
        # A module that a test imported may be as its body made it, or not.
        for name in new:
            for key, value in list(self._modules[name].__dict__.items()):
                kind = self._kind(value)
                if key not in _OWN_KEYS and kind not in (_MODULE, _ATOM):
                    left.setdefault(key, set()).add(_digest(name))

    def _find(self, chunk: _Chunk, left: dict[str, set[int]]) -> None:
        """Find what differs in a chunk."""
        referents, keys = chunk.referents, iter(chunk.keys)
        keys_before = {id(each): [next(keys) for _ in range(size)] for each, size in zip(chunk.keyed, chunk.key_counts)}
        chunk.look()
        for each, before, now in zip(chunk.objects, referents, chunk.referents):
            former = keys_before.get(id(each))
            if former is not None:
                before, now = [*before, *former], [*now, *_keys_of(each)]
            if len(now) == len(before) and all(map(is_, now, before)) or _is_equal(now, before):
                continue
            namespace = self._namespaces.get(id(each))
            if namespace is not None:
                self._find_in(namespace, left)
            else:
                self._note(left, self.known[id(each)][1], now, before)

    def _find_in(self, namespace: _Namespace, left: dict[str, set[int]]) -> None:
        before, namespace.content = namespace.content, dict(namespace.variables)
        now = namespace.content
        for key in now.keys() | before.keys():
            value, former = now.get(key, _MISSING), before.get(key, _MISSING)
            if former is _MISSING and self._kind(value) == _MODULE:
                continue  # a package has what was imported of it
            if value is former or key in namespace.skipped or key in self._usual or _is_equal([value], [former]):
                continue
            self._note(left, _names_of(key), [value], [former])

    def _note(self, left: dict[str, set[int]], names: frozenset[str], now: list[Any], before: list[Any]) -> None:
        self._changes += 1
        old, new = set(map(id, before)), set(map(id, now))
        added = [one for one in now if id(one) not in old and one is not _MISSING]
        removed = sum(1 for one in before if id(one) not in new and one is not _MISSING)
        deltas = {_digest(one) for one in added[:_MOST_DELTAS]}
        if removed or len(added) > _MOST_DELTAS or not deltas:
            # What went is told by what isn't there.
            deltas.add(_digest((removed, len(added))))
        for name in names:
            left.setdefault(name, set()).update(deltas)
        for one in added:
            self._add(one, names)


def _names_of(key: Any) -> frozenset[str]:
    is_plain = type(key) is str and not (key.startswith("__") and key.endswith("__"))
    return frozenset((key if is_plain else ANYBODY,))


#: The marks of a function are its own.
_OF_FUNCTIONS = _OWN_KEYS | {"pytestmark"}


def _set_by(code: types.CodeType) -> Iterable[str]:
    """The attributes that code sets or deletes, by its instructions."""
    bytecode, names = code.co_code, code.co_names
    operations = bytecode[::2]
    for operation in _SETTING:
        at = operations.find(operation)
        while at >= 0:
            number, before = bytecode[2 * at + 1], at - 1
            shift = 8
            while before >= 0 and operations[before] == _EXTENDED:
                number |= bytecode[2 * before + 1] << shift
                before, shift = before - 1, shift + 8
            if number < len(names) and not names[number].startswith("__"):
                yield names[number]
            at = operations.find(operation, at + 1)


def _file_of(each: Any) -> str:
    """The file of the module that a class, or what stands for a function, says to be of."""
    name = getattr(each, "__module__", None)
    module = sys.modules.get(name) if type(name) is str else None
    file = getattr(module, "__file__", None)
    return file if type(file) is str else ""


def _class_variables(cls: type) -> Optional[dict[str, Any]]:
    """The dictionary behind `cls.__dict__`."""
    names = vars(cls).keys()
    for each in get_referents(cls):
        if type(each) is dict and each.keys() == names:
            return each
    return None


def _is_at_home(function: Any) -> bool:
    """Whether a function, or what stands for one, is a variable of its own module's, which isn't the project's."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    return module is not None and getattr(module, "__dict__", {}).get(name) is function


def _kind_of(own: type) -> int:
    if own in _ATOMS:
        return _ATOM
    if issubclass(own, types.ModuleType):
        return _MODULE
    if issubclass(own, type):
        return _CLASS
    if own is types.FunctionType:
        return _FUNCTION
    if own in _FIXED_TYPES:
        return _FIXED
    if _peculiar_type(own) is not None:
        return _PECULIAR
    if issubclass(own, (weakref.ref, *weakref.ProxyTypes, logging.Manager, PurePath)):
        return _ATOM
    name = _full_name(own)
    if name in _CONSTANT:
        return _ATOM
    if name == "functools._lru_list_elem":
        return _FIXED
    top = name.partition(".")[0]
    if top in _FOREIGN:
        return _MUTABLE if own.__name__ in _LEADING and top in ("_pytest", "pytest") else _ATOM
    # What was defined in Python holds what it refers to, if what it is derived from does.
    for base in own.__mro__:
        if base is object or base in _ATOMS or base in _FIXED_TYPES or issubclass(base, BaseException):
            continue
        name = _full_name(base)
        if name not in _TRANSPARENT and name not in _CONSTANT and (name.startswith("_io.") or not _is_python(base)):
            return _OPAQUE
    return _MUTABLE


def _is_python(cls: type) -> bool:
    """Whether a class was defined in Python: those of native code don't have all of this in their dictionaries."""
    if not cls.__flags__ & _HEAP_TYPE:
        return False
    shown = vars(cls)
    return any(key in shown for key in _OF_PYTHON) or cls.__base__ is not object and _is_python(cls.__base__ or object)


def _full_name(own: type) -> str:
    module = own.__module__
    return f"{module}.{own.__qualname__}" if type(module) is str else own.__qualname__


def _is_equal(now: list[Any], before: list[Any]) -> bool:
    """Whether what differs in identity is plain and equal."""
    return len(now) == len(before) and all(
        one is other or type(one) is type(other) and type(one) in _ATOMS and one == other
        for one, other in zip(now, before)
    )


def _digest(value: Any) -> int:
    """A digest of what a value is, the same in other processes: of its type, and of what it holds as far as that is plain."""
    said: list[str] = []
    pending = [value]
    while pending and len(said) < _MOST_PARTS:
        each = pending.pop()
        own = type(each)
        if own in _ATOMS:
            said.append(f"{own.__name__} {each!r:.{_MOST_TEXT}}")
        elif issubclass(own, type) or own is types.FunctionType:
            said.append(f"{each.__module__}.{each.__qualname__}")
        else:
            said.append(_full_name(own))
            if own is dict:
                pending += [one for pair in list(each.items()) for one in pair]
            elif own not in (set, frozenset, types.ModuleType, types.FrameType):
                pending += get_referents(each)
    text = "\0".join(said).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


# What is looked at otherwise than by its references


def _environment() -> list[Any]:
    data: Any = os.environ._data  # type: ignore[attr-defined]
    # In which order they were set is told to nobody who doesn't look for that.
    return [one for key, value in sorted(data.items()) if key != _PYTEST_CURRENT_TEST for one in (key, value)]


_getcwd = os.getcwd


def _working_directory() -> list[Any]:
    try:
        return [_getcwd()]
    except OSError:
        return [None]


class _WeakKeys:
    """Looks at the values of those keys that are part of the state: to find one its key is needed. Of keys of which few are, and many may
    be waiting to be collected, only those that are new are asked whether they are."""

    def __init__(self, leftovers: Leftovers, each: Any) -> None:
        self._known, self._data = leftovers.known, each.data
        self._lasting: list[Any] = []
        self._last: Any = None

    def __call__(self) -> list[Any]:
        data, known = self._data, self._known
        new = []
        for reference in reversed(data):
            if reference is self._last:
                break
            new.append(reference)
        if new:
            self._last = new[0]
            self._lasting = [one for one in self._lasting if one in data and one not in new]
            self._lasting += [one for one in reversed(new) if id(one()) in known]
        return [data[one] for one in self._lasting if one in data]


def _of_weak_values(leftovers: Leftovers, each: Any) -> Callable[[], list[Any]]:
    known = leftovers.known

    def look() -> list[Any]:
        values = [reference() for reference in list(each.data.values())]
        return [value for value in values if id(value) in known]

    return look


def _of_weak_set(leftovers: Leftovers, each: Any) -> Callable[[], list[Any]]:
    known = leftovers.known

    def look() -> list[Any]:
        values = [reference() for reference in list(each.data)]
        return [value for value in values if id(value) in known]

    return look


def _of_context_variable(_leftovers: Leftovers, each: Any) -> Callable[[], list[Any]]:
    def look() -> list[Any]:
        value = each.get(_MISSING)
        return [] if value is _MISSING else [value]

    return look


def _of_logger(_leftovers: Leftovers, each: Any) -> Callable[[], list[Any]]:
    return lambda: [each.level, each.propagate, each.disabled, *each.handlers, *each.filters]


def _of_kept_results(leftovers: Leftovers, each: Any) -> Callable[[], list[Any]]:
    # What a library keeps of its own functions is its own affair.
    is_foreign = _is_at_home(each) and not leftovers.is_in_project(_file_of(each))
    return _nothing if is_foreign else lambda: get_referents(each)


def _nothing() -> list[Any]:
    return []


#: By types what makes, for an object of such a type, what looks at it.
_LOOKS: dict[type, Callable[[Leftovers, Any], Callable[[], list[Any]]]] = {
    weakref.WeakKeyDictionary: _WeakKeys,
    weakref.WeakValueDictionary: _of_weak_values,
    weakref.WeakSet: _of_weak_set,
    contextvars.ContextVar: _of_context_variable,
    logging.Logger: _of_logger,
    functools._lru_cache_wrapper: _of_kept_results,
}


def _peculiar_type(own: type) -> Any:
    for base in own.__mro__:
        if base in _LOOKS:
            return base
    return None
