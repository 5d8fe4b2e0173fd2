"""What a worker does about snapshots: writes what its tests have changed, and tells the orchestrator at the end.

A worker in which none was compared, and beside whose tests there are none, imports nothing more for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Callable, Optional

from .plugin import FOLDER, Context
from .wire import Pack

#: What went wrong in this process while snapshots were written.
_problems: list[str] = []


def flush(context: Context) -> None:
    """Write what was gathered, if there is something."""
    snapshots = context.snapshots
    if snapshots is not None:
        _try(snapshots.flush)


def told(
    context: Context, passed: Iterable[str], files: Mapping[str, str], tests: Callable[[], Mapping[str, list[str]]]
) -> Optional[bytes]:
    """End the session's snapshots; gives what to tell of them, if there is something. `files` has the path of each collected file, and
    `tests` gives the tests of those of which all are known."""
    folders = {os.path.dirname(path) for path in files.values()}
    if context.snapshots is None and not any(os.path.isdir(os.path.join(folder, FOLDER)) for folder in folders):
        return None
    from .snapshots import snapshots_of

    snapshots = snapshots_of(context)
    unused: list[tuple[str, str]] = []

    def find_unused() -> None:
        collected = {file: (files[file], set(names)) for file, names in tests().items()}
        unused.extend(snapshots.unused(passed, collected))

    for work in (snapshots.flush, find_unused, snapshots.store.close):
        _try(work)
    if not (snapshots.pending or snapshots.accepted or unused or _problems):
        return None
    out = Pack()
    for names in (snapshots.pending, snapshots.accepted, unused):
        out.pairs(sorted(names))
    out.texts(sorted(set(_problems)))
    return out.bytes()


def _try(work: Callable[[], None]) -> None:
    from .snapshot_text import Damaged

    try:
        work()
    except (Damaged, OSError) as error:
        _problems.append(str(error))
