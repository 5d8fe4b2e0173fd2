"""Redactions: what differs from run to run is replaced, by its path in the value, before a snapshot is made of it.

A path is made of names and places: `user.id`, `items[0]`, `items[*].created`, `["a key with spaces"]`. `*` stands for any one name or
place, `**` for any number of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional, Union

#: What a path that is not redacted gives, since None is a value.
NOT_REDACTED = object()
_ANY, _DEEP = object(), object()
_INSTEAD = "[redacted]"
_PART = re.compile(
    r"""\.?(?:(?P<deep>\*\*)|(?P<any>\*)|(?P<name>[^\s.\[\]*"']+))|\[(?:(?P<at>-?\d+)|(?P<all>\*)|"(?P<double>[^"]*)"|'(?P<single>[^']*)')\]"""
)


def parse(path: str) -> tuple[Any, ...]:
    """The parts of a path; raises `ValueError` if it isn't one."""
    parts: list[Any] = []
    at = 0
    while at < len(path):
        match = _PART.match(path, at)
        if match is None:
            raise ValueError(
                f"{path!r} is no path to redact: write it like `user.id`, `items[*].created` or `**.token`"
            )
        found = match.groupdict()
        if found["deep"]:
            parts.append(_DEEP)
        elif found["any"] or found["all"]:
            parts.append(_ANY)
        elif found["at"] is not None:
            parts.append(int(found["at"]))
        else:
            parts.append(next(found[kind] for kind in ("name", "double", "single") if found[kind] is not None))
        at = match.end()
    return tuple(parts)


class Redactions(NamedTuple):
    """Paths, and what stands there instead."""

    rules: tuple[tuple[tuple[Any, ...], Any], ...]

    @classmethod
    def of(cls, redact: Optional[Union[Mapping[str, Any], Iterable[str]]]) -> Optional[Redactions]:
        """The rules that a user gives; None if there are none."""
        if not redact:
            return None
        if isinstance(redact, str):
            redact = [redact]
        given = redact.items() if isinstance(redact, Mapping) else ((path, _INSTEAD) for path in redact)
        return cls(tuple((parse(path), instead) for path, instead in given))

    def apply(self, path: tuple[Any, ...], value: Any) -> Any:
        """What stands at `path` instead of `value`, or `NOT_REDACTED`."""
        for pattern, instead in self.rules:
            if _matches(pattern, path):
                return instead(value) if callable(instead) else instead
        return NOT_REDACTED


def _matches(pattern: tuple[Any, ...], path: tuple[Any, ...]) -> bool:
    if not pattern:
        return not path
    first = pattern[0]
    if first is _DEEP:
        return any(_matches(pattern[1:], path[at:]) for at in range(len(path) + 1))
    if not path:
        return False
    here = path[0]
    same = first is _ANY or (str(here) == first if isinstance(first, str) else type(here) is int and here == first)
    return same and _matches(pattern[1:], path[1:])
