"""What runs for fixtures that live longer than a test, and which test functions use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .internals import identity

#: The owners of what ran for such a fixture, with its name; and, running nothing, of who uses it, with its name and behind a zero byte the
#: test function, or the first of these with the name of another fixture.
OF_FIXTURE, USE = "x:", "u:"

#: Owners, and the numbers of the code that each of them ran.
Ran = tuple[list[str], list[int]]


def name_of(fixture: Any) -> str:
    """A fixture's name, with where it is defined."""
    return f"{getattr(fixture, 'baseid', '')}::{fixture.argname}"


class WideFixtures:
    """The fixtures that were set up in this process and that tests share. pytest keeps with each test which ones its function asks for, and
    while it runs which ones it was given."""

    def __init__(self) -> None:
        # By identity their names; and what keeps the identities.
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        # By name what ran for each, how much of that was told, and which others it may have been given.
        self._ran: dict[str, set[int]] = {}
        self._told: dict[str, set[int]] = {}
        self._given: dict[str, set[str]] = {}
        # Of the tests of the moment's function what they ask for and are given, and fixtures that they set up; whether some don't tell.
        self._asked_for: list[Any] = []
        self._given_to_tests: list[dict[str, Any]] = []
        self._set_up: set[str] = set()
        self._is_unclear = False
        # As owners who uses which, and what of it was told.
        self._uses: set[str] = set()
        self._told_uses: set[str] = set()

    def hear_of(self, item: Any) -> None:
        """A test is about to run."""
        asked_for = getattr(item, "_fixtureinfo", None)
        given = getattr(getattr(item, "_request", None), "_fixture_defs", None)
        if asked_for is not None and given is not None:
            self._given_to_tests.append(given)
            if not (self._asked_for and self._asked_for[-1] is asked_for):
                self._asked_for.append(asked_for)
        else:
            self._is_unclear = True

    def add(self, fixture: Any, request: Any, ran: Iterable[int]) -> None:
        """That ran while this one was set up, at that request."""
        name = self._names.get(identity(fixture))
        if name is None:
            name = self._names[identity(fixture)] = name_of(fixture)
            self._kept.append(fixture)
        self._ran.setdefault(name, set()).update(ran)
        self._set_up.add(name)
        given = getattr(request, "_fixture_defs", None)
        asked_for = getattr(fixture, "argnames", None)
        if given is not None and asked_for is not None and "request" not in asked_for:
            given = {each: given[each] for each in asked_for if each in given}
        # By the request it may have asked for any that its test was given until now.
        others = self._given.setdefault(name, set())
        others.update(self._ran if given is None else self._names_of(given.values()))
        self._use((name, *others), OF_FIXTURE + name)

    def _names_of(self, fixtures: Iterable[Any]) -> Iterator[str]:
        for fixture in fixtures:
            name = self._names.get(identity(fixture))
            if name is not None:
                yield name

    def _use(self, names: Iterable[str], user: str) -> None:
        self._uses.update(f"{USE}{name}\0{user}" for name in self._with_given(names))

    def _with_given(self, names: Iterable[str]) -> set[str]:
        found = set(names)
        pending = list(found)
        while pending:
            new = self._given[pending.pop()] - found
            found |= new
            pending += new
        return found

    def end_function(self, function: str, goes_on: bool) -> None:
        """The tests that were heard of were of this function; `goes_on` if the last of them still runs."""
        if self._kept:
            found = self._set_up
            if self._is_unclear:
                found.update(self._ran)
            for given in self._given_to_tests:
                found.update(self._names_of(given.values()))
            for asked_for in self._asked_for:
                for definitions in asked_for.name2fixturedefs.values():
                    found.update(self._names_of(definitions))
            self._use(found, function)
        if not goes_on:
            self._asked_for, self._given_to_tests = [], []
            self._set_up, self._is_unclear = set(), False

    def take(self) -> list[Ran]:
        """As owners, with what they ran, the fixtures for which more has run since this was last asked, and who is new to use which."""
        taken: list[Ran] = []
        for name, ran in self._ran.items():
            told = self._told.setdefault(name, set())
            new = ran - told
            if new:
                told |= new
                taken.append(([OF_FIXTURE + name], list(new)))
        new_uses = sorted(self._uses - self._told_uses)
        if new_uses:
            taken.append((new_uses, []))
        self._told_uses |= self._uses
        self._uses = set()
        return taken
