"""Objects that were changed are found, and no others, whichever way they are compared: by many at once, and by the compiled part."""

import collections
import gc
import random
import sys

import pytest

if sys.version_info < (3, 12):
    pytest.skip("functions are told apart from Python 3.12 on", allow_module_level=True)

from dx_py_test_runner.compared import InChunks, OneByOne, kind_of_compared


class Plain:
    def __init__(self):
        self.first = []


class Slim:
    __slots__ = ("first", "second")


class Table(dict):
    pass


def of_compiled_part():
    compared = kind_of_compared()()
    if not isinstance(compared, OneByOne):
        pytest.skip("the compiled part comes with the binary")
    return compared


@pytest.fixture(params=[InChunks, of_compiled_part], ids=["in chunks", "compiled"])
def compared(request):
    return request.param()


KINDS = [
    list,
    dict,
    set,
    collections.deque,
    collections.OrderedDict,
    lambda: collections.defaultdict(list),
    Table,
    Plain,
    Slim,
    lambda: [[], {}, None, "text"],
    lambda: {(1, 2): "not only text as keys", "a": 1},
]


def change(chance, each):
    """Change an object in some way, or not at all."""
    value = chance.choice([None, True, "a", [], object()])
    if isinstance(each, (list, collections.deque)):
        how = chance.choice(["append", "pop", "reverse", "none"])
        if how == "append":
            each.append(value)
        elif how == "pop" and each:
            each.pop()
        elif how == "reverse":
            each.reverse()
    elif isinstance(each, set):
        each.add(id(value) % 7)
    elif isinstance(each, dict):
        key = chance.choice(["a", "b", 1, (1, 2)])
        if chance.random() < 0.5 and key in each:
            # The same value under another key.
            each[chance.choice("cde")] = each.pop(key)
        else:
            each[key] = value
    else:
        setattr(each, chance.choice(["first", "second"]), value)


def state(each):
    return [*map(id, gc.get_referents(each)), *(map(id, each) if isinstance(each, dict) else ())]


@pytest.mark.parametrize("seed", range(20))
def test_what_was_changed_is_found_once(compared, seed):
    chance = random.Random(seed)
    objects = []
    kept = []
    for _ in range(6):
        new = [chance.choice(KINDS)() for _ in range(chance.randrange(1, 200))]
        for each in new:
            compared.add(each, isinstance(each, dict))
        compared.close()
        objects += new
        kept.append([gc.get_referents(each) for each in objects])
        before = list(map(state, objects))
        for each in chance.sample(objects, chance.randrange(len(objects) // 2 + 1)):
            change(chance, each)
        now = list(map(state, objects))
        expected = {id(each): (former, later) for each, former, later in zip(objects, before, now) if former != later}
        found = compared.changed()
        assert {id(each): (list(map(id, a)), list(map(id, b))) for each, a, b in found} == expected
        assert len(found) == len(expected)
        assert compared.changed() == []


def test_what_was_not_looked_at_yet_does_not_count(compared):
    rows = []
    compared.add(rows, False)
    rows.append(1)
    assert compared.changed() == []
    compared.close()
    assert compared.changed() == []
    rows.append(2)
    ((each, before, now),) = compared.changed()
    assert each is rows and before == [1] and sorted(now) == [1, 2]


def test_memory_is_used_again(compared):
    rows = []
    compared.add(rows, False)
    compared.close()
    for length in range(1, 4000):
        rows.append(length)
        ((each, before, now),) = compared.changed()
        assert each is rows and len(before) == length - 1 and len(now) == length
    if isinstance(compared, OneByOne):
        assert len(compared._flat) < 3 * len(rows) + 5000
