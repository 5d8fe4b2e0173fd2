"""Snapshot assertions: `snapshot(value)` compares a value with what was accepted for the test that runs.

A new value, or one that differs, fails the test and is pending, in a file beside the accepted ones, until `dx-py snapshot review`
accepts or rejects it. `--update-snapshots` accepts all at once. With `--ci` nothing is written.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Optional, Union

from . import snapshot_inline as inline_
from .plugin import Context, current
from .serialise import Serialised, serialise
from .snapshot_inline import Misplaced
from .snapshot_store import SnapshotFile, Store, accept_inline
from .snapshot_text import Damaged, Entry

Redact = Optional[Union[Mapping[str, Any], Iterable[str]]]
#: How long what was gathered waits in memory at the most, in seconds.
_PATIENCE = 1.0
_LONGEST_NAME = 200
_OWN = __package__


class SnapshotMismatch(AssertionError):
    """A value isn't what its snapshot holds, or there is no snapshot of it yet."""


class SnapshotError(Exception):
    """A snapshot can't be compared: a file is damaged, a name can't be used, or no test is running."""


# As they are known to whoever reads a failure.
SnapshotMismatch.__module__ = SnapshotError.__module__ = "dx_py_test_runner"


def snapshot(value: Any, name: Optional[str] = None, *, inline: Optional[str] = None, redact: Redact = None) -> None:
    """Assert that `value` is what was accepted for it.

    Without a name the snapshots of a test are numbered in the order of its calls. `inline` is the accepted text itself, which an update
    writes into the source; begin with `inline=""`. `redact` maps paths in the value (`user.id`, `items[*].created`) to what stands there
    instead. Raises `SnapshotMismatch`, an `AssertionError`, with a diff; `SnapshotError` if it can't be compared.
    """
    __tracebackhide__ = True
    context = current()
    if context is None or context.item is None:
        raise SnapshotError(
            "snapshot() works within a test, and pytest must have loaded its plugin: run with dx-py, or with `-p dx_py_test_runner.plugin`"
        )
    serialised = serialise(value, redact)
    try:
        if inline is None:
            failure = snapshots_of(context).compare(serialised, name, sys._getframe(1))
        elif name is not None:
            raise SnapshotError("an inline snapshot has no name: it stands where it is compared")
        else:
            failure = snapshots_of(context).compare_inline(serialised, inline)
    except (Damaged, Misplaced) as error:
        raise SnapshotError(str(error)) from None
    if failure:
        raise SnapshotMismatch(failure)


def snapshots_of(context: Context) -> Snapshots:
    """The snapshots of a session."""
    if context.snapshots is None:
        context.snapshots = Snapshots(context)
    found: Snapshots = context.snapshots
    return found


