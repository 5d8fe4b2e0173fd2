"""The worker's end of the protocol: framed messages over a socket, large payloads through a shared ring.

Every message is a fixed header and a payload. A payload over 1 KiB is put into the memory-mapped ring if there is room for it, and
the header, which always goes over the socket, tells where; so the socket is also the wake-up. Without room it follows the header.

What can wait, the beginnings and passes of short tests, is written into the same shared memory and sent with what can't. The
orchestrator looks there now and then, and when this process has died: nothing is lost, and no test needs a system call.
The ring's writer is the compiled one where this very version of dx-py is installed beside pytest.
Names used while tests run are bound at import, since tests replace functions of `os`, `socket` and `struct`.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional, Union

from . import __version__ as _PACKAGE_VERSION
from .errors import RingError

if TYPE_CHECKING:
    from . import _native

COLLECT, RUN, FINISH, STOP, TELL_TEST, TELL_COLLECTION, BEGIN = range(1, 8)
(
    HELLO,
    COLLECTED,
    COLLECTION_REPORT,
    COLLECTION_DONE,
    NEXT,
    TEST_STARTED,
    TEST_FINISHED,
    JOB_DONE,
    WARNING,
    TRACE,
    FATAL,
    BYE,
    STOPPED,
    SECTION,
    ENGINE,
    LACKS,
    SNAPSHOTS,
) = range(1, 18)

_VERSION = 1
_COMMAND = struct.Struct("<4sHHQQII")
_REPORT = struct.Struct("<4sHHQQQIBBH")
_INLINE = 1024
_MAX_PAYLOAD = 256 << 20
_RING_VERSION = b"\2\0\0\0"
_RING_HEADER = 192
_HEAD, _TAIL = 64, 128
_IN_RING = 1
#: Before what isn't sent yet: where in the stream it starts, and how long it is.
_UNSENT_HEADER = 16
#: How often the orchestrator is asked whether to stop, in seconds.
_PATIENCE = 0.002
#: Elsewhere other processors may see writes in another order, and what isn't sent can't be looked at.
_IS_ORDERED = os.uname().machine in ("x86_64", "AMD64", "i686")

_u32 = struct.Struct("<I")
_u64 = struct.Struct("<Q")
_getpid = os.getpid
_now = time.perf_counter

Command = tuple[int, int, int, bytes]


class Pack:
    """Builds a payload."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def u8(self, value: int) -> None:
        """One byte."""
        self._buffer.append(value)

    def u32(self, value: int) -> None:
        """Four bytes; larger numbers are cut to the largest."""
        self._buffer += _u32.pack(min(value, 0xFFFFFFFF))

    def u64(self, value: int) -> None:
        """Eight bytes."""
        self._buffer += _u64.pack(value)

    def text(self, text: str) -> None:
        """Text; what UTF-8 has no form for is written as an escape."""
        data = text.encode("utf-8", "backslashreplace")
        self._buffer += _u32.pack(len(data))
        self._buffer += data

    def blob(self, data: bytes) -> None:
        """Bytes that only Python reads."""
        self._buffer += _u32.pack(len(data))
        self._buffer += data

    def raw(self, data: bytes) -> None:
        """What was built before, as it is."""
        self._buffer += data

    def texts(self, texts: list[str]) -> None:
        """A list of texts."""
        self._buffer += _u32.pack(len(texts))
        for text in texts:
            self.text(text)

    def pairs(self, pairs: list[tuple[str, str]]) -> None:
        """A list of pairs of texts."""
        self._buffer += _u32.pack(len(pairs))
        for one, other in pairs:
            self.text(one)
            self.text(other)

    def numbers(self, numbers: list[int]) -> None:
        """A list of numbers of four bytes."""
        self._buffer += struct.pack(f"<{len(numbers) + 1}I", len(numbers), *numbers)

    def counts(self, counts: dict[str, int]) -> None:
        """A list of texts with a number each."""
        self._buffer += _u32.pack(len(counts))
        for text, count in counts.items():
            self.text(text)
            self.u32(count)

    def __len__(self) -> int:
        return len(self._buffer)

    def bytes(self) -> bytes:
        """What was built."""
        return bytes(self._buffer)


