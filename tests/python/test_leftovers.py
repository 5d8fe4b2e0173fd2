"""What tests leave is found under the names that lead there, and nothing where nothing was left."""

import sys
import types

import pytest

if sys.version_info < (3, 12):
    pytest.skip("functions are told apart from Python 3.12 on", allow_module_level=True)

from dx_py_test_runner import leftovers as leftovers_module
from dx_py_test_runner.compared import InChunks
from dx_py_test_runner.leftovers import Leftovers
from dx_py_test_runner.objects import REORDERED

LIB = """
import collections, contextvars, functools, io, itertools, logging, weakref

limit = 3
rows, table, seen = [[1]], {"a": {"b": 1}}, {1}
order = collections.OrderedDict(x=[])
numbers = itertools.count()
current = contextvars.ContextVar("current")
logger = logging.getLogger("leftovers")
by_key = weakref.WeakKeyDictionary()
stream, text = io.BytesIO(b"ab"), io.StringIO("ab")


class Box:
    size = 1
    shared = []

    def __init__(self):
        self.inner = []


class Slim:
    __slots__ = ("value",)


box, slim = Box(), Slim()
slim.value = 1


@functools.lru_cache
def cached(x):
    return x


def counter():
    count = 0

    def add():
        nonlocal count
        count += 1

    return add


add = counter()


def defaults(kept=[], *, also={}):
    kept.append(1)
    also[1] = 1
"""


@pytest.fixture
def lib(tmp_path):
    module = types.ModuleType("lib_of_leftovers")
    module.__file__ = str(tmp_path / "lib.py")
    code = compile(LIB, module.__file__, "exec")
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture(params=[InChunks, None], ids=["in chunks", "as in a worker"])
def leftovers(request, lib):
    codes = [lib.Box.__init__.__code__]
    found = Leftovers(lambda file: file == lib.__file__, codes, request.param)
    found.begin()
    return found


def names(leftovers):
    return sorted({name for name, _ in leftovers.compare()})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lib.limit = 4", ["limit"]),
        ("lib.new = 1", ["new"]),
        ("del lib.limit", ["limit"]),
        ("lib.rows[0].append(2)", ["rows"]),
        ("lib.table['a']['b'] = 2", ["table"]),
        ("lib.table['c'] = lib.table.pop('a')", ["table"]),
        ("lib.seen.add(2)", ["seen"]),
        ("lib.order['x'].append(1)", ["order"]),
        ("lib.box.inner.append(1)", ["box"]),
        ("lib.box.more = 1", ["box"]),
        ("lib.slim.value = 2", ["slim"]),
        ("lib.Box.size = 2", ["size"]),
        ("lib.Box.shared.append(1)", ["shared"]),
        ("lib.cached(1)", ["cached"]),
        ("lib.add()", ["count"]),
        ("lib.defaults()", ["also", "kept"]),
        ("lib.defaults.calls = 1", ["calls"]),
        ("lib.current.set([])", ["current"]),
        ("lib.logger.setLevel(lib.logger.level + 1)", ["logger"]),
        ("lib.by_key[lib.box] = 1", ["by_key"]),
        ("lib.stream.write(b'x')", ["stream"]),
        ("lib.stream.more = 1", ["stream"]),
        ("lib.stream.close()", ["stream"]),
        ("lib.text.read(1)", ["text"]),
        ("lib.also = lib.rows; lib.rows[0].append(2)", ["also", "rows"]),
    ],
)
def test_what_differs_is_found_under_its_name_once(lib, leftovers, change, expected):
    exec(change, {"lib": lib})
    assert names(leftovers) == expected
    assert names(leftovers) == []


@pytest.mark.parametrize(
    "change",
    [
        "lib.limit = 5; lib.limit = 3",
        "lib.limit = int('3')",
        "lib.rows[0].append(2); lib.rows[0].pop()",
        "lib.Box().inner.append(1)",
        "lib.by_key[lib.Box()] = 1",
        "lib.table['a']['b'] = 2; lib.table['a']['b'] = 1",
        "next(iter(lib.rows))",
        "lib.stream.read(); lib.stream.seek(0); lib.text.getvalue()",
    ],
)
def test_what_is_as_it_was_was_not_left(lib, leftovers, change):
    exec(change, {"lib": lib})
    assert names(leftovers) == []


def test_what_was_left_is_part_of_the_state(lib, leftovers):
    lib.rows.append({"deep": [1]})
    assert names(leftovers) == ["rows"]
    lib.rows[1]["deep"].append(2)
    assert names(leftovers) == ["rows"]
    lib.alias = lib.rows[1]["deep"]
    assert names(leftovers) == ["alias"]
    lib.alias.append(3)
    assert names(leftovers) == ["alias", "rows"]


