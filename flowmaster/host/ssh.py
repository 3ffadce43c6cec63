"""A command on the server, run by OpenSSH's own client: what the user's ssh_config says holds (ssh_config(5)).

An alias, ProxyJump, an agent, a security key, a certificate, Match: none of them is known here, and all of them work.
What is laid down here is who the server has to be, that nobody is ever asked for anything, and what is not wanted of a
configuration that was written for a terminal: forwardings, commands of its own, a pseudo-terminal.
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from flowmaster.host.access import Access
from flowmaster.host.ssh_errors import FAILED, PINNED, failure, lost, missing, unreachable, unusable

REQUEST_SECONDS = 180.0
BEGIN = "flowmaster: begins"
"""The line that a command prints first. What comes before it is a login shell's, or sudo's, and no answer."""
_CHUNK = 1 << 16
_ALIVE_SECONDS, _ALIVE_MISSED = 5, 3
"""How often the server is asked for a sign of life, and how many it may owe."""
_LOGIN = 3
"""How many times the time for a connection all of it may take, with jump hosts and until the command begins."""
_END_SECONDS = 2.0
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "FingerprintHash": "sha256",
    "LogLevel": "INFO",
    "ServerAliveInterval": str(_ALIVE_SECONDS),
    "ServerAliveCountMax": str(_ALIVE_MISSED),
    # one that is open is used; none is opened, which would have to stay for others or end with their sessions
    "ControlMaster": "no",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
}
_PINNED_OPTIONS = {
    "HostKeyAlias": PINNED,
    "GlobalKnownHostsFile": "/dev/null",
    "KnownHostsCommand": "none",
    "VerifyHostKeyDNS": "no",
    "UpdateHostKeys": "no",
    "CheckHostIP": "no",
    # whoever opened a master did not look at this key
    "ControlPath": "none",
}
_ALGORITHMS = {"ssh-rsa": "rsa-sha2-512,rsa-sha2-256"}
"""By what the owner of a key of that type proves to have it, where that has other names than the key."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: what it or its shell complained of, and whether it had begun at all."""

    errors: str
    code: int
    begun: bool = True


