"""Forks of the zygote that wait for a request, so that a worker is there at once.

A fork shares its memory with the zygote until one of them writes to it, and Python writes to nearly each object that it looks at: a tenth
of the CPU time of a short run goes into copying page after page. A spare has its copies made before anybody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional

from .probes import load

#: How many of them wait at most.
_MOST = 4
#: How much memory is copied for all of them at most, in bytes. Where it would be more each has its own when it needs it.
_MOST_COPIED = 256 << 20
_LARGEST_REQUEST = 16 << 20
_MOST_STREAMS = 253

#: What arrives for a worker: the parts of the request, and its streams.
Asked = tuple[list[bytes], list[int]]


class Spare(NamedTuple):
    """One of them, and the zygote's end of its socket. It ends when that is closed."""

    pid: int
    link: socket.socket

    def give(self, parts: list[bytes], fds: list[int]) -> None:
        """Let it become the worker that was asked for. That it has been killed is heard of as it is of a worker."""
        body = b"\0".join(parts)
        request = struct.pack("<I", len(body)) + body
        with self.link, contextlib.suppress(OSError):
            rest = request[socket.send_fds(self.link, [request], fds) :]
            # One that has all of it may have closed its end.
            if rest:
                self.link.sendall(rest)


class Spares:
    """The forks that wait."""

    def __init__(self) -> None:
        self._waiting: list[Spare] = []
        self._wanted = min(_processors(), _MOST)

    @property
    def sockets(self) -> Iterator[socket.socket]:
        """The zygote's ends, which its other forks must close."""
        return (spare.link for spare in self._waiting)

    @property
    def share(self) -> int:
        """How many bytes may be copied for each."""
        return _MOST_COPIED // max(self._wanted, 1)

    @property
    def are_missing(self) -> bool:
        """Whether there are less than there should be."""
        return len(self._waiting) < self._wanted

    def make(self) -> Optional[socket.socket]:
        """Fork one. Gives, in the fork, the socket that it is to wait at."""
        ours, its = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:  # no more processes, or no memory: then none waits
            self._wanted = 0
            ours.close()
            its.close()
            return None
        if pid == 0:
            ours.close()
            return its
        its.close()
        self._waiting.append(Spare(pid, ours))
        return None

    def take(self) -> Optional[Spare]:
        """One of them, if there is any, for a request."""
        return self._waiting.pop() if self._waiting else None

    def discard(self) -> None:
        """Let all of them end: they are no longer what a fork would be."""
        for link in self.sockets:
            link.close()
        self._waiting.clear()

    def forget(self, pid: int) -> None:
        """Hear that a process has ended, which may have been one of them."""
        for spare in self._waiting:
            if spare.pid == pid:
                spare.link.close()
                self._waiting.remove(spare)
                return


def wait(link: socket.socket, most: int) -> Asked:
    """Get ready, with so many bytes of memory copied at most, wait for a request in a spare, and give it. The process ends if there won't
    be one."""
    _copy_memory(most)
    try:
        with link:
            return receive(link)
    except (OSError, EOFError, struct.error):
        os._exit(0)


def receive(link: socket.socket) -> Asked:
    """A request, with its streams. `EOFError` if it isn't whole."""
    data, fds, _, _ = socket.recv_fds(link, 1 << 16, _MOST_STREAMS)
    while len(data) < 4 or len(data) < 4 + struct.unpack("<I", data[:4])[0]:
        more = link.recv(1 << 16)
        if not more or len(data) > _LARGEST_REQUEST:
            for fd in fds:
                os.close(fd)
            raise EOFError
        data += more
    return data[4:].split(b"\0"), list(fds)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _copy_memory(most: int) -> None:
    """Have the memory copied that this process shares with the zygote, where the system does that at once, unless it is more than that."""
    probes = load()
    if probes is None:
        return
    try:
        with open("/proc/self/maps", "rb") as file:
            ranges = list(_private(file.read()))
    except OSError:
        return
    if sum(size for _, size in ranges) > most:
        return
    for start, size in ranges:
        if not probes.copy_pages(start, size):
            return


def _private(maps: bytes) -> Iterator[tuple[int, int]]:
    """Where memory is that belongs to no file and is written to, and how large it is."""
    for line in maps.splitlines():
        place, rights, _, _, inode = line.split(None, 5)[:5]
        if rights == b"rw-p" and inode == b"0" and not line.endswith(b"[stack]"):
            start, end = (int(each, 16) for each in place.split(b"-"))
            yield start, end - start
