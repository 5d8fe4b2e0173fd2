"""Which code has begun to run, or gone on, since it was last forgotten: `sys.monitoring` tells, and two ways to listen to it.

A callback may have itself called no more for a piece of code until everything is watched anew. That takes as long as some hundred calls, most
of it for code that isn't watched at all. The compiled part can do without: its callback costs so little that code is left alone only if it
begins often. A callback in Python is left alone at once.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Callable, Protocol

from .internals import identity
from .probes import load

#: From how much code on that was left alone everything is watched anew, which takes as long as to do it for each.
_MANY = 64


class Running(Protocol):
    """The identities of code that has begun."""

    #: What `sys.monitoring` is to call.
    callback: Callable[[CodeType, int], Any]

    def watch(self, code: CodeType) -> None:
        """Know a piece of code from now on."""

    def add(self, each: int) -> None:
        """Code has begun, as somebody else says."""

    def begun(self) -> set[int]:
        """What has begun and wasn't forgotten. It grows, and is no copy."""

    def forget(self, ran: set[int]) -> None:
        """Forget these, and watch them again: all that has begun, or what had when that was last asked for."""


class LeftAlone:
    """Has each piece of code left alone once it has begun."""

    def __init__(self) -> None:
        self._begun: set[int] = set()
        disable = _monitoring().DISABLE

        def callback(code: CodeType, _offset: int, add: Any = self._begun.add, disable: Any = disable) -> Any:
            add(identity(code))
            return disable

        self.callback: Callable[[CodeType, int], Any] = callback

    def add(self, each: int) -> None:
        """See `Running`."""
        self._begun.add(each)

    def watch(self, code: CodeType) -> None:
        """See `Running`."""

    def begun(self) -> set[int]:
        """See `Running`."""
        return self._begun

    def forget(self, ran: set[int]) -> None:
        """See `Running`."""
        self._begun -= ran
        _monitoring().restart_events()


class Counted:
    """Has what begins counted by the compiled part."""

    def __init__(self, probes: Any, watch_again: Callable[[int], None]) -> None:
        self._probes = probes
        self._watch_again = watch_again
        self._begun: set[int] = set()
        # How much of what it has counted is known.
        self._known = 0
        self.callback: Callable[[CodeType, int], Any] = probes.begins

    def watch(self, code: CodeType) -> None:
        """See `Running`."""
        self._probes.watch(identity(code), _monitoring().DISABLE)

    def add(self, each: int) -> None:
        """See `Running`."""
        self._begun.add(each)

    def begun(self) -> set[int]:
        """See `Running`."""
        new = self._probes.begun(self._known)
        if new:
            self._known += len(new)
            self._begun.update(new)
        return self._begun

    def forget(self, ran: set[int]) -> None:
        """See `Running`."""
        self._begun -= ran
        left_alone = self._probes.forget(self._known)
        self._known = 0
        if len(left_alone) >= _MANY:
            _monitoring().restart_events()
        else:
            for each in left_alone:
                self._watch_again(each)


def listener(watch_again: Callable[[int], None]) -> Running:
    """Nothing yet. `watch_again` is given the identity of code that the callback was called for, and isn't any more."""
    probes = load()
    return LeftAlone() if probes is None else Counted(probes, watch_again)


def _monitoring() -> Any:
    return sys.monitoring  # type: ignore[attr-defined, unused-ignore]
