"""Leaves out functions that `-m` deselects, before their tests are made.

pytest makes a test of each set of parameters and asks the expression for each of them. But the tests of a function have its marks, and
those of what is around it, so the answer is the same for all, unless a set of parameters has marks of its own. Of a function whose
parameters are plain values, where nobody else hears of tests that are collected or marks them, only the number of tests is worked out.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Optional

from . import needs

#: Hooks by which others hear of tests that are collected, may mark them, or make their IDs.
_HOOKS = (
    "pytest_collection",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_collectreport",
    "pytest_deselected",
    "pytest_itemcollected",
    "pytest_make_collect_report",
    "pytest_make_parametrize_id",
    "pytest_pycollect_makeitem",
)
_OWN = ("_pytest.", "dx_py_test_runner.")
#: Values whose IDs are made without the project's code, and that hold no marks.
_PLAIN = frozenset((bool, bytes, float, int, str, type(None)))


class Deselection:
    """What `-m` leaves out of one session. `count` is told the node ID of a file and how many tests of a function are left out."""

    def __init__(self, config: Any, count: Callable[[str, int], None]) -> None:
        self._config = config
        self._count = count
        self._is_on = True
        self._text: Any = None
        self._selects: Optional[Callable[[Any], bool]] = None
        #: Whether anything was left out.
        self.has_left_out = False

    def end(self) -> None:
        """Leave out nothing from now on."""
        self._is_on = False

    def is_overheard(self) -> bool:
        """Whether somebody hears of the tests of a session, or makes what they are of."""
        return any(True for _ in needs.implementations(self._config, _HOOKS, _OWN))

    def takes(self, item: Any) -> bool:
        """Whether the tests of a parametrised function are left out, which `item` would be if nothing parametrised it."""
        # A hook may set another expression.
        text = getattr(self._config.option, "markexpr", "")
        if text != self._text:
            self._text, self._selects = text, _expression(self._config, text)
        if not self._is_on or self._selects is None or self._selects(item.iter_markers()) or self.is_overheard():
            return False
        number = _number_of_tests(item)
        if number is None:
            return False
        self.has_left_out = True
        self._count(needs.file_of(item), number)
        return True


def _expression(config: Any, text: str) -> Optional[Callable[[Any], bool]]:
    """What `-m` says of marks; None if there is nothing to leave out, or if pytest shall tell what is wrong with it."""
    if not text or _checks_ids(config):
        return None
    try:
        from _pytest.mark import MarkMatcher
        from _pytest.mark.expression import Expression

        expression = Expression.compile(text)
        matcher = MarkMatcher.from_markers
    except Exception:  # a wrong expression, or other internals
        return None
    return lambda marks: bool(expression.evaluate(matcher(marks)))


def _checks_ids(config: Any) -> bool:
    """Whether it is an error that IDs aren't unique."""
    for name in ("strict_parametrization_ids", "strict"):
        try:
            if config.getini(name):
                return True
        except (KeyError, ValueError):  # pytest before its version 9
            pass
    return False


def _number_of_tests(item: Any) -> Optional[int]:
    """How many tests pytest makes of a function; None if that isn't plain, or if something may be wrong with its parameters."""
    info = item._fixtureinfo
    if any(definition.params is not None for some in info.name2fixturedefs.values() for definition in some):
        return None
    free = set(info.argnames) - {"request"}
    numbers = []
    for mark in item.iter_markers("parametrize"):
        if mark.kwargs or len(mark.args) != 2:
            return None
        names, values = mark.args
        if not isinstance(names, str):
            return None
        names = [name.strip() for name in names.split(",") if name.strip()]
        if not names or len(set(names)) < len(names) or not free.issuperset(names):
            return None
        if type(values) not in (list, tuple, range) or not values or not _are_plain(values, len(names)):
            return None
        free.difference_update(names)
        numbers.append(len(values))
    return prod(numbers) if numbers else None


def _are_plain(values: Any, width: int) -> bool:
    if width > 1:
        return all(type(row) in (list, tuple) and len(row) == width and _are_plain(row, 1) for row in values)
    return type(values) is range or _PLAIN.issuperset(map(type, values))
