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

import sys
import types
from collections import Counter
from collections.abc import Iterable
from gc import get_referents
from itertools import chain
from operator import is_
from typing import Any, Callable, Optional

from .compared import Compared, keys_of, kind_of_compared
from .internals import identity
from .objects import (
    ATOM,
    CLASS,
    EXACT,
    FUNCTION,
    MISSING,
    MODULE,
    MUTABLE,
    OPAQUE,
    PECULIAR,
    REORDERED,
    SEQUENCES,
    class_variables,
    digest,
    environment,
    file_of,
    is_at_home,
    is_equal,
    is_own_stream,
    kind_of,
    look_at,
    set_by,
    variables_of,
    working_directory,
)

#: In place of a name: all that run later may find it.
ANYBODY = "*"

#: Under how many names an object is told; what is reached by more is anybody's.
_MOST_NAMES = 16

#: How many objects may be compared.
_MOST_OBJECTS = 8_000

#: After how many changes the state is walked anew, so that what is gone is let go of; and after how many comparisons, if names were given up.
_WORTH_A_WALK = 400
_WORTH_TO_LET_GO = 400

#: How many digests are told of what is found in one place.
_MOST_DIGESTS = 8

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

#: The marks of a function are its own.
_OF_FUNCTIONS = _OWN_KEYS | {"pytestmark"}

#: Names by which the environment is asked.
_ENVIRONMENT = frozenset(
    ("environ", "environb", "expanduser", "expandvars", "getenv", "getenvb", "gettempdir", "monkeypatch")
)

#: Values, and the names that lead to them.
_Pairs = list[tuple[Any, frozenset[str]]]


class _Namespace:
    """A dictionary whose values are reached by their keys: of a module, a class or a function."""

    __slots__ = ("content", "skipped", "variables")

    def __init__(self, variables: dict[str, Any], skipped: frozenset[str]) -> None:
        self.variables = variables
        self.skipped = skipped
        self.content: dict[str, Any] = {}


class _Shared:
    """The value of a fixture that tests share."""

    __slots__ = ("compared", "fixture", "is_of_more", "known", "value")

    def __init__(self, fixture: Any, value: Any, compared: Compared) -> None:
        self.fixture = fixture
        self.value = value
        self.compared = compared
        # The identities of what it leads to, and whether that is reached by other ways, too.
        self.known: set[int] = set()
        self.is_of_more = False