class Snapshots:
    """The snapshots that one session compares."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = Store(context.root, os.path.join(context.root, ".dx"))
        #: What was compared, by test: the names of its snapshots.
        self.used: dict[str, set[str]] = {}
        #: Names of what is pending, and of what was accepted, each with its file.
        self.pending: set[tuple[str, str]] = set()
        self.accepted: set[tuple[str, str]] = set()
        self._item: Any = None
        self._try: Any = None
        self._base = ""
        self._used: set[str] = set()
        self._count = 0
        self._file: Optional[SnapshotFile] = None
        #: What the observer knows of the test that runs: files that were read, each with the file of the code that asked.
        self._noted: set[tuple[str, str]] = set()
        self._patience = _PATIENCE
        self._written = time.monotonic()

    # Comparing

    def compare(self, value: Serialised, name: Optional[str], frame: FrameType) -> str:
        """Compare a value with the accepted one of this name, for the code that runs in `frame`; gives what to tell if it isn't."""
        file = self._enter()
        full = self._full_name(name)
        is_first = full not in self._used
        self._used.add(full)
        if self.context.note_read is not None:
            self._note_read(file.path, frame)
        if file.holds(full, value):
            if file.has_pending():
                file.changes.settled.add(full)
            if self.context.note_read is not None:
                beside = file.content_file(full)
                if beside:
                    self._note_read(beside, frame)
            return ""
        mode = self.context.mode
        if mode == "update" and is_first:
            file.changes.accepted[full] = value
            self.accepted.add((self.store.relative(file.path), full))
            self._be_patient()
            return ""
        if mode == "new" and is_first:
            file.changes.pending[full] = value
            self.pending.add((self.store.relative(file.pending_path), full))
            self._be_patient()
        return self._told(file, full, value, is_first)

    def compare_inline(self, value: Serialised, accepted: str) -> str:
        """Compare a value with what stands in the source; gives what to tell if it isn't that."""
        self._enter()
        if isinstance(value.content, bytes):
            raise SnapshotError("bytes can't stand inline: leave `inline` out")
        expected = inline_.content_of(accepted)
        if value.content == expected:
            return ""
        from .snapshot_diff import unified

        mode = self.context.mode
        frame = _caller()
        path = os.path.abspath(frame.f_code.co_filename)
        text = (
            f"{self._base} isn't what its inline snapshot says\n{unified(expected, value.content, self.context.color)}"
        )
        if mode in ("new", "update"):
            place, old, indent = inline_.find(frame)
            entry = Entry("text", inline_.literal_of(value.content, indent), "", f"{place} {old}")
            file = self.store.file(path)
            name = f"{self._base} (inline, line {place.line})"
            before = file.changes.pending.get(name)
            if before is not None and before != entry:
                return f"{text}\nThe test compares it with several values: give each a name instead."
            file.changes.pending[name] = entry
            self.pending.add((self.store.relative(file.pending_path), name))
            self._be_patient()
            if mode == "update":
                return ""
        return f"{text}\n{_HINT[mode]}"

    def _enter(self) -> SnapshotFile:
        """The file of the test that runs; its calls are counted from here if it is a new one."""
        item = self.context.item
        # Plugins that run a failed test again count its tries here.
        again = getattr(item, "execution_count", None)
        if item is not self._item or again != self._try or self._file is None:
            test = item.nodeid
            self._item, self._try, self._count = item, again, 0
            self._base = test.partition("::")[2] or test
            source = str(getattr(item, "path", None) or item.fspath)
            self._file = self.store.file(source)
            self._used = self.used.setdefault(test, set())
            self._noted.clear()
        return self._file

    def restart(self) -> None:
        """Count the calls of a test that is run once more from the start."""
        self._item = None

    def _full_name(self, name: Optional[str]) -> str:
        if name is None:
            self._count += 1
            return self._base if self._count == 1 else f"{self._base} #{self._count}"
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise SnapshotError(f"{name!r} is no name for a snapshot: give up to {_LONGEST_NAME} printable characters")
        return f"{self._base}: {name}"

    def _told(self, file: SnapshotFile, name: str, value: Serialised, is_first: bool) -> str:
        from .snapshot_diff import new, unified  # not needed as long as all is well

        hint = _HINT[self.context.mode]
        place = self.store.relative(file.path)
        changed = file.changes.accepted.get(name)
        entry = None if changed is not None else file.entries().get(name)
        if changed is None and entry is None:
            if not is_first:
                return f"{name} has several values in one run, and none is accepted yet\n{hint}"
            shown = new(value.content, self.context.color)
            return f"{name} has no snapshot in {place} yet\n{shown}\n{hint}"
        if changed is not None:
            kind, old = changed.kind, changed.content
        else:
            assert entry is not None
            kind, old = entry.kind, file.load(entry)
        if not is_first:
            hint = "The name was compared with another value before; give each value a name of its own."
        text = f"{name} isn't what {place} says"
        if kind != value.kind:
            text += f": that is of kind {kind}, and this is of kind {value.kind}"
        if isinstance(old, bytes) == isinstance(value.content, bytes):
            text += f"\n{unified(old, value.content, self.context.color)}"
        return f"{text}\n{hint}"

    def _note_read(self, path: str, frame: FrameType) -> None:
        """Let the observer know that the test depends on a file: reading that this package does isn't seen by it."""
        entry = (frame.f_code.co_filename, path)
        if self.context.note_read is not None and entry not in self._noted:
            self._noted.add(entry)
            self.context.note_read(path, frame)

    def _be_patient(self) -> None:
        if time.monotonic() - self._written > self._patience:
            self.flush()

    # The end

    def flush(self) -> None:
        """Write what was gathered."""
        began = time.monotonic()
        self.store.flush()
        self._written = time.monotonic()
        # Files are written whole: most of the time goes to tests, however large the files are.
        self._patience = max(_PATIENCE, 10 * (self._written - began))

    def accept_inline(self, pending: Iterable[tuple[str, str]]) -> tuple[set[tuple[str, str]], list[str]]:
        """Write those of these pending snapshots that are inline into their sources; gives which were, and what couldn't be done."""
        done: set[tuple[str, str]] = set()
        problems = []
        for path in sorted({path for path, _ in pending}):
            try:
                names = accept_inline(self.store, os.path.join(self.context.root, path))
            except (Misplaced, Damaged, OSError) as error:
                problems.append(str(error))
            else:
                done.update((path, name) for name in names)
        return done, problems

    def unused(self, passed: Iterable[str], collected: Mapping[str, tuple[str, set[str]]]) -> list[tuple[str, str]]:
        """Accepted snapshots that nothing compares any more: those of tests that have `passed`, as far as these didn't use them, and
        those of no test that is there. `collected` has each file of which all tests are known: its path and the IDs of its tests."""
        found = []
        passed = set(passed)
        for path, tests in collected.values():
            file = self.store.file(path)
            if not os.path.exists(file.path):
                continue
            used = set().union(*(self.used.get(test, ()) for test in tests))
            left = [name for name in file.names() if name not in used]
            bases = {test.partition("::")[2]: test for test in tests} if left else {}
            for name in left:
                test = _owner(name, bases)
                if test is None or test in passed:
                    found.append((self.store.relative(file.path), name))
        return sorted(found)


_HINT = {
    "new": "Accept or reject it with `dx-py snapshot review`, or accept all with --update-snapshots.",
    "update": "",
    "none": "Nothing is written in CI. Run the test elsewhere, and accept the snapshot with `dx-py snapshot review`.",
    "ci": "Nothing is written with --ci. Run the test without it, and accept the snapshot with `dx-py snapshot review`.",
}


def _owner(name: str, bases: Mapping[str, str]) -> Optional[str]:
    """The test that a snapshot belongs to."""
    if name in bases:
        return bases[name]
    for mark in (" #", ": "):
        at = name.find(mark)
        while at >= 0:
            if name[:at] in bases:
                return bases[name[:at]]
            at = name.find(mark, at + 1)
    return None


def _caller() -> FrameType:
    """The frame that called this package."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == _OWN:
        frame = frame.f_back
    return frame
