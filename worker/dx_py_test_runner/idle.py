"""For how long a worker has had nothing to do: its tests slept, or waited for a server, a disk, or a thread that did.

That it waited for a processor isn't that, nor that a child process or another thread worked for it. Linux tells each thread's time on a
processor and its time in the queue for one; elsewhere a worker says that it was never idle.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Optional, TypeVar

# Bound before tests replace them.
_wall, _cpu = time.perf_counter_ns, time.process_time_ns
_open, _read, _close = os.open, os.read, os.close
_usage = resource.getrusage
#: The unit of the largest resident size.
_UNIT = 1 if sys.platform == "darwin" else 1024


_T = TypeVar("_T")


class Idle:
    """Measures it from now on, all times in nanoseconds. To be asked by the thread that has made it."""

    def __init__(self) -> None:
        #: The CPU time that the process has used before.
        self.start = _cpu()
        self._for_work = 0
        self._before = _now()

    def leave_out(self, wait: Callable[[], _T]) -> _T:
        """Wait for work, which doesn't count."""
        before = _wall()
        try:
            return wait()
        finally:
            self._for_work += _wall() - before

    def told(self) -> tuple[int, int, int, int]:
        """How long it has been since then, but for waits for a processor and for work; how much of that it was idle; the CPU time before;
        and the most memory that it had, in bytes."""
        now = _now()
        memory = _usage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
        if now is None or self._before is None:
            return 0, 0, self.start, memory
        elapsed, busy = (after - before for after, before in zip(now, self._before))
        elapsed -= self._for_work
        return max(elapsed, 0), max(elapsed - busy, 0), self.start, memory


def _now() -> Optional[tuple[int, int]]:
    """The time that has passed but for waits for a processor, and the CPU time of this process and of its children that have ended."""
    try:
        fd = _open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            waited = int(_read(fd, 100).split()[1])
        finally:
            _close(fd)
    except (OSError, ValueError, IndexError):
        return None
    children = _usage(resource.RUSAGE_CHILDREN)
    return _wall() - waited, _cpu() + int((children.ru_utime + children.ru_stime) * 1e9)
