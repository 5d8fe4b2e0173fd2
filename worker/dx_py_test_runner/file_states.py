"""Whether files are as they were when they were first looked at: what a zygote asks of hundreds before each run, which waits for it."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from typing import Optional

from .probes import load

# Bound before the observer wraps it.
_stat = os.stat

#: Of how many numbers a state is, as the compiled part tells it.
_NUMBERS = 4

#: When it was changed, its size and its inode; nothing if it isn't there.
State = Optional[tuple[int, int, int]]


def state_of(file: str) -> State:
    """The state of a file or folder."""
    try:
        found = _stat(file)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FileStates:
    """Files, and their states when they were noted."""

    def __init__(self) -> None:
        self._files: dict[str, State] = {}
        probes = load()
        # The compiled part is asked for all at once: by their names, each ended by a zero byte. Not on each system it can tell.
        self._ask = None if probes is None or probes.states(0, 0, 0) is None else probes.states
        self._names, self._told = array("B"), array("Q")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def note(self, files: Iterable[str]) -> None:
        """Note the states of those of these files that aren't known yet."""
        new = [file for file in dict.fromkeys(files) if file not in self._files and "\0" not in file]
        self._files.update((file, state_of(file) if self._ask is None else None) for file in new)
        names = array("B", b"".join(os.fsencode(file) + b"\0" for file in new))
        self._told += self._told_of(names, len(new))
        self._names += names

    def are_same(self) -> bool:
        """Whether all are as they were."""
        if self._ask is None:
            return all(state_of(file) == state for file, state in self._files.items())
        return self._told_of(self._names, len(self._files)) == self._told

    def _told_of(self, names: array[int], count: int) -> array[int]:
        told = array("Q", bytes(8 * _NUMBERS * count))
        if self._ask is not None and count:
            self._ask(names.buffer_info()[0], count, told.buffer_info()[0])
        return told
