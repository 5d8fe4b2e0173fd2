"""Tells what lies in the system's temporary folder, and which of it this run has made.

What was there before the run is an input like any other file. What tests, fixtures and pytest itself put there isn't: its names differ
from run to run, and its content is what the run made it. What other processes make is told from the rest by the orchestrator, which
knows the names that were there when the run began.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple, Optional

# Bound before the observer wraps it.
_lstat = os.lstat
#: How many links a path leads through, as in Linux, before it leads nowhere.
_MOST_LINKS = 40


class Read(NamedTuple):
    """What a test, or a file's collection, read of the temporary folder."""

    context: Optional[str]
    kind: int
    path: str


class Temporary:
    """The system's temporary folder, seen from one worker process."""

    def __init__(self, root: str) -> None:
        folder = tempfile.gettempdir()
        self._folders = tuple({os.path.realpath(folder), folder})
        self._inside = tuple(name + os.sep for name in self._folders)
        # The project and the environment may lie there as well.
        self._elsewhere = (root + os.sep, sys.prefix + os.sep, sys.base_prefix + os.sep)
        self._root = root
        self._made: set[str] = set()
        self._made_at_import: set[str] = set()
        self._links: dict[str, str] = {}
        self._kept: dict[Read, set[str]] = {}

    def is_it(self, path: str) -> bool:
        """Whether `path` is the folder itself."""
        return path in self._folders and path != self._root

    def holds(self, path: str) -> bool:
        """Whether `path` lies there."""
        return path.startswith(self._inside) and not path.startswith(self._elsewhere) and path != self._root

    def add_made(self, path: str) -> None:
        """Note that `path` and all below it were made by this run."""
        self._made.add(path)

    def add_written(self, path: str, is_importing: bool) -> None:
        """Note that `path` is about to be written; it is made if nothing is there yet. `is_importing` says whether tests are collected."""
        try:
            _lstat(path)
        except OSError:
            self._made.add(path)
            if is_importing:
                self._made_at_import.add(path)

    def add_link(self, target: str, link: str) -> None:
        """Note that a link is about to be made there."""
        self._links[link] = os.path.normpath(os.path.join(os.path.dirname(link), target))

    def forget_link(self, path: str) -> None:
        """Note that something else is about to be where a link may have been."""
        self._links.pop(path, None)

    def follow(self, path: str) -> str:
        """`path` without the links that this process has made there: what is read through them may have been there before."""
        for _ in range(_MOST_LINKS if self._links else 0):
            head = path
            while len(head) > 1 and head not in self._links:
                head = head.rpartition("/")[0]
            if len(head) <= 1:
                break
            path = self._links[head] + path[len(head) :]
        return path

    def was_made(self, path: str) -> bool:
        """Whether `path`, or a folder that it lies in, was made by this run."""
        return self._is_within(path, self._made)

    def was_made_at_import(self, path: str) -> bool:
        """Whether that was while tests were collected."""
        return bool(self._made_at_import) and self._is_within(path, self._made_at_import)

    def _is_within(self, path: str, made: set[str]) -> bool:
        while len(path) > 1 and path not in self._folders:
            if path in made:
                return True
            path = path.rpartition("/")[0]
        return False

    def keep(self, read: Read, owners: list[str]) -> None:
        """Keep a read until it is known what its test writes."""
        if not self.was_made(read.path):
            self._kept.setdefault(read, set()).update(owners)

    def settled(self, writers: dict[str, Optional[str]]) -> Iterator[tuple[Read, set[str]]]:
        """The reads that were kept, with their owners. `writers` tells who has written which path last.

        A test that looks whether its own file is there from last time, and then writes it, depends on itself.
        """
        kept, self._kept = self._kept, {}
        for read, owners in kept.items():
            own = read.path in writers and writers[read.path] == read.context
            if not own and not self.was_made(read.path):
                yield read, owners


def is_naming(frame: Optional[FrameType]) -> bool:
    """Whether `tempfile` is about to look for a name that nobody has taken."""
    for _ in range(3):
        if frame is None:
            return False
        if frame.f_code.co_filename == tempfile.__file__:
            return True
        frame = frame.f_back
    return False