class Unpack:
    """Reads a payload."""

    __slots__ = ("_data", "_at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"the payload ends at byte {len(self._data)}, {size} more were expected at {self._at}")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def u8(self) -> int:
        """One byte."""
        return self._take(1)[0]

    def u32(self) -> int:
        """Four bytes."""
        return int(_u32.unpack(self._take(4))[0])

    def text(self) -> str:
        """Text."""
        return self._take(self.u32()).decode("utf-8")

    def blob(self) -> bytes:
        """Bytes that only Python reads."""
        return self._take(self.u32())

    def texts(self) -> list[str]:
        """A list of texts."""
        return [self.text() for _ in range(self.u32())]

    def pairs(self) -> list[tuple[str, str]]:
        """A list of pairs of texts."""
        return [(self.text(), self.text()) for _ in range(self.u32())]


_PASS = struct.Struct("<QQQ6I")


def pack_text(text: str) -> bytes:
    """The payload of a message that has one text."""
    data = text.encode("utf-8", "backslashreplace")
    return _u32.pack(len(data)) + data


def pack_pass(name: str, phases: list[int]) -> bytes:
    """The payload of a test that passed and has nothing to tell: its ID, its phases, and empty lists."""
    return pack_text(name) + _PASS.pack(*phases, 0, 0, 0, 0, 0, 0)


def _read_command(read_into: Callable[[memoryview], Optional[int]]) -> Optional[Command]:
    """The next command from a stream; None at its end."""
    header = _read(read_into, _COMMAND.size)
    if header is None:
        return None
    magic, version, kind, sequence, argument, size, _flags = _COMMAND.unpack(header)
    if magic != b"DXTM" or version != _VERSION:
        raise ValueError(f"not a message of this protocol: {header[:8]!r}")
    payload = _read(read_into, size)
    if payload is None:
        return None
    return kind, sequence, argument, payload


def _read(read_into: Callable[[memoryview], Optional[int]], size: int) -> Optional[bytes]:
    data = bytearray(size)
    view = memoryview(data)
    got = 0
    while got < size:
        count = read_into(view[got:])
        if not count:
            return None
        got += count
    return bytes(data)


class Feed:
    """Commands from a pipe, for a process that has nothing to answer."""

    def __init__(self, fd: int) -> None:
        self._stream = open(fd, "rb")  # noqa: SIM115 (open as long as the process runs)

    def receive(self) -> Optional[Command]:
        """The next command; None if the orchestrator is gone."""
        return _read_command(self._stream.readinto)


class PureRingWriter:
    """Writes reports into the ring whose file is open as `fd`, which stays the caller's. There must be only one for each ring.

    The twin of the compiled `RingWriter`, for where that isn't there.
    """

    def __init__(self, fd: int, /) -> None:
        try:
            self._ring = mmap.mmap(fd, 0)
        except (OSError, ValueError) as error:
            raise RingError(f"the shared ring can't be set up\n  {error}") from None
        if len(self._ring) <= _RING_HEADER or self._ring[:4] != b"DXRB" or self._ring[4:8] != _RING_VERSION:
            raise RingError("the mapped file is not a ring")
        self._capacity = int(_u64.unpack_from(self._ring, 8)[0])
        self._head = int(_u64.unpack_from(self._ring, _HEAD)[0])
        self._unsent = bytearray()
        self._unsent_at = (_RING_HEADER + self._capacity + 7) // 8 * 8
        self._room = len(self._ring) - self._unsent_at - _UNSENT_HEADER if _IS_ORDERED else 0
        self._sent = 0

    def queue(self, kind: int, payload: bytes, sequence: int, duration_ns: int = 0, status: int = 0) -> bool:
        """Keep a report in the shared memory until the next one is sent; false if there is no room for it."""
        held, size = len(self._unsent), _REPORT.size + len(payload)
        if held + size > self._room or len(payload) > _INLINE:
            return False
        at = self._unsent_at
        if not held:
            _u64.pack_into(self._ring, at, self._sent)
        frame = _REPORT.pack(b"DXTR", _VERSION, kind, sequence, duration_ns, 0, len(payload), status, 0, 0) + payload
        begin = at + _UNSENT_HEADER + held
        self._ring[begin : begin + size] = frame
        self._unsent += frame
        # The length is published after the bytes that it counts.
        _u64.pack_into(self._ring, at + 8, held + size)
        return True

    def frame(self, kind: int, payload: bytes, sequence: int, duration_ns: int = 0, status: int = 0) -> bytes:
        """The bytes to send for a report: what waited, its header, and its payload unless that went into the ring."""
        size = len(payload)
        if size > _MAX_PAYLOAD:
            raise RingError(f"a payload of {size} bytes is larger than the limit of {_MAX_PAYLOAD}")
        offset = self._push(payload) if size > _INLINE else None
        at, flags = (0, 0) if offset is None else (offset, _IN_RING)
        header = _REPORT.pack(b"DXTR", _VERSION, kind, sequence, duration_ns, at, size, status, flags, 0)
        return bytes(self._unsent) + header + (payload if offset is None else b"")

    def sent(self, size: int, /) -> None:
        """Say that so many bytes were sent: all that the last `frame` gave."""
        self._sent += size
        if self._unsent:
            self._unsent.clear()
            _u64.pack_into(self._ring, self._unsent_at + 8, 0)

    def _push(self, payload: bytes) -> Optional[int]:
        size = len(payload)
        head = self._head
        tail = int(_u64.unpack_from(self._ring, _TAIL)[0])
        if size > self._capacity - (head - tail):
            return None
        at = head % self._capacity
        first = min(size, self._capacity - at)
        self._ring[_RING_HEADER + at : _RING_HEADER + at + first] = payload[:first]
        if first < size:
            self._ring[_RING_HEADER : _RING_HEADER + size - first] = payload[first:]
        self._head = head + size
        # The index is published after the data; the system call that sends the header orders both before the reader's look.
        _u64.pack_into(self._ring, _HEAD, self._head)
        return head


def _ring_writer() -> type[Union[PureRingWriter, _native.RingWriter]]:
    """The compiled writer if it is installed and of this very version, else its twin."""
    try:
        from . import _native
    except ImportError:
        return PureRingWriter
    return _native.RingWriter if _native.__version__ == _PACKAGE_VERSION else PureRingWriter


RingWriter = _ring_writer()


class Wire:
    """The connection with the orchestrator. In a child that was forked off it does nothing."""

    def __init__(self, sock_fd: int, ring_fd: int) -> None:
        self._socket = socket.socket(fileno=sock_fd)
        self._sendall = self._socket.sendall
        self._recv_into = self._socket.recv_into
        self._poll = select.poll()
        self._poll.register(sock_fd, select.POLLIN)
        ring = RingWriter(ring_fd)
        os.close(ring_fd)
        self._frame = ring.frame
        self._sent = ring.sent
        self._queue = ring.queue
        self._pid = os.getpid()
        self._is_own = True
        os.register_at_fork(after_in_child=self._disown)
        self._early: list[Command] = []
        self._looked = 0.0

    def send(self, kind: int, payload: bytes = b"", sequence: int = 0, duration_ns: int = 0, status: int = 0) -> None:
        """Send one message."""
        if _getpid() != self._pid:
            return
        data = self._frame(kind, payload, sequence, duration_ns, status)
        self._sendall(data)
        self._sent(len(data))

    def queue(self, kind: int, payload: bytes, sequence: int, duration_ns: int = 0, status: int = 0) -> None:
        """Send one message that can wait for the next one that is sent."""
        if not self._is_own:
            return
        if not self._queue(kind, payload, sequence, duration_ns, status):
            self.send(kind, payload, sequence, duration_ns, status)

    def _disown(self) -> None:
        """Do nothing any more in a child. One that was forked off behind Python's back sends nothing either."""
        self._is_own = False

    def wait(self) -> None:
        """Wait for a command, and leave it to `receive`, so that an interpreter that starts over finds it; end if the orchestrator is gone."""
        try:
            is_there = self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            is_there = b""
        if not is_there:
            os._exit(1)

    def receive(self) -> Optional[Command]:
        """The next command; None if the orchestrator is gone."""
        if self._early:
            return self._early.pop(0)
        return _read_command(self._recv_into)

    def stop_requested(self, at_once: bool = False) -> bool:
        """Whether the orchestrator asked to stop after this test, or is gone; unless `at_once`, it isn't looked for so soon again. Other
        commands are kept for `receive`."""
        now = _now()
        if now - self._looked < _PATIENCE and not at_once:
            return False
        self._looked = now
        while self._poll.poll(0):
            command = self.receive_now()
            if command is None or command[0] == STOP:
                return True
            self._early.append(command)
        return False

    def receive_now(self) -> Optional[Command]:
        """The next command from the socket, whatever was kept before."""
        early, self._early = self._early, []
        try:
            return self.receive()
        finally:
            self._early = early + self._early
