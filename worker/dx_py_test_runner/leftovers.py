"""Finds what tests leave behind: whatever of the state that the project's code can reach differs after a test from what it was before.

The state is what the variables of the project's modules, the attributes of its classes, and what its functions keep (cells, values by
default, attributes) lead to; beside it the values of fixtures that tests share, parameters that test functions share, the environment and
the working directory. Each object is reached under the names that code must mention to get at it: those of the variables, attributes and
parameters that lead there. So what a test left is told as names, and a later test that runs no code which mentions one of them can't find it.

Comparing is a matter of identity: an object has changed if it refers to others than before, and what can't change isn't asked. What an
object of a type of unknown insides holds isn't seen: the names that lead to it are told as *opaque*, as if each test that mentions one
changed it.

What is reached from a file of tests alone is compared while its own tests run, and told as that file's (`scopes`).
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
    Operands,
    class_variables,
    digest,
    environment,
    file_of,
    is_at_home,
    is_equal,
    is_own_stream,
    kind_of,
    look_at,
    variables_of,
    working_directory,
)
from .scopes import EVERYBODY, Scopes, told

#: In place of a name: all that run later may find it.
ANYBODY = "*"

_OF_ANYBODY = frozenset((ANYBODY,))

#: By names the set of each: many variables have the same.
_NAMES: dict[str, frozenset[str]] = {}

#: Under how many names an object is told; what is reached by more is anybody's.
_MOST_NAMES = 16

#: How many objects of a scope may be compared.
_MOST_OBJECTS = 16_000

#: After how many changes the state is walked anew, so that what is gone is let go of, or after as many as a part of the objects that there
#: are; and after how many comparisons, if names were given up.
_WORTH_A_WALK = 400
_PART_WORTH_A_WALK = 20
_WORTH_TO_LET_GO = 400

#: How often scopes are given up, each time with a walk, before all are.
_MOST_TIMES = 8

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

#: What classes have that leads to much which is only looked at as a whole: that it is another one is seen.
_WHOLE_KEYS = frozenset(("__pydantic_core_schema__",))

#: The marks of a function are its own.
_OF_FUNCTIONS = _OWN_KEYS | {"pytestmark"}

#: Names by which the environment is asked.
_ENVIRONMENT = frozenset(
    ("environ", "environb", "expanduser", "expandvars", "getenv", "getenvb", "gettempdir", "monkeypatch")
)

#: Values, the names that lead to them, and in which scope.
_Ways = list[tuple[Any, frozenset[str], str]]


class _Namespace:
    """A dictionary whose values are reached by their keys: of a module, a class or a function."""

    __slots__ = ("content", "scope", "skipped", "variables")

    def __init__(self, variables: dict[str, Any], skipped: frozenset[str], scope: str) -> None:
        self.variables = variables
        self.skipped = skipped
        self.scope = scope
        self.content = dict(variables)


class _Shared:
    """The value of a fixture that tests share."""

    __slots__ = ("compared", "fixture", "is_of_more", "known", "scope", "value")

    def __init__(self, fixture: Any, value: Any, compared: Compared, scope: str) -> None:
        self.fixture = fixture
        self.value = value
        self.compared = compared
        self.scope = scope
        # The identities of what it leads to, and whether that is reached by other ways, too.
        self.known: set[int] = set()
        self.is_of_more = False


class _Peculiar:
    """An object that is looked at otherwise than by its references, or what isn't one."""

    __slots__ = ("before", "kept", "look", "names")

    def __init__(self, look: Callable[[], list[Any]], names: frozenset[str], kept: Any) -> None:
        self.look = look
        self.before = look()
        self.names = names
        self.kept = kept


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
        self._read = self._searched = 0
        self._set: set[str] = set()
        self._set_by_new: set[str] = set()
        #: The names that lead to what can't be compared.
        self.opaque: set[str] = set()
        self._begun = False
        # By scopes names that lead to too much.
        self._given_up: dict[str, frozenset[str]] = {}
        self._scopes = Scopes()
        # By scopes the names that were told; those that turned out not to be scopes, and whether one has since the state was walked.
        self._told: dict[str, set[str]] = {}
        self._gone: set[str] = set()
        self._times = 0
        self._is_exposed = False
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
        #: By identity each object that is part of the state, the names that lead to it, and the scope in which they do.
        self.known: dict[int, tuple[Any, frozenset[str], str]] = {}
        self._counts: dict[str, int] = {}
        self._namespaces: dict[int, _Namespace] = {}
        self._modules: dict[str, Any] = {}
        # By names the identities of modules that are others'.
        self._other_modules: dict[str, int] = {}
        self._count_of_modules = 0
        # By scopes what is compared; and what is new, with whether its keys count: in which scope it is, is settled when it is added there.
        self._compared: dict[str, Compared] = {}
        self._new: list[tuple[Any, bool]] = []
        # Instead, what is compared of the value of a fixture that is looked at.
        self._of_value: Optional[Compared] = None
        self._peculiar: list[_Peculiar] = []
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

    def begin(self, imported: str = "", file: str = "") -> None:
        """A test is about to run, or the file at `imported`, with that node ID, to be imported: what was imported before isn't what it leaves."""
        self._imported = imported
        if imported:
            self._scopes.add(imported, file)
        if not self._begun or self._is_exposed:
            self._begun = True
            self._walk()
        elif self._items or self._count_of_modules != len(sys.modules) or self._read != len(self._codes):
            if self._count_of_modules != len(sys.modules):
                self._add_modules()
            self._add_parameters()
            self._close()
            self.read_code()

    def _walk(self) -> None:
        self._walk_once()
        if self._largest() > _MOST_OBJECTS:
            self._give_up_largest()
            self._walk_once()
        self._count_after_walk = self._largest()

    def _largest(self) -> int:
        """How many objects there are of a scope, of that which has most."""
        return max(self._counts.values(), default=0)

    def _give_up_largest(self) -> None:
        """Give up the names that lead to the most objects, so that few enough are left to be compared after each test."""
        by_scopes: dict[str, list[frozenset[str]]] = {}
        for _, names, scope in self.known.values():
            if names and self._counts[scope] > _MOST_OBJECTS:
                by_scopes.setdefault(scope, []).append(names)
        for scope, sets in by_scopes.items():
            while len(sets) > _MOST_OBJECTS:
                counts = Counter(chain.from_iterable(sets))
                del counts[ANYBODY]
                if not counts:
                    raise OverflowError("too many objects are reached by too many names")
                # All that lead to about as many as the first, so that there are few rounds.
                most = max(counts.values())
                largest = frozenset(name for name, count in counts.items() if count * 2 > most)
                self._given_up[scope] = self._given_up.get(scope, frozenset()) | largest
                self._tell_opaque(largest, scope)
                sets = [left for names in sets if (left := names - largest)]

    def _tell_opaque(self, names: frozenset[str], scope: str) -> None:
        self.opaque |= self._tell(names, scope)

    def _tell(self, names: frozenset[str], scope: str) -> frozenset[str]:
        """Names as they are told. What was told in a scope is remembered, since that may turn out not to be one."""
        if scope in self._gone:
            return names
        if scope != EVERYBODY:
            self._told.setdefault(scope, set()).update(names)
        return told(names, scope)

    def _walk_once(self) -> None:
        self._is_exposed = False
        self._reset()
        self._add_modules()
        self._add_parameters()
        self._peculiar.append(_Peculiar(environment, _ENVIRONMENT, None))
        self._peculiar.append(_Peculiar(working_directory, frozenset((ANYBODY,)), None))
        self._add_fixtures()
        self._close()
        self.read_code()

    def _close(self) -> None:
        """Take what was added for what there was, each in the scope that it has turned out to be of."""
        new, self._new = self._new, []
        touched = set()
        for each, is_keyed in new:
            found = self.known.get(identity(each))
            if found is None:
                continue
            scope = found[2]
            if scope not in self._compared:
                self._compared[scope] = self._new_compared()
            self._compared[scope].add(each, is_keyed)
            touched.add(scope)
        for scope in touched:
            self._compared[scope].close()

    def _compare_later(self, each: Any, is_keyed: bool, is_known: bool) -> None:
        if self._of_value is not None and not is_known:
            self._of_value.add(each, is_keyed)
        else:
            self._new.append((each, is_keyed))

    def add_module(self, variables: dict[str, Any]) -> None:
        """The body of a module has run, with these variables: what a test makes of them from now on is what it leaves."""
        name, file = variables.get("__name__"), variables.get("__file__")
        if not self._begun or identity(variables) in self._namespaces or type(name) is not str or type(file) is not str:
            return
        module = sys.modules.get(name)
        if module is not None and module.__dict__ is variables and self.is_in_project(file):
            self._modules[name] = module
            self._add(self._add_namespace(variables, _OWN_KEYS, self._scopes.of_file(file)))
            self._close()

    def _add_modules(self) -> list[str]:
        """Add modules that are new; gives their names."""
        modules = sys.modules
        self._count_of_modules = len(modules)
        new, of_scopes = [], []
        others = self._other_modules
        for name, module in [each for each in list(modules.items()) if others.get(each[0]) != identity(each[1])]:
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
                scope = self._scopes.of_file(file)
                if scope != EVERYBODY:
                    # What all find is known to be everybody's before.
                    of_scopes.append((module, scope))
                else:
                    self._add(self._add_namespace(module.__dict__, _OWN_KEYS, scope))
            else:
                others[name] = identity(module)
        for module, scope in of_scopes:
            self._add(self._add_namespace(module.__dict__, _OWN_KEYS, scope))
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
                scopes = {self._scopes.of_node(user) for user in users}
                self._add([(value, frozenset((name,)), scopes.pop() if len(scopes) == 1 else EVERYBODY)])

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
        self._close()
        self._fixtures = [each for each in self._fixtures if each.cached_result is not None]
        for fixture in self._fixtures:
            if not any(shared.fixture is fixture for shared in kept):
                scope = self._scopes.of_node(getattr(fixture, "baseid", None) or "")
                shared = _Shared(fixture, fixture.cached_result[0], self._new_compared(), scope)
                self._journal, self._of_value = shared.known, shared.compared
                self._add([(shared.value, frozenset((fixture.argname,)), scope)])
                shared.compared.close()
                self._journal = self._of_value = None
                kept.append(shared)

    def _drop(self, shared: _Shared) -> None:
        for one in shared.known:
            found = self.known.pop(one, None)
            if found is not None:
                self._counts[found[2]] -= 1
            self._namespaces.pop(one, None)
        self._peculiar = [each for each in self._peculiar if identity(each.kept) not in shared.known]

    # Walking

    def _add_namespace(self, variables: dict[str, Any], skipped: frozenset[str], scope: str) -> _Ways:
        """Add a namespace, or one that is known and of another scope than that was; gives its values with the names that lead to them."""
        namespace = self._namespaces.get(identity(variables))
        if namespace is None:
            namespace = self._namespaces[identity(variables)] = _Namespace(variables, skipped, scope)
        namespace.scope = scope
        is_known = identity(variables) in self.known
        self._know(variables, frozenset(), scope)
        self._compare_later(variables, is_keyed=False, is_known=is_known)
        kinds, content = self._kinds, namespace.content.items()
        values = [(key, value) for key, value in content if kinds.get(type(value)) != ATOM]
        return [
            (value, _names_of(key), scope) for key, value in values if key not in skipped and key not in _WHOLE_KEYS
        ]

    def _know(self, each: Any, names: frozenset[str], scope: str) -> None:
        one, counts = identity(each), self._counts
        before = self.known.get(one)
        if before is not None:
            counts[before[2]] -= 1
        elif self._journal is not None:
            self._journal.add(one)
        counts[scope] = counts.get(scope, 0) + 1
        self.known[one] = (each, names, scope)

    def _add(self, pending: _Ways) -> None:
        """Add what values lead to, which are reached by these names. The list is used up."""
        known, kinds, given_up = self.known, self._kinds, self._given_up
        while pending:
            each, names, scope = pending.pop()
            if scope in given_up and not (names := names - given_up[scope]):
                continue
            kind = kinds.get(type(each), -1)
            if kind < 0:
                kind = self._kind(each)
            if kind == ATOM:
                continue
            if kind == OPAQUE:
                if not is_own_stream(each):
                    self._tell_opaque(names, scope)
                continue
            before = known.get(identity(each))
            is_new = before is None
            if before is not None:
                if scope != before[2]:
                    scope = EVERYBODY
                is_new = scope != before[2]
                if not is_new and (names <= before[1] or ANYBODY in before[1]):
                    continue
                names = before[1] | names
                if len(names) > _MOST_NAMES:
                    names = frozenset((ANYBODY,))
                self._join(each)
            self._know(each, names, scope)
            if kind == FUNCTION:
                pending += self._add_function(each, names, scope, is_new)
                continue
            if kind in (CLASS, MODULE):
                if is_new:
                    pending += self._add_class_or_module(each, kind, scope)
                continue
            if kind == PECULIAR:
                if before is None:
                    look = self._looks[identity(each)] = look_at(self, each)
                    self._peculiar.append(_Peculiar(look, names, each))
                pending += [(one, names, scope) for one in self._looks[identity(each)]()]
                continue
            is_keyed = issubclass(type(each), dict)
            if kind == MUTABLE and is_new:
                self._compare_later(each, is_keyed, is_known=before is not None)
            # Most of what there is can't change; it needn't be put off.
            pending += [(one, names, scope) for one in get_referents(each) if kinds.get(type(one)) != ATOM]
            if is_keyed:
                pending += [(key, names, scope) for key in list(keys_of(each))]

    def _add_class_or_module(self, each: Any, kind: int, scope: str) -> _Ways:
        if kind == MODULE:
            name = vars(each).get("__name__")
            if sys.modules.get(name) is each and name not in self._modules:
                self._foreign[identity(each)] = each
            return []
        file = file_of(each)
        if not self.is_in_project(file):
            self._foreign[identity(each)] = each
            return []
        variables = class_variables(each)
        if variables is None:
            return []
        if scope != EVERYBODY:
            # A class knows those that are derived from it.
            bases = (file_of(base) for base in type.__dict__["__mro__"].__get__(each)[1:])
            if any(base != file and self.is_in_project(base) for base in bases):
                scope = EVERYBODY
        return self._add_namespace(variables, _OWN_KEYS, scope)

    def read_code(self) -> None:
        """Find what of foreign modules and classes the project's code may set, as far as it is known."""
        self._look_for_mentions()
        self._read = len(self._codes)
        self._set |= self._set_by_new
        self._set_by_new.clear()
        sizes = (len(self._set), len(self._foreign))
        if sizes != self._placed:
            self._placed = sizes
            foreign = list(self._foreign.values())
            self._spaces = [variables_of(each) if issubclass(type(each), type) else vars(each) for each in foreign]
            self._place()

    def _look_for_mentions(self) -> None:
        """See which scopes the code mentions that has come to be known."""
        codes, self._searched = self._codes[self._searched :], len(self._codes)
        for code in codes:
            operands = Operands(code)
            self._set_by_new.update(operands.set)
            self._scopes.read(code, operands)
        self._give_up_scopes(self._scopes.mentioned() if codes else ())

    def _give_up_scopes(self, scopes: Iterable[str]) -> None:
        """Take what is found in these scopes for everybody's from now on, and what was told of it for opaque."""
        given_up = list(scopes)
        self._times += bool(given_up)
        for scope in self._scopes.all() if self._times > _MOST_TIMES else given_up:
            self._scopes.give_up(scope)
            self._gone.add(scope)
            self.opaque |= self._told.pop(scope, set())
            self._is_exposed = True

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
                self._note(left, _names_of(name), EVERYBODY, [space[name]], [])

    def _values_of_places(self) -> list[Any]:
        return [space.get(name) for space, name in self._places]

    def _join(self, each: Any) -> None:
        """What belonged to the value of a fixture is reached by other ways, too."""
        for shared in self._of_fixtures:
            if identity(each) in shared.known:
                shared.is_of_more = True

    def _add_function(self, function: Any, names: frozenset[str], scope: str, is_new: bool) -> _Ways:
        code = function.__code__
        cells, defaults = function.__closure__ or (), function.__defaults__ or ()
        if not self.is_in_project(code.co_filename):
            kept = () if is_at_home(function) else (*cells, *defaults, function.__dict__)
            return [(each, names, scope) for each in kept]
        if not is_new:
            return []
        # A function has a dictionary once it is asked for. An empty one costs nothing to compare, to find a new one would.
        own = self._add_namespace(function.__dict__, _OF_FUNCTIONS, scope)
        if not (cells or defaults or function.__kwdefaults__):
            return own
        of_defaults = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        by_names = (zip(code.co_freevars, cells), zip(of_defaults, defaults), (function.__kwdefaults__ or {}).items())
        return [(value, frozenset((name,)), scope) for name, value in chain.from_iterable(by_names)] + own

    # Kinds

    def _kind(self, each: Any) -> int:
        own = type(each)
        kind = self._kinds.get(own)
        if kind is None:
            kind = self._kinds[own] = kind_of(own)
        return kind

    # Comparing

    def compare(self, file: str = "", ran: Iterable[str] = ()) -> list[tuple[str, int]]:
        """What is otherwise than when it was last asked, of what the tests of the file with that node ID find, of whom code of the files `ran` has
        run: the names that lead there, with digests of what there is now and wasn't."""
        # The code that a test has imported may have got at what is others', and so has others' code that has run.
        self._look_for_mentions()
        self._give_up_scopes(scope for path in ran if (scope := self._scopes.of_file(path)) not in (EVERYBODY, file))
        left = self._differences(file)
        self._rounds += 1
        is_worth_it = self._changes >= max(_WORTH_A_WALK, len(self.known) // _PART_WORTH_A_WALK)
        lets_go = bool(self._given_up) and self._rounds >= _WORTH_TO_LET_GO
        # Namespaces are known by no names that could be given up: with thousands of them there may always be more.
        if is_worth_it or lets_go or self._largest() > max(_MOST_OBJECTS, self._count_after_walk * 5 // 4):
            self._walk()
        return [(name, delta) for name, digests in left.items() for delta in digests]

    def take_in(self) -> None:
        """Take what there is now for what there was."""
        self._differences("")
        self.read_code()

    def _differences(self, file: str) -> dict[str, set[int]]:
        left: dict[str, set[int]] = {}
        scopes = {EVERYBODY, file, *(self._counts if self._is_exposed else ())}
        for scope in scopes & self._compared.keys():
            for each, before, now in self._compared[scope].changed():
                found = self.known.get(identity(each))
                # It may have turned out to be everybody's since, and is compared there.
                if found is not None and found[2] == scope:
                    self._find(each, before, now, left)
        for shared in self._of_fixtures:
            if shared.scope in scopes:
                for each, before, now in shared.compared.changed():
                    self._find(each, before, now, left)
        for peculiar in list(self._peculiar):
            kept = peculiar.kept
            _, names, scope = (None, peculiar.names, EVERYBODY) if kept is None else self.known[identity(kept)]
            if scope not in scopes:
                continue
            before, now = peculiar.before, peculiar.look()
            if len(now) != len(before) or not all(map(is_, now, before)):
                peculiar.before = now
                if not is_equal(now, before):
                    self._note(left, names, scope, now, before)
        values = self._values_of_places()
        if not all(map(is_, values, self._values)):
            for (_, name), now, former in zip(self._places, values, self._values):
                if not is_equal([now], [former]) and not (is_own_stream(now) and is_own_stream(former)):
                    self._note(left, _names_of(name), EVERYBODY, [now], [former])
            self._values = values
        if list(map(len, self._spaces)) != self._sizes:
            self._find_new(left)
        self._compare_modules(left)
        self._add_fixtures()
        self._close()
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

    def _find(self, each: Any, before: list[Any], now: list[Any], left: dict[str, set[int]]) -> None:
        if is_equal(now, before):
            return
        namespace = self._namespaces.get(identity(each))
        if namespace is not None:
            self._find_in(namespace, left)
        else:
            is_sequence = type(each) in SEQUENCES
            _, names, scope = self.known[identity(each)]
            self._note(left, names, scope, now, before, is_sequence)

    def _find_in(self, namespace: _Namespace, left: dict[str, set[int]]) -> None:
        before, namespace.content = namespace.content, dict(namespace.variables)
        now, given_up = namespace.content, self._given_up.get(namespace.scope, frozenset())
        for key in now.keys() | before.keys():
            value, former = now.get(key, MISSING), before.get(key, MISSING)
            if former is MISSING and self._kind(value) == MODULE:
                continue  # a package has what was imported of it
            if value is former or key in namespace.skipped or key in given_up or is_equal([value], [former]):
                continue
            self._note(left, _names_of(key), namespace.scope, [value], [former])

    def _note(
        self,
        left: dict[str, set[int]],
        names: frozenset[str],
        scope: str,
        now: list[Any],
        before: list[Any],
        is_sequence: bool = False,
    ) -> None:
        names -= self._given_up.get(scope, frozenset())
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
        for name in self._tell(names, scope):
            left.setdefault(name, set()).update(digests)
        self._add([(one, names, scope) for one in added])


def _are_the_same(told: list[int], values: list[Any]) -> bool:
    """Whether values are those that digests tell all of, in whatever order."""
    is_told = len(told) == len(values) and all(one & EXACT for one in told)
    return is_told and sorted(told) == sorted(map(digest, values))


def _names_of(key: Any) -> frozenset[str]:
    if type(key) is not str:
        return _OF_ANYBODY
    names = _NAMES.get(key)
    if names is None:
        is_plain = not (key.startswith("__") and key.endswith("__"))
        names = _NAMES[key] = frozenset((key,)) if is_plain else _OF_ANYBODY
    return names
