"""What many tests of a process read from outside of their project, such as the language that the user has set, and where its translations
might be. It is said to be read by all tests, which is no less than true, and then nobody looks who reads it: to look through the stack
each time took a tenth of suites that ask for translations."""

from __future__ import annotations

import os
from typing import Optional

from .variables import ALL

#: In how many tests something was read before it counts as read by all.
_MANY = 16


class Usual(set[tuple[int, str]]):
    """What is read so often, by its kind and key. `anywhere` are the kinds that have nothing to do with a folder, and `outside` those of
    paths, which count if they are outside of `root`."""

    def __init__(self, root: str, anywhere: tuple[int, ...], outside: tuple[int, ...]) -> None:
        super().__init__()
        self._root = os.path.join(os.path.realpath(root), "")
        self._anywhere, self._outside = anywhere, outside
        # In how many tests, and the last of them.
        self._counts: dict[tuple[int, str], tuple[int, str]] = {}

    def becomes_one(self, context: Optional[str], kind: int, key: str) -> bool:
        """Count what was read in a test; gives whether it is read by all from now on."""
        if context is None or not context.startswith("t:") or key == ALL:
            return False
        if kind not in self._anywhere and (
            kind not in self._outside or key.startswith(self._root) or key.endswith(".py")
        ):
            return False
        count, last = self._counts.get((kind, key), (0, ""))
        if last == context:
            return False
        self._counts[kind, key] = (count + 1, context)
        if count + 1 < _MANY:
            return False
        self.add((kind, key))
        return True

    def forget(self, key: str) -> None:
        """Look again who reads something: a test has written it."""
        for kind in self._outside:
            self.discard((kind, key))
            self._counts.pop((kind, key), None)
