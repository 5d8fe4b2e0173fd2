"""What runs for fixtures that live longer than a test, and which test functions use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .internals import identity

#: The owners of what ran for such a fixture, with its number; and, running nothing, of the tests of a function that use it, with that
#: number and the function behind a zero byte.
OF_FIXTURE, USE = "x:", "u:"


class WideFixtures:
    """The fixtures that were set up in this process and that tests share. pytest keeps with each test which ones its function asks for, and
    while it runs which ones it was given."""

    def __init__(self) -> None:
        # By identity their numbers; and what keeps the identities.
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        # By number what ran for each, how much of that was told, and which others it may have been given.
        self._ran: list[set[int]] = []
        self._told: list[set[int]] = []
        self._given: list[set[int]] = []
        # Of the tests of the moment's function what they ask for and are given, and fixtures that they set up; whether some don't tell.
        self._asked_for: list[Any] = []
        self._given_to_tests: list[dict[str, Any]] = []
        self._set_up: set[int] = set()
        self._is_unclear = False
        self._uses: set[str] = set()

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
        number = self._numbers.get(identity(fixture))
        if number is None:
            number = self._numbers[identity(fixture)] = len(self._kept)
            self._kept.append(fixture)
            for each in (self._ran, self._told, self._given):
                each.append(set())
        self._ran[number].update(ran)
        self._set_up.add(number)
        # It may have asked for any that its test was given until now.
        given = getattr(request, "_fixture_defs", None)
        self._given[number].update(range(number) if given is None else self._numbers_of(given.values()))

    def _numbers_of(self, fixtures: Iterable[Any]) -> Iterator[int]:
        for fixture in fixtures:
            number = self._numbers.get(identity(fixture))
            if number is not None:
                yield number

    def uses(self, function: str, goes_on: bool) -> list[str]:
        """As owners the new uses by the tests of a function that were heard of; `goes_on` if the last of them still runs."""
        found = self._set_up
        if self._kept:
            if self._is_unclear:
                found.update(range(len(self._kept)))
            for given in self._given_to_tests:
                found.update(self._numbers_of(given.values()))
            for asked_for in self._asked_for:
                for definitions in asked_for.name2fixturedefs.values():
                    found.update(self._numbers_of(definitions))
            pending = list(found)
            while pending:
                new = self._given[pending.pop()] - found
                found |= new
                pending += new
        if not goes_on:
            self._asked_for, self._given_to_tests = [], []
            self._set_up, self._is_unclear = set(), False
        owners = {f"{USE}{number}\0{function}" for number in found} - self._uses
        self._uses |= owners
        return sorted(owners)

    def take(self) -> list[tuple[str, list[int]]]:
        """As owners the fixtures for which more has run since this was last asked, with that."""
        taken = []
        for number, (ran, told) in enumerate(zip(self._ran, self._told)):
            new = ran - told
            if new:
                told |= new
                taken.append((f"{OF_FIXTURE}{number}", list(new)))
        return taken
