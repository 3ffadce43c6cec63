"""The connection to the server itself: what goes in and comes out, however much, and what is said when it ends."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from flowmaster.host.connection import Session
from flowmaster.host.errors import HostAccessError, HostError, HostUnreachableError
from flowmaster.host.ssh import BEGIN, Command, Ended
from lab.twin import Twin
from tests.lab.server import Server, until

MANY = 3_000_000
"""More than a channel's window holds."""


@pytest.fixture
def server(twin: Twin) -> Server:
    return Server.of(twin)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def run(server: Server, opened: ExitStack) -> Run:
    return Run(server, opened)


class Run:
    """Begins commands on the server, and ends them with the test."""

    def __init__(self, server: Server, opened: ExitStack) -> None:
        self.server, self.opened = server, opened

    def __call__(self, script: str) -> Command:
        return self.opened.enter_context(Command(self.server.access, begun(script)))


def begun(script: str) -> str:
    """A script that says when it begins, as whoever is asked over SSH does."""
    return f"echo {shlex.quote(BEGIN)}; {script}"


def test_a_command_is_sent_something_and_answers_in_lines(run: Run) -> None:
    command = run("while read line; do echo; echo got $line; done; echo wrong >&2; exit 7")
    assert command.exchange("žluťoučký ☃\n") == "got žluťoučký ☃"
    assert command.exchange("one\ntwo\n") == "got one"
    assert command.exchange("") == "got two"
    assert run("echo wrong >&2; exit 7").exchange("") == Ended("wrong\n", 7)
    assert run("true").exchange("") == Ended("", 0)


def test_much_goes_in_and_out(run: Run) -> None:
    text = "0123456789" * (MANY // 10)
    assert run("cat").exchange(text + "\n") == text
    command = run(f"head -c {MANY} /dev/zero | tr '\\0' e >&2; echo done; exit 3")
    assert command.exchange("") == "done"
    assert command.exchange("") == Ended("e" * MANY, 3)


def test_a_command_that_ends_without_reading_its_input_has_said_why(run: Run) -> None:
    for _ in range(5):
        assert run("echo no >&2; exit 1").exchange("x" * MANY, seconds=10) == Ended("no\n", 1)


def test_a_command_that_does_not_begin_is_told_from_one_that_fails(server: Server, opened: ExitStack) -> None:
    command = opened.enter_context(Command(server.access, "echo not for you; exit 3"))
    assert command.exchange("") == Ended("not for you", 3, begun=False)


def test_a_command_that_takes_too_long_is_left_to_itself(run: Run) -> None:
    command = run("echo up; sleep 30")
    assert command.exchange("") == "up"
    before = time.monotonic()
    with pytest.raises(HostUnreachableError, match=r"was lost: no answer within 0.5 s"):
        command.exchange("", seconds=0.5)
    assert time.monotonic() - before < 10
    assert command.is_open
    command.close()
    assert not command.is_open


def test_a_connection_that_is_cut_is_noticed(server: Server, run: Run) -> None:
    command = run("echo up; sleep 30")
    assert command.exchange("") == "up"
    cut = threading.Timer(0.5, lambda: server.sh("pkill -f '^sshd: root@notty'"))
    cut.start()
    with pytest.raises(HostUnreachableError, match=r"was lost: .*closed by remote host"):
        command.exchange("")
    cut.join()
    assert not command.is_open


def test_a_connection_over_which_nothing_comes_any_more_is_noticed(server: Server, run: Run) -> None:
    """As where a cable is pulled: nobody says that it has ended."""
    command = run("echo up; sleep 60")
    assert command.exchange("") == "up"
    deaf = "INPUT -p tcp --dport 22 -j DROP"
    with server.while_(f"iptables -I {deaf}", f"iptables -D {deaf}"):
        before = time.monotonic()
        with pytest.raises(HostUnreachableError, match=r"was lost: Timeout, server .* not responding"):
            command.exchange("")
        assert time.monotonic() - before < 40


def test_a_session_keeps_one_client_and_starts_another_where_it_was_lost(server: Server) -> None:
    request = {"verb": "read", "sites": [], "ports": [80], "containers": False}
    with Session(server.access) as session:
        first = session.ask(request)["hostname"]
        assert session.ask(request)["hostname"] == first
        assert len(clients()) == 1
        server.sh("pkill -f '^sshd: root@notty'")
        until(lambda: not any(alive(pid) for pid in clients()))
        assert session.ask(request)["hostname"] == first
    assert clients() == []


def test_what_a_login_shell_prints_is_no_answer(server: Server) -> None:
    ben = server.reached(user="ben")
    prints = "echo welcome; echo mind the gap >&2; printf half"
    with server.while_(f"mv ~ben/.bashrc /run/ 2>/dev/null || true; echo '{prints}' >~ben/.bashrc", RESTORE):
        assert ben.state().hostname
        server.sh("echo 'echo; echo by appointment only; exit 3' >>~ben/.bashrc")
        ends = r"lets ben in, but runs no command: it ended with 3 \(by appointment only\)"
        with pytest.raises(HostAccessError, match=ends):
            ben.state()


RESTORE = "rm ~ben/.bashrc; mv /run/.bashrc ~ben/ 2>/dev/null || true"


def test_keys_are_in_private_files_until_the_client_has_read_them(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    key = Path(str(server.access.key_file)).read_text()
    with Command(server.reached(key_file=None, private_key=key).access, begun("echo up; cat")) as command:
        [folder] = tmp_path.iterdir()
        assert {path.name for path in folder.iterdir()} == {"known_hosts", "key"}
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
        assert modes == [0o700, 0o600, 0o600]
        assert command.exchange("") == "up"
        assert list(tmp_path.iterdir()) == []
    for how in ({"private_key": "none"}, {"private_key": key, "port": 2}):
        with pytest.raises(HostError):
            server.reached(key_file=None, **how).state()
        assert list(tmp_path.iterdir()) == []


PROGRAM = """
import signal
# whoever started the tests may have it ignored, and then this program would, too
signal.signal(signal.SIGINT, signal.default_int_handler)
from flowmaster.host.access import Access
from flowmaster.host.ssh import Command
with Command(Access(**{access}), {command!r}) as command:
    print(command.exchange(""), command._process.pid, flush=True)
    command.exchange("")
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_client_is_left_where_this_program_is_ended(server: Server, how: signal.Signals) -> None:
    program = PROGRAM.format(access=asdict(server.access), command=begun("echo up; exec cat"))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        up, pid = running.stdout.readline().split()
        assert up == "up"
        assert alive(int(pid))
        running.send_signal(how)
        running.wait(10)
    until(lambda: not alive(int(pid)))


def test_without_a_client_it_is_said_what_to_install(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostAccessError, match=r"there is no ssh on PATH(.|\n)*apt-get install openssh-client"):
        server.state()


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def clients() -> list[int]:
    """The processes that this one has started and not waited for, ssh among them."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for path in found for pid in path.read_text().split() if name(int(pid)) == "ssh"]


def name(pid: int) -> str:
    """What it is called."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
