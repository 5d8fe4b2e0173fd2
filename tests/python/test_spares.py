"""What a spare is given is what was asked for, whole, and a fork that has ended is given nothing."""

import os
import socket
import struct
import threading

import pytest
from dx_py_test_runner import spares
from dx_py_test_runner.spares import Spare, Spares, receive


def test_a_request_of_any_size_arrives_with_its_streams(tmp_path):
    parts = [b"fork", b"18", b"x" * 3_000_000, b"", b"last"]
    ours, its = socket.socketpair()
    with (tmp_path / "file").open("w") as file:
        giver = threading.Thread(target=Spare(0, ours).give, args=(parts, [file.fileno()]))
        giver.start()
        with its:
            arrived, fds = receive(its)
        giver.join()
    assert arrived == parts and ours.fileno() == -1
    with os.fdopen(fds[0], "w") as stream:
        stream.write("told")
    assert (tmp_path / "file").read_text() == "told"


def test_one_that_has_gone_is_given_nothing_and_that_is_no_error():
    ours, its = socket.socketpair()
    its.close()
    Spare(0, ours).give([b"fork"], [])
    assert ours.fileno() == -1


@pytest.mark.parametrize("sent", [b"", b"\x05", struct.pack("<I", 5) + b"four"])
def test_a_part_of_a_request_is_none(sent):
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            receive(its)


def test_spares_are_given_once_and_forgotten_when_they_end(monkeypatch):
    monkeypatch.setattr(spares, "_processors", lambda: 2)
    waiting = Spares()
    assert waiting.are_missing and waiting.take() is None
    made = []
    for _ in range(2):
        link = waiting.make()
        if link is not None:  # in the fork, which waits until it is told to end
            waiting.discard()  # as the zygote's forks must, or those before it would never hear of that
            link.recv(1)
            os._exit(0)
        made.append(waiting._waiting[-1].pid)
    assert not waiting.are_missing and len(list(waiting.sockets)) == 2
    waiting.forget(made[0])
    waiting.forget(1)
    assert waiting.are_missing and os.waitpid(made[0], 0) == (made[0], 0)
    taken = waiting.take()
    assert taken.pid == made[1] and waiting.take() is None
    taken.link.close()
    assert os.waitpid(made[1], 0) == (made[1], 0)
    waiting.discard()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="the system doesn't tell where memory is")
def test_memory_that_is_copied_keeps_what_it_holds():
    held = [bytes([number % 256]) * 5000 for number in range(200)]
    spares._copy_memory(1 << 40)
    spares._copy_memory(0)
    assert all(one == bytes([number % 256]) * 5000 for number, one in enumerate(held))
    with open("/proc/self/maps", "rb") as file:
        ranges = list(spares._private(file.read()))
    assert ranges and all(size > 0 and size % 4096 == 0 for _, size in ranges)


def test_none_waits_where_there_can_be_no_more_processes(monkeypatch):
    def fails():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fails)
    waiting = Spares()
    assert waiting.are_missing and waiting.make() is None
    assert not waiting.are_missing and not list(waiting.sockets)