class Leftovers:
    """The state of the project in this process, compared after each test. `is_of_project` says of a file whether it is the project's; `codes`
    is the project's code that is known, a list to which more may be added; `compare` makes what compares objects."""

    def __init__(
        self,
        is_of_project: Callable[[str], bool],
        codes: list[types.CodeType],
        compare: Optional[Callable[[], Compared]] = None,
    ) -> None:
        self._new_compared = compare or kind_of_compared()
        self._is_of_project = is_of_project
        # The project's code, to which more is added; how much of it was looked at; and the attributes that it may set.
        self._codes = codes
        self._read = 0
        self._set: set[str] = set()
        #: The names that lead to what can't be compared.
        self.opaque: set[str] = set()
        self._begun = False
        # Names that lead to too much.
        self._given_up: frozenset[str] = frozenset()
        self._kinds: dict[type, int] = {}
        self._files: dict[str, bool] = {}
        self._items: list[Any] = []
        # The file of a module whose body isn't done yet.
        self._imported = ""
        # By identity and name the test functions that have a parameter, and its value.
        self._parameters: dict[tuple[int, str], tuple[set[str], Any]] = {}
        self._fixtures: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        #: By identity each object that is part of the state, and the names that lead to it.
        self.known: dict[int, tuple[Any, frozenset[str]]] = {}
        self._namespaces: dict[int, _Namespace] = {}
        self._modules: dict[str, Any] = {}
        self._count_of_modules = 0
        self._compared_of_all = self._compared = self._new_compared()
        self._peculiar: list[tuple[Callable[[], list[Any]], list[Any], frozenset[str], Any]] = []
        self._looks: dict[int, Callable[[], list[Any]]] = {}
        self._of_fixtures: list[_Shared] = []
        # Takes the identities of what comes to be known, while it is the value of a fixture that is looked at.
        self._journal: Optional[set[int]] = None
        # Modules and classes that aren't the project's, and what of theirs its code may set.
        self._foreign: dict[int, Any] = {}
        self._spaces: list[Any] = []
        self._sizes: list[int] = []
        self._places: list[tuple[Any, str]] = []
        self._placed = (0, 0)
        self._values: list[Any] = []
        self._changes = self._rounds = self._count_after_walk = 0

    # What there is

    def hear_of(self, items: Iterable[Any]) -> None:
        """Learn of tests, whose parameters may be those of others."""
        self._items.extend(items)

    def watch_fixture(self, fixture: Any) -> None:
        """Learn of a fixture that tests share, whose value is about to be made."""
        if not any(each is fixture for each in self._fixtures):
            self._fixtures.append(fixture)

    def look_at_fixtures(self) -> None:
        """Take the values of fixtures that were just set up for what there is."""
        if self._begun:
            self._add_fixtures()

    def begin(self, imported: str = "") -> None:
        """A test is about to run, or the file `imported` to be imported: what was imported before isn't what it leaves."""
        self._imported = imported
        if not self._begun:
            self._begun = True
            self._walk()
        elif self._items or self._count_of_modules != len(sys.modules) or self._read != len(self._codes):
            self._add_modules()
            self._add_parameters()
            self._compared.close()
            self.read_code()

    def _walk(self) -> None:
        self._walk_once()
        if len(self.known) > _MOST_OBJECTS:
            self._give_up_largest()
            self._walk_once()
        self._count_after_walk = len(self.known)

    def _give_up_largest(self) -> None:
        """Give up the names that lead to the most objects, so that few enough are left to be compared after each test."""
        sets = [names for _, names in self.known.values() if names]
        while len(sets) > _MOST_OBJECTS:
            counts = Counter(chain.from_iterable(sets))
            del counts[ANYBODY]
            if not counts:
                raise OverflowError("too many objects are reached by too many names")
            # All that lead to about as many as the first, so that there are few rounds.
            most = max(counts.values())
            largest = {name for name, count in counts.items() if count * 2 > most}
            for name in largest:
                self._give_up(name)
            sets = [left for names in sets if (left := names - largest)]

    def _give_up(self, name: str) -> None:
        self._given_up |= {name}
        self.opaque.add(name)

    def _walk_once(self) -> None:
        self._reset()
        self._add_modules()
        self._add_parameters()
        self._add_peculiar(environment, _ENVIRONMENT, None)
        self._add_peculiar(working_directory, frozenset((ANYBODY,)), None)
        self._add_fixtures()
        self._compared.close()
        self.read_code()

    def add_module(self, variables: dict[str, Any]) -> None:
        """The body of a module has run, with these variables: what a test makes of them from now on is what it leaves."""
        name, file = variables.get("__name__"), variables.get("__file__")
        if not self._begun or identity(variables) in self._namespaces or type(name) is not str or type(file) is not str:
            return
        module = sys.modules.get(name)
        if module is not None and module.__dict__ is variables and self.is_in_project(file):
            self._modules[name] = module
            self._add(self._add_namespace(variables, _OWN_KEYS))
            self._compared.close()

    def _add_modules(self) -> list[str]:
        """Add modules that are new; gives their names."""
        modules = sys.modules
        self._count_of_modules = len(modules)
        new = []
        for name, module in list(modules.items()):
            if self._modules.get(name, MISSING) is module or not issubclass(type(module), types.ModuleType):
                continue
            file = module.__dict__.get("__file__")
            if type(file) is not str:
                continue
            if file == self._imported:
                # It is looked for again when its body is done.
                self._count_of_modules -= 1
            elif self.is_in_project(file):
                self._modules[name] = module
                new.append(name)
                self._add(self._add_namespace(module.__dict__, _OWN_KEYS))
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
                if self._kind(value) != ATOM:
                    users, _ = self._parameters.setdefault((identity(value), name), (set(), value))
                    users.add(function)
        for (_, name), (users, value) in self._parameters.items():
            if len(users) > 1:
                self._add([(value, frozenset((name,)))])

    def _add_fixtures(self) -> None:
        """Look at values that tests share, and let go of those that were torn down."""
        kept = []
        for shared in self._of_fixtures:
            result = shared.fixture.cached_result
            if shared.is_of_more or result is not None and result[0] is shared.value:
                kept.append(shared)
            else:
                self._drop(shared)
        self._of_fixtures = kept
        if not self._fixtures:
            return
        self._compared.close()
        self._fixtures = [each for each in self._fixtures if each.cached_result is not None]
        for fixture in self._fixtures:
            if not any(shared.fixture is fixture for shared in kept):
                shared = _Shared(fixture, fixture.cached_result[0], self._new_compared())
                self._journal, self._compared = shared.known, shared.compared
                self._add([(shared.value, frozenset((fixture.argname,)))])
                shared.compared.close()
                self._journal, self._compared = None, self._compared_of_all
                kept.append(shared)

    def _drop(self, shared: _Shared) -> None:
        for one in shared.known:
            self.known.pop(one, None)
            self._namespaces.pop(one, None)
        self._peculiar = [each for each in self._peculiar if identity(each[3]) not in shared.known]

    # Walking

    def _add_peculiar(self, look: Callable[[], list[Any]], names: frozenset[str], kept: Any) -> None:
        self._peculiar.append((look, look(), names, kept))

    def _add_namespace(self, variables: dict[str, Any], skipped: frozenset[str]) -> _Pairs:
        """Add a namespace; gives its values with the names that lead to them."""
        namespace = _Namespace(variables, skipped)
        self._namespaces[identity(variables)] = namespace
        self.known[identity(variables)] = (variables, frozenset())
        if self._journal is not None:
            self._journal.add(identity(variables))
        self._compared.add(variables, is_keyed=False)
        namespace.content = content = dict(variables)
        return [(value, _names_of(key)) for key, value in content.items() if key not in skipped]

    def _add(self, pending: _Pairs) -> None:
        """Add what values lead to, which are reached by these names. The list is used up."""
        known, kinds, given_up = self.known, self._kinds, self._given_up
        while pending:
            each, names = pending.pop()
            if given_up and not (names := names - given_up):
                continue
            kind = kinds.get(type(each), -1)
            if kind < 0:
                kind = self._kind(each)
            if kind == ATOM:
                continue
            if kind == OPAQUE:
                if not is_own_stream(each):
                    self.opaque.update(names)
                continue
            before = known.get(identity(each))
            if before is not None:
                if names <= before[1] or ANYBODY in before[1]:
                    continue
                names = before[1] | names
                if len(names) > _MOST_NAMES:
                    names = frozenset((ANYBODY,))
                self._join(each)
            known[identity(each)] = (each, names)
            if self._journal is not None and before is None:
                self._journal.add(identity(each))
            if kind == FUNCTION:
                pending += self._add_function(each, names, before is None)
                continue
            if kind in (CLASS, MODULE):
                if before is None:
                    pending += self._add_class_or_module(each, kind)
                continue
            if kind == PECULIAR:
                if before is None:
                    self._looks[identity(each)] = look_at(self, each)
                    self._add_peculiar(self._looks[identity(each)], names, each)
                pending += [(one, names) for one in self._looks[identity(each)]()]
                continue
            is_keyed = issubclass(type(each), dict)
            if kind == MUTABLE and before is None:
                self._compared.add(each, is_keyed)
            pending += [(one, names) for one in get_referents(each)]
            if is_keyed:
                pending += [(key, names) for key in list(keys_of(each))]

    def _add_class_or_module(self, each: Any, kind: int) -> _Pairs:
        if kind == MODULE:
            name = vars(each).get("__name__")
            if sys.modules.get(name) is each and name not in self._modules:
                self._foreign[identity(each)] = each
            return []
        if not self.is_in_project(file_of(each)):
            self._foreign[identity(each)] = each
            return []
        variables = class_variables(each)
        return [] if variables is None else self._add_namespace(variables, _OWN_KEYS)

    def read_code(self) -> None:
        """Find what of foreign modules and classes the project's code may set, as far as it is known."""
        codes, self._read = self._codes[self._read :], len(self._codes)
        for code in codes:
            self._set.update(set_by(code))
        sizes = (len(self._set), len(self._foreign))
        if sizes != self._placed:
            self._placed = sizes
            foreign = list(self._foreign.values())
            self._spaces = [variables_of(each) if issubclass(type(each), type) else vars(each) for each in foreign]
            self._place()

    def _place(self) -> None:
        self._sizes = list(map(len, self._spaces))
        self._places = [(space, name) for space in self._spaces for name in self._set & space.keys()]
        self._values = self._values_of_places()

    def _find_new(self, left: dict[str, set[int]]) -> None:
        """Find which attributes that the project's code may set foreign modules and classes have got."""
        before = {(identity(space), name) for space, name in self._places}
        self._place()
        for space, name in self._places:
            if (identity(space), name) not in before and self._kind(space[name]) != MODULE:
                self._note(left, _names_of(name), [space[name]], [])

    def _values_of_places(self) -> list[Any]:
        return [space.get(name) for space, name in self._places]

    def _join(self, each: Any) -> None:
        """What belonged to the value of a fixture is reached by other ways, too."""
        for shared in self._of_fixtures:
            if identity(each) in shared.known:
                shared.is_of_more = True

    def _add_function(self, function: Any, names: frozenset[str], is_new: bool) -> _Pairs:
        code = function.__code__
        cells, defaults = function.__closure__ or (), function.__defaults__ or ()
        if not self.is_in_project(code.co_filename):
            return [] if is_at_home(function) else [(each, names) for each in (*cells, *defaults, function.__dict__)]
        if not is_new:
            return []
        # A function has a dictionary once it is asked for. An empty one costs nothing to compare, to find a new one would.
        own = self._add_namespace(function.__dict__, _OF_FUNCTIONS)
        if not (cells or defaults or function.__kwdefaults__):
            return own
        of_defaults = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        by_names = (zip(code.co_freevars, cells), zip(of_defaults, defaults), (function.__kwdefaults__ or {}).items())
        pairs = [(value, frozenset((name,))) for name, value in chain.from_iterable(by_names)]
        return pairs + own

    # Kinds

    def _kind(self, each: Any) -> int:
        own = type(each)
        kind = self._kinds.get(own)
        if kind is None:
            kind = self._kinds[own] = kind_of(own)
        return kind

    # Comparing

    def compare(self) -> list[tuple[str, int]]:
        """What is otherwise than when it was last asked: the names that lead there, with digests of what there is now and wasn't."""
        left = self._differences()
        self._rounds += 1
        is_worth_it = self._changes >= _WORTH_A_WALK or self._given_up and self._rounds >= _WORTH_TO_LET_GO
        # Namespaces are known by no names that could be given up: with thousands of them there may always be more.
        if is_worth_it or len(self.known) > max(_MOST_OBJECTS, self._count_after_walk * 5 // 4):
            self._walk()
        return [(name, delta) for name, digests in left.items() for delta in digests]

    def take_in(self) -> None:
        """Take what there is now for what there was."""
        self._differences()
        self.read_code()

    def _differences(self) -> dict[str, set[int]]:
        left: dict[str, set[int]] = {}
        for compared in self._all_compared():
            for each, before, now in compared.changed():
                self._find(each, before, now, left)
        for place, (look, before, names, kept) in enumerate(self._peculiar):
            now = look()
            if len(now) != len(before) or not all(map(is_, now, before)):
                self._peculiar[place] = (look, now, names, kept)
                if not is_equal(now, before):
                    current = self.known[identity(kept)][1] if kept is not None else names
                    self._note(left, current, now, before)
        values = self._values_of_places()
        if not all(map(is_, values, self._values)):
            for (_, name), now, former in zip(self._places, values, self._values):
                if not is_equal([now], [former]) and not (is_own_stream(now) and is_own_stream(former)):
                    self._note(left, _names_of(name), [now], [former])
            self._values = values
        if list(map(len, self._spaces)) != self._sizes:
            self._find_new(left)
        self._compare_modules(left)
        self._add_fixtures()
        self._compared.close()
        return left

    def _compare_modules(self, left: dict[str, set[int]]) -> None:
        modules = sys.modules
        gone = [name for name, module in self._modules.items() if modules.get(name) is not module]
        for name in gone:
            del self._modules[name]
        new = self._add_modules() if gone or self._count_of_modules != len(modules) else []
        for name in {*gone, *new}:
            for one in {name, name.rpartition(".")[2]}:
                left.setdefault(one, set()).add(digest(name))
        # A module that a test imported may be as its body made it, or not.
        for name in new:
            for key, value in list(self._modules[name].__dict__.items()):
                kind = self._kind(value)
                if key not in _OWN_KEYS and kind not in (MODULE, ATOM):
                    left.setdefault(key, set()).add(digest(name))

    def _all_compared(self) -> list[Compared]:
        return [self._compared_of_all, *(shared.compared for shared in self._of_fixtures)]

    def _find(self, each: Any, before: list[Any], now: list[Any], left: dict[str, set[int]]) -> None:
        if is_equal(now, before):
            return
        namespace = self._namespaces.get(identity(each))
        if namespace is not None:
            self._find_in(namespace, left)
        else:
            is_sequence = type(each) in SEQUENCES
            self._note(left, self.known[identity(each)][1], now, before, is_sequence)

    def _find_in(self, namespace: _Namespace, left: dict[str, set[int]]) -> None:
        before, namespace.content = namespace.content, dict(namespace.variables)
        now = namespace.content
        for key in now.keys() | before.keys():
            value, former = now.get(key, MISSING), before.get(key, MISSING)
            if former is MISSING and self._kind(value) == MODULE:
                continue  # a package has what was imported of it
            if value is former or key in namespace.skipped or key in self._given_up or is_equal([value], [former]):
                continue
            self._note(left, _names_of(key), [value], [former])

    def _note(
        self,
        left: dict[str, set[int]],
        names: frozenset[str],
        now: list[Any],
        before: list[Any],
        is_sequence: bool = False,
    ) -> None:
        names -= self._given_up
        if not names:
            return
        self._changes += 1
        old, new = set(map(identity, before)), set(map(identity, now))
        added = [one for one in now if identity(one) not in old and one is not MISSING]
        removed = [one for one in before if identity(one) not in new and one is not MISSING]
        told = [digest(one) for one in added[:_MOST_DIGESTS]]
        digests = set(told)
        if is_sequence and len(now) == len(before) and len(told) == len(added) and _are_the_same(told, removed):
            digests = {REORDERED}
        elif removed or len(added) > _MOST_DIGESTS or not digests:
            # What went is told by what isn't there.
            digests.add(digest((len(removed), len(added))) & ~EXACT)
        for name in names:
            left.setdefault(name, set()).update(digests)
        self._add([(one, names) for one in added])


def _are_the_same(told: list[int], values: list[Any]) -> bool:
    """Whether values are those that digests tell all of, in whatever order."""
    is_told = len(told) == len(values) and all(one & EXACT for one in told)
    return is_told and sorted(told) == sorted(map(digest, values))


def _names_of(key: Any) -> frozenset[str]:
    is_plain = type(key) is str and not (key.startswith("__") and key.endswith("__"))
    return frozenset((key if is_plain else ANYBODY,))