class Command:
    """A command that runs on the server: it is told something, and answers in a line, until it ends.

    The connection is made meanwhile: what is wrong with it is raised where an answer is waited for.

    :raises HostAccessError: where there is no ssh here, or the private key's file cannot be read.
    """

    def __init__(self, access: Access, command: str) -> None:
        self._access = access
        self._unsent, self._output, self._errors = bytearray(), bytearray(), bytearray()
        self._noise: list[str] = []
        self._begun = False
        self._login_by = time.monotonic() + _LOGIN * access.timeout
        self._files = _Files(access)
        try:
            # a session of its own: no terminal to ask at, and Ctrl-C is for this program to deal with
            self._process = subprocess.Popen(
                [*arguments(access, self._files.key, self._files.known_hosts), command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=_environment(),
                start_new_session=True,
            )
        except BaseException as err:
            self._files.remove()
            if isinstance(err, FileNotFoundError):
                raise missing() from err
            raise
        self._in, self._out, self._err = (
            _pipe(self._process.stdin),
            _pipe(self._process.stdout),
            _pipe(self._process.stderr),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End ssh, and whatever it started to get through; safe to be called again."""
        try:
            if self._process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGTERM)
                try:
                    self._process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(self._process.pid, signal.SIGKILL)
                    self._process.wait()
        finally:
            for pipe in (self._in, self._out, self._err):
                pipe.close()
            self._files.remove()

    @property
    def is_open(self) -> bool:
        """Whether it still runs, as far as has been heard of it."""
        return self._process.poll() is None

    def exchange(self, text: str, seconds: float = REQUEST_SECONDS) -> str | Ended:
        """Send some text, and wait for the next line that is not empty, or for the end of the command.

        :raises HostKeyError: where somebody else answers; nothing was sent to it.
        :raises HostAccessError: where the user is not let in, or the key is none.
        :raises HostUnreachableError: where nobody answers, the connection is lost, or nothing was heard in that time.
        """
        self._unsent += text.encode()
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._send()
                self._receive()
                if (line := self._line()) is not None:
                    return line
                if self._out.closed and self._process.poll() is not None:
                    self._receive()
                    return self._ended(self._process.returncode)
                self._wait(deadline)
        except TimeoutError as err:
            waited = f"no answer within {seconds if self._begun else _LOGIN * self._access.timeout:g} s"
            raise (lost if self._begun else unreachable)(self._access, waited) from err

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._in.fileno(), self._unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            # whoever ends before it has read everything, as sudo does, has said why
            self._unsent.clear()

    def _receive(self) -> None:
        for pipe, into in ((self._out, self._output), (self._err, self._errors)):
            with suppress(BlockingIOError):
                while not pipe.closed:
                    part = os.read(pipe.fileno(), _CHUNK)
                    into.extend(part)
                    if not part:
                        pipe.close()

    def _line(self) -> str | None:
        """The next whole line that is not empty, taken out of what has come since the command began."""
        while (end := self._output.find(b"\n")) >= 0:
            line = self._output[:end].decode("utf-8", "replace")
            del self._output[: end + 1]
            if not self._begun:
                self._begun = line == BEGIN
                if self._begun:
                    # the client has read them, and does not again
                    self._files.remove()
                else:
                    self._noise = [*self._noise[-9:], line]
            elif line:
                return line
        return None

    def _wait(self, deadline: float) -> None:
        """Until there is something to be read, or room for what is to be sent."""
        remaining = (deadline if self._begun else min(deadline, self._login_by)) - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        poll = select.poll()
        for pipe in (self._out, self._err):
            if not pipe.closed:
                poll.register(pipe, select.POLLIN)
        if self._unsent:
            poll.register(self._in, select.POLLOUT)
        # the end of the process itself wakes nobody
        poll.poll(min(remaining, 0.01 if self._out.closed else remaining) * 1000)

    def _ended(self, code: int) -> Ended:
        errors = self._errors.decode("utf-8", "replace")
        if code == FAILED or code < 0:
            if self._begun:
                raise lost(self._access, errors)
            raise failure(self._access, errors, self._files.key)
        if not self._begun:
            errors = "\n".join((errors, *self._noise, self._output.decode("utf-8", "replace"))).strip()
        return Ended(errors, code, self._begun)


class _Files:
    """What ssh reads of the stack's own: the known host key and the private key, for as long as it has not."""

    def __init__(self, access: Access) -> None:
        self._folder: Path | None = None
        self.known_hosts: Path | None = None
        self.key = Path(access.key_file) if access.key_file else None
        if self.key is not None:
            try:
                self.key.open("rb").close()
            except OSError as err:
                raise unusable(access, err.strerror or str(err)) from err
        try:
            if access.host_key is not None:
                self.known_hosts = self._write("known_hosts", f"{PINNED} {access.host_key}")
            if self.key is None and access.private_key is not None:
                self.key = self._write("key", access.private_key.replace("\r", "").strip())
        except BaseException:
            self.remove()
            raise

    def _write(self, name: str, text: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="flowmaster-", dir=_private_directory()))
        path = self._folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
        return path

    def remove(self) -> None:
        """Take them away again; safe to be called again."""
        if self._folder is not None:
            for name in ("known_hosts", "key"):
                (self._folder / name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                self._folder.rmdir()


def arguments(access: Access, key: Path | None = None, known_hosts: Path | None = None) -> list[str]:
    """The client and all that it is told but for the command. What the stack does not say, ssh_config decides."""
    options = {**_OPTIONS, "ConnectTimeout": str(max(1, math.ceil(access.timeout)))}
    if access.host_key is not None and known_hosts is not None:
        kind = access.host_key.split()[0]
        known = {"UserKnownHostsFile": f'"{_literal(known_hosts)}"'}
        options |= _PINNED_OPTIONS | known | {"HostKeyAlgorithms": _ALGORITHMS.get(kind, kind)}
    identity = () if key is None else ("-i", _literal(key), "-o", "IdentitiesOnly=yes")
    given = (f"-o{name}={value}" for name, value in options.items())
    return ["ssh", *_destination(access), *identity, *given, "--", access.address]


def configured(access: Access) -> Mapping[str, str]:
    """What ssh makes of its configuration for this server, such as `hostname` and `user`.

    :raises HostAccessError: where there is no ssh here, or its configuration cannot be read.
    """
    try:
        done = subprocess.run(
            ["ssh", "-G", *_destination(access), "--", access.address],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            check=False,
        )
    except FileNotFoundError as err:
        raise missing() from err
    if done.returncode:
        raise failure(access, done.stderr, None)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def host_name(access: Access) -> str:
    """The server's name or address itself, where the stack has an alias of it: what speaks another language asks that.

    :raises HostAccessError: where ssh's configuration cannot be read.
    """
    return configured(access).get("hostname", access.address)


def _destination(access: Access) -> list[str]:
    user = ["-l", access.user] if access.user else []
    return user + (["-p", str(access.port)] if access.port else [])


def _literal(path: Path) -> str:
    """A path in which ssh finds none of its tokens."""
    return str(path).replace("%", "%%")


def _private_directory() -> str | None:
    """A folder in memory, where there is one that this user may write to."""
    places = (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm")  # noqa: S108  made private by mkdtemp
    return next((place for place in places if place and os.access(place, os.W_OK | os.X_OK)), None)


def _environment() -> dict[str, str]:
    """That of this process, with messages in English, which are read here, and with nobody who would ask."""
    return {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101  as it was asked for
    os.set_blocking(pipe.fileno(), False)
    return pipe