def test_what_has_changed_before_is_compared_on_with_the_rest(lib, leftovers):
    lib.limit, lib.table["n"] = 4, 1
    assert names(leftovers) == ["limit", "table"]
    # What was in the same chunk, and what is apart now, in one test and in each alone.
    lib.table["n"] = 2
    lib.rows.append(1)
    assert names(leftovers) == ["rows", "table"]
    for change in ("lib.table['n'] += 1", "lib.rows.append(2)", "lib.seen.add(3)"):
        exec(change, {"lib": lib})
        assert names(leftovers) == [change[4:9].rstrip("['.a")]
    assert names(leftovers) == []


def test_what_comes_to_be_known_hides_no_change(lib, leftovers):
    lib.seen.add(2)
    lib.rows.append([])
    leftovers.hear_of([])
    module = types.ModuleType("more_of_leftovers")
    module.__file__, module.kept = lib.__file__, [[]]
    sys.modules[module.__name__] = module
    try:
        leftovers.begin()
        assert names(leftovers) == ["rows", "seen"]
        module.kept[0].append(1)
        lib.rows[-1].append(1)
        assert names(leftovers) == ["kept", "rows"]
    finally:
        del sys.modules[module.__name__]


def test_objects_of_unknown_insides_make_their_names_opaque(leftovers):
    assert leftovers.opaque == {"numbers"}


def test_a_name_under_which_many_leave_something_is_compared_on(lib, leftovers):
    for number in range(40):
        lib.rows.append(number)
        assert names(leftovers) == ["rows"]
    assert names(leftovers) == [] and "rows" not in leftovers.opaque


def test_what_is_there_in_another_order_is_told_apart(lib, leftovers):
    lib.rows[:] = [(1, "a"), (2, "b")]
    leftovers.compare()
    lib.rows.append(lib.rows.pop(0))
    assert leftovers.compare() == [("rows", REORDERED)]
    # Equal to what was there, not the same.
    lib.rows[0] = (1 + len(lib.rows) - 1, "b")
    assert leftovers.compare() == [("rows", REORDERED)]
    for other in ((3, "b"), ({"b"}, "b")):
        lib.rows[0] = other
        assert REORDERED not in dict(leftovers.compare()).values()
    lib.rows.pop()
    assert REORDERED not in dict(leftovers.compare()).values()
    lib.table.update(a=1, b=2)
    leftovers.compare()
    lib.table.update(a=2, b=1)
    assert REORDERED not in dict(leftovers.compare()).values()


def test_the_same_things_have_the_same_digests(lib, leftovers):
    def left(value):
        lib.rows.append(value)
        return leftovers.compare()

    assert left({"a": [1]}) == left({"a": [1]}) != left({"a": [2]})


class Fixture:
    argname = "shared"
    cached_result = None


def test_a_fixtures_value_counts_until_it_is_torn_down(lib, leftovers):
    fixture = Fixture()
    leftovers.watch_fixture(fixture)
    value = [1]
    fixture.cached_result = (value, 0, None)
    assert names(leftovers) == []
    value.append(2)
    assert names(leftovers) == ["shared"]
    fixture.cached_result = None
    known = len(leftovers.known)
    assert names(leftovers) == []
    assert len(leftovers.known) < known and id(value) not in leftovers.known


class Item:
    def __init__(self, nodeid, **params):
        self.nodeid = nodeid
        self.callspec = types.SimpleNamespace(params=params)


def test_a_file_that_was_imported_is_looked_at_when_that_is_done(tmp_path, lib):
    module = types.ModuleType("file_of_leftovers")
    module.__file__, module.kept = str(tmp_path / "test_file.py"), []
    found = Leftovers(lambda file: file in (lib.__file__, module.__file__), [])
    found.begin()
    found.begin(module.__file__)
    sys.modules[module.__name__] = module
    try:
        assert names(found) == []
        found.begin()
        module.kept.append(1)
        assert names(found) == ["kept"]
    finally:
        del sys.modules[module.__name__]


def test_a_parameter_counts_if_several_functions_have_it(lib, leftovers):
    shared, own = [], []
    leftovers.hear_of([Item("a.py::f[1]", x=shared, y=own), Item("a.py::f[2]", y=own), Item("a.py::g[1]", x=shared)])
    leftovers.begin()
    shared.append(1)
    own.append(1)
    assert names(leftovers) == ["x"]


def test_a_module_that_a_test_imports_is_as_its_body_left_it(lib, leftovers):
    module = types.ModuleType("late_of_leftovers")
    module.__file__ = lib.__file__
    module.rows = []
    sys.modules[module.__name__] = module
    try:
        leftovers.add_module(module.__dict__)
        assert names(leftovers) == []
        module.rows.append(1)
        assert names(leftovers) == ["rows"]
    finally:
        del sys.modules[module.__name__]
    assert "late_of_leftovers" in names(leftovers)


