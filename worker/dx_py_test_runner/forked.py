"""What a zygote is asked for, and how a fork of it becomes what a fresh interpreter would be for that."""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
import time
from typing import Any, NamedTuple, NoReturn, Optional


class Request(NamedTuple):
    """What a worker is to have."""

    umask: int
    folder: str
    #: The numbers of the streams that it gets beside its socket, its ring, standard output and standard error.
    numbers: list[int]
    arguments: list[str]
    environment: dict[bytes, bytes]

    @classmethod
    def of(cls, parts: list[bytes]) -> Request:
        """As it arrives. An error of `ValueError` or `LookupError` if it isn't one."""
        umask, folder, numbers, count, *rest = parts
        arguments, pairs = rest[: int(count)], rest[int(count) :]
        return cls(
            int(umask),
            os.fsdecode(folder),
            [int(number) for number in numbers.split()],
            [os.fsdecode(argument) for argument in arguments],
            dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair[1:]),
        )


class Fork:
    """A worker that was forked. As long as nothing was told it can start over as a fresh interpreter."""

    def __init__(self, request: Request, fds: list[int], seed: Optional[str]) -> None:
        """Give this process what was asked for; `seed` is that of hashes, which is in force."""
        wanted = [1, 2, *request.numbers]
        sock, ring, *others = [_moved(fd, max(wanted) + 1) for fd in fds]
        for fd, number in zip(others, wanted):
            os.dup2(fd, number, inheritable=True)
            os.close(fd)
        os.umask(request.umask)
        os.chdir(request.folder)
        environment = dict(request.environment)
        if b"PYTHONHASHSEED" in environment and seed is not None:
            environment[b"PYTHONHASHSEED"] = os.fsencode(seed)
        os.environb.clear()
        os.environb.update(environment)
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()
        _restart_clocks()
        #: Its arguments: the program, the numbers of its socket and of its ring, and those that were asked for.
        self.argv = [sys.argv[0], str(sock), str(ring), *request.arguments]
        if hasattr(sys, "orig_argv"):
            sys.orig_argv[:] = [sys.orig_argv[0], *self.argv]
        self._request = request
        # The ring is closed as soon as it is mapped.
        self._ring = fcntl.fcntl(ring, fcntl.F_DUPFD_CLOEXEC, ring + 1)

    def go_on(self) -> None:
        """Be the worker."""
        os.close(self._ring)

    def start_over(self) -> NoReturn:
        """Be a fresh interpreter instead."""
        program, sock, _, *arguments = self.argv
        for number in (int(sock), self._ring):
            os.set_inheritable(number, True)
        os.umask(self._request.umask)
        os.chdir(self._request.folder)
        argv = [sys.executable, program, sock, str(self._ring), *arguments]
        os.execve(sys.executable, argv, self._request.environment)


def _moved(fd: int, least: int) -> int:
    """The same stream under a number that is at least so large."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
    os.close(fd)
    return moved


def _restart_clocks() -> None:
    """Let what counts from the start of the process count from now."""
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        is_whole = isinstance(logging._startTime, int)
        logging._startTime = time.time_ns() if is_whole else time.time()
