"""The connection to the server itself: what goes in and comes out, however much, and what is said when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from flowmaster.host.errors import HostUnreachableError
from flowmaster.host.ssh import Connection, Ended
from lab.twin import Twin
from tests.lab.server import Server

MANY = 3_000_000
"""More than a channel's window holds."""


@pytest.fixture
def server(twin: Twin) -> Server:
    return Server.of(twin)


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    with Connection(server.access) as connection:
        yield connection


def test_a_command_is_told_something_and_answers_in_lines(connection: Connection) -> None:
    command = connection.start("while read line; do echo; echo got $line; done; echo wrong >&2; exit 7")
    assert command.tell("žluťoučký ☃\n") == "got žluťoučký ☃"
    assert command.tell("one\ntwo\n") == "got one"
    assert command.tell("") == "got two"
    assert connection.start("echo wrong >&2; exit 7").tell("") == Ended("wrong\n", 7)
    assert connection.start("true").tell("") == Ended("", 0)


def test_much_goes_in_and_out(connection: Connection) -> None:
    text = "0123456789" * (MANY // 10)
    assert connection.start("cat").tell(text + "\n") == text
    command = connection.start(f"head -c {MANY} /dev/zero | tr '\\0' e >&2; echo done; exit 3")
    assert command.tell("") == "done"
    assert command.tell("") == Ended("e" * MANY, 3)


def test_a_command_that_ends_without_reading_its_input_has_said_why(connection: Connection) -> None:
    assert connection.start("echo no >&2; exit 1").tell("x" * MANY) == Ended("no\n", 1)


class HeldUp(Connection):
    """One whose program has other things to do, and whose socket takes little at once."""

    def wait(self, deadline: float) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        time.sleep(0.05)
        super().wait(deadline)


def test_a_command_may_end_in_the_middle_of_a_packet_to_it(server: Server) -> None:
    """Of ten that end so, about five do in the middle of a packet; libssh2 waits for ever where that is not sent."""
    for _ in range(10):
        with HeldUp(server.access) as connection:
            assert connection.start("echo no >&2; exit 1").tell("x" * MANY, seconds=10) == Ended("no\n", 1)


def test_a_command_that_takes_too_long_is_left_to_itself(connection: Connection) -> None:
    begun = time.monotonic()
    with pytest.raises(HostUnreachableError, match=r"no answer within 0.5 s"):
        connection.start("sleep 30").tell("", seconds=0.5)
    assert time.monotonic() - begun < 10
    assert connection.is_open


def test_a_connection_that_is_cut_is_noticed(server: Server, connection: Connection) -> None:
    cut = threading.Timer(0.5, lambda: server.sh("pkill -f '^sshd: root@notty'"))
    cut.start()
    with pytest.raises(HostUnreachableError, match="was lost"):
        connection.start("sleep 30").tell("")
    cut.join()
    assert not connection.is_open