def test_a_state_that_stays_large_is_not_walked_after_each_test(lib, monkeypatch):
    # Namespaces are known without a name that could be given up for them.
    found = Leftovers(lambda file: file == lib.__file__, [])
    found.begin()
    named = sum(bool(names) for _, names, _ in found.known.values())
    assert named < len(found.known)
    monkeypatch.setattr(leftovers_module, "_MOST_OBJECTS", named)
    names(found)
    walks, walk = [], found._walk
    monkeypatch.setattr(found, "_walk", lambda: (walks.append(1), walk()))
    for number in range(5):
        lib.limit = number
        names(found)
    assert not walks


@pytest.fixture
def of_file(tmp_path, lib):
    """A module of tests with its leftovers, where code may be added to what is known."""
    module = types.ModuleType("test_of_leftovers")
    module.__file__ = str(tmp_path / "test_of_leftovers.py")
    code = compile(
        "import lib\nbox, count, random = [], 0, __import__('random').Random(1)\ndef call(): box.append(1)",
        module.__file__,
        "exec",
    )
    sys.modules["lib"] = lib
    codes = []
    found = Leftovers(lambda file: file in (lib.__file__, module.__file__), codes)
    found.begin(module.__file__, "test_of_leftovers.py")
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)
    found.add_module(module.__dict__)
    found.begin()
    yield module, found, codes
    del sys.modules[module.__name__], sys.modules["lib"]


OWN, OTHER = "test_of_leftovers.py", "test_other.py"


def told_of(found, file, ran=()):
    return sorted({name for name, _ in found.compare(file, ran)})


def test_what_one_file_of_tests_leads_to_is_told_as_its_own(of_file, lib):
    module, found, _ = of_file
    assert found.opaque == {"random\0" + OWN, "numbers"}
    module.box.append(1)
    module.count += 1
    lib.limit = 4
    # Who can't find it isn't asked; and it isn't lost.
    assert told_of(found, OTHER) == ["limit"]
    assert told_of(found, OWN) == ["box\0" + OWN, "count\0" + OWN]
    assert told_of(found, OWN) == []


def test_what_others_come_to_lead_to_is_everybodys(of_file, lib):
    module, found, _ = of_file
    lib.rows.append(module.box)
    assert told_of(found, OTHER) == ["rows"]
    module.box.append(1)
    assert told_of(found, OTHER) == ["box", "rows"]
    assert told_of(found, OWN) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pkg.test_of_leftovers",
        "from . import test_of_leftovers",
        "from test_of_leftovers import box",
        "def f():\n    import test_of_leftovers as t",
        "load.import_module('pkg.test_of_leftovers')",
        "sys.modules['test_of_leftovers']",
    ],
)
def test_a_file_that_code_mentions_is_everybodys_from_then_on(of_file, text):
    module, found, codes = of_file
    module.box.append(1)
    assert told_of(found, OWN) == ["box\0" + OWN]
    code = compile(text, "other.py", "exec")
    codes += [code, *(one for one in code.co_consts if isinstance(one, types.CodeType))]
    module.count += 1
    assert told_of(found, OTHER) == ["count"]
    # What was told before is found by anybody, too.
    assert found.opaque >= {"box", "random"}
    found.begin()
    module.box.append(1)
    assert told_of(found, OTHER) == ["box"]


def test_a_file_whose_code_runs_in_others_tests_is_everybodys(of_file):
    module, found, _ = of_file
    module.call()
    assert told_of(found, OTHER, [module.__file__]) == ["box"]
    assert "random" in found.opaque


def test_names_that_are_mentioned_otherwise_take_no_scope_away(of_file):
    module, found, codes = of_file
    for text in (
        "import os, lib",
        "test_of_leftovers()",
        "def test_of_leftovers(): pass",
        "print('test_of_leftovers')",
    ):
        codes.append(compile(text, "other.py", "exec"))
    codes.append(compile("import test_of_leftovers", module.__file__, "exec"))
    module.box.append(1)
    assert told_of(found, OWN) == ["box\0" + OWN]


def test_scopes_are_given_up_altogether_if_they_are_often(of_file, monkeypatch):
    module, found, codes = of_file
    monkeypatch.setattr(leftovers_module, "_MOST_TIMES", 0)
    found.begin("/a/test_more.py", "test_more.py")
    codes.append(compile("import test_more", "other.py", "exec"))
    module.box.append(1)
    assert told_of(found, OTHER) == ["box"]
