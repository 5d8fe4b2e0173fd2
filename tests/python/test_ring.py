"""The ring's two writers, the compiled one and its twin, by the same tests; what they write is read as the orchestrator does."""

import mmap
import os
import random
import socket
import struct
import threading

import pytest

from dx_py_test_runner import RingError, _native, wire

WRITERS = [wire.PureRingWriter, _native.RingWriter]
REPORT = struct.Struct("<4sHHQQQIBBH")
UNSENT = 64 << 10


@pytest.fixture(params=WRITERS, ids=["pure", "compiled"])
def make_writer(request):
    return request.param


class Ring:
    """The file of a ring, and its reading end."""

    def __init__(self, folder, capacity=4096):
        self.capacity = capacity
        self.unsent_at = (192 + capacity + 7) // 8 * 8
        path = folder / "ring"
        path.write_bytes(b"DXRB\2\0\0\0" + struct.pack("<Q", capacity) + bytes(self.unsent_at + 16 + UNSENT - 16))
        self.fd = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(self.fd, 0)
        self.buffer = bytearray()
        self.arrived = self.taken = 0

    def word(self, at):
        return struct.unpack_from("<Q", self.map, at)[0]

    def take(self, offset, size):
        tail, head = self.word(128), self.word(64)
        assert tail == offset and size <= head - tail <= self.capacity
        data = bytes(self.map[192 + (tail + i) % self.capacity] for i in range(size))
        struct.pack_into("<Q", self.map, 128, tail + size)
        return data

    def arrive(self, data):
        known = self.taken - self.arrived
        self.arrived += len(data)
        self.taken = max(self.taken, self.arrived)
        self.buffer += data[known:]

    def look(self):
        start, size = self.word(self.unsent_at), self.word(self.unsent_at + 8)
        if size and self.taken >= start:
            new = self.map[self.unsent_at + 16 : self.unsent_at + 16 + size][self.taken - start :]
            self.taken += len(new)
            self.buffer += new

    def reports(self):
        found = []
        while len(self.buffer) >= REPORT.size:
            magic, version, kind, sequence, duration, offset, size, status, flags, worker = REPORT.unpack_from(
                self.buffer
            )
            assert (magic, version, worker) == (b"DXTR", 1, 0)
            del self.buffer[: REPORT.size]
            if flags & 1:
                payload = self.take(offset, size)
            else:
                assert size <= 1024 or self.capacity < size + 5000
                payload = bytes(self.buffer[:size])
                del self.buffer[:size]
            found.append((kind, payload, sequence, duration, status))
        return found


@pytest.mark.parametrize("seed", range(60))
def test_reports_arrive_once_and_in_order_however_they_were_written(make_writer, tmp_path, seed):
    random_ = random.Random(seed)
    ring = Ring(tmp_path, capacity=random_.choice([1, 700, 2500, 5000]))
    writer = make_writer(ring.fd)
    written, read = [], []
    for number in range(60):
        step = random_.randrange(4)
        if step == 3:
            ring.look()
        else:
            size = random_.choice([0, 10, 1024, 1025, random_.randrange(2500)])
            report = (random_.randrange(1, 17), random_.randbytes(size), number, random_.randrange(1 << 40), number % 7)
            written.append(report)
            if step == 0 or not writer.queue(*report):
                frame = writer.frame(*report)
                ring.arrive(frame)
                writer.sent(len(frame))
        read += ring.reports()
    ring.look()  # the worker has died
    read += ring.reports()
    assert read == written


def test_what_can_wait_is_as_much_as_there_is_room_for(make_writer, tmp_path):
    ring = Ring(tmp_path)
    writer = make_writer(ring.fd)
    count = 0
    while writer.queue(6, bytes(1024), 1):
        count += 1
    assert count == UNSENT // (40 + 1024)
    frame = writer.frame(5, b"", 2)
    assert len(frame) == count * (40 + 1024) + 40
    writer.sent(len(frame))
    assert writer.queue(6, b"x", sequence=1, duration_ns=2, status=3)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"DXRB\3\0\0\0" + bytes(70000), b"none" + bytes(70000)])
def test_what_is_no_ring_is_refused(make_writer, tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with open(path, "r+b") as file, pytest.raises(RingError):
        make_writer(file.fileno())
    with pytest.raises(RingError):
        make_writer(-1)


def test_a_descriptor_stays_the_callers(make_writer, tmp_path):
    ring = Ring(tmp_path)
    writer = make_writer(ring.fd)
    os.fstat(ring.fd)
    os.close(ring.fd)
    assert writer.queue(6, b"x", 1)


def test_numbers_that_do_not_fit_are_refused(make_writer, tmp_path):
    writer = make_writer(Ring(tmp_path).fd)
    with pytest.raises((OverflowError, struct.error)):
        writer.frame(6, b"", -1)
    with pytest.raises((OverflowError, struct.error)):
        writer.queue(6, b"", 1, 0, 256)


def test_a_wire_sends_what_waits_with_what_cannot(make_writer, tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "RingWriter", make_writer)
    ring = Ring(tmp_path)
    mine, theirs = socket.socketpair()
    one = wire.Wire(theirs.detach(), os.dup(ring.fd))
    one.queue(wire.TEST_STARTED, b"a", 1)
    one.queue(wire.TEST_FINISHED, b"b", 1, 5, 1)
    mine.setblocking(False)
    with pytest.raises(BlockingIOError):
        mine.recv(1)
    one.send(wire.JOB_DONE, sequence=1)
    ring.arrive(mine.recv(1 << 16))
    assert [kind for kind, *_ in ring.reports()] == [wire.TEST_STARTED, wire.TEST_FINISHED, wire.JOB_DONE]


def test_the_compiled_writer_is_taken_where_it_is_installed():
    assert wire.RingWriter is _native.RingWriter


def test_threads_do_not_mix_up_what_waits(tmp_path):
    ring = Ring(tmp_path)
    writer = _native.RingWriter(ring.fd)

    def write(number):
        for _ in range(200):
            assert writer.queue(6, bytes([number]) * 20, number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ring.look()
    reports = ring.reports()
    assert sorted(sequence for _, _, sequence, _, _ in reports) == sorted(list(range(4)) * 200)
    assert all(payload == bytes([sequence]) * 20 for _, payload, sequence, _, _ in reports)
