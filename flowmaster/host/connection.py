"""Requests to the server over SSH: connect, have a program there that carries them out, read its answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Self

from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostError
from flowmaster.host.ssh import BEGIN, Command, Ended, configured
from flowmaster.host.ssh_errors import last_line, lost

_READING = ("listeners", "writers", "inspect")
_REMOTE = ("common", "effective_config", "site_paths", "probe", *_READING, "backups", "change", "main")
_DOCKER = ("docker", "docker_journal", "docker_volumes", "docker_steps")
"""What is sent besides, or alone, for a request about compose projects."""
_FEWER = {"docker_journal": ("docker_journal",), "docker_volumes": ("docker_journal", "docker_volumes")}
"""Those of them for what one module alone carries out: each takes time to compile."""
_HERE = Path(__file__).parent / "remote"
PYTHON = (
    f"""python3 -I -S -c 'import json, sys; print("\\n{BEGIN}", flush=True); exec(json.loads(sys.stdin.readline()))'"""
)
"""Runs what the first line has. Nothing of any request is seen in the server's list of processes."""
_AS_ROOT = f"""LC_ALL=C; export LC_ALL; [ "$(id -u)" = 0 ] || exec sudo -n {PYTHON}; exec {PYTHON}"""
COMMAND = f"exec sh -c {shlex.quote(_AS_ROOT)}"
"""The same as root, whatever the login shell is, and with messages in English, which are read here."""


def ask(server: Access | Session, request: Mapping[str, Any]) -> Any:
    """The server's answer to a request of :mod:`flowmaster.host.remote`, over a connection of its own or an open one.

    :raises HostError: where the server cannot be asked, or refuses; the latter with its `stage`.
    """
    if isinstance(server, Session):
        return server.ask(request)
    with Session(server) as session:
        return session.ask(request)


class Session:
    """The program that carries out requests on the server, one after the other; started anew where it was lost."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._command: Command | None = None
        self._has = frozenset[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where the server is, as the stack says it."""
        return self.access.address

    def close(self) -> None:
        """End it; the next request begins another one."""
        if self._command is not None:
            self._command.close()
        self._command, self._has = None, frozenset()

    def open(self) -> None:
        """Begin to connect; what is wrong with the connection is raised where an answer is waited for."""
        if self._command is None or not self._command.is_open:
            self.close()
            self._command = Command(self.access, COMMAND)

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The server's answer, as :func:`ask` has it."""
        try:
            return self._ask(request)
        except RefusedError:
            raise
        except BaseException:
            # an answer may still come, which is none to the next request
            self.close()
            raise

    def _ask(self, request: Mapping[str, Any]) -> Any:
        self.open()
        assert self._command is not None  # noqa: S101  it is open
        text, self._has = told(request, self._has), self._has.union(modules(request))
        heard = self._command.exchange(text)
        if isinstance(heard, Ended):
            raise _no_answer(self.access, heard)
        answer = json.loads(heard)
        if "ended" in answer:
            raise _no_answer(self.access, Ended(answer["ended"], 1))
        if not answer["ok"]:
            raise RefusedError(self.access, answer["stage"], answer["words"])
        return answer["answer"]


class RefusedError(HostError):
    """The server was reached, and what was asked of it was not done there; everything is as it was before."""

    def __init__(self, access: Access, stage: str, words: str) -> None:
        self.stage, self.words = stage, words
        super().__init__(f"{access.address}: {_STAGES.get(stage, stage)}: {' '.join(words.split())}", *_AFTER(stage))

    @property
    def waits(self) -> bool:
        """Whether it is somebody else's turn, and will be ours."""
        return self.stage == "busy"


_STAGES = {
    "installed": "nothing can be set up",
    "lock": "the server is busy",
    "expected": "not written",
    "place": "not written",
    "write": "the site cannot be written",
    "backup": "the old site cannot be kept",
    "test": "nginx refuses the new configuration",
    "foreign": "not written",
    "reload": "nginx does not take the new configuration",
    "start": "nginx does not start",
    "answer": "with the new configuration a location does not answer",
    "docker": "Docker cannot be asked",
    "project": "the compose project cannot be read",
    "busy": "somebody else is at work",
    "taken": "another run has taken over",
    "journal": "the journal of the project cannot be read",
    "source": "the volumes cannot be copied",
    "room": "there is not enough room",
    "verify": "the copy is not proved",
    "swap": "the copy cannot be put into place",
    "containers": "the containers are not as they should be",
    "rules": "connections cannot be led to nginx",
    "image": "an image cannot be had",
    "archive": "the backup cannot be written",
}
_NGINX = ("installed", "lock", "expected", "place", "write", "backup", "test", "foreign", "reload", "start", "answer")
_REMEDIES = {
    "installed": "install nginx on the server (apt-get install nginx), then run this again",
    "lock": "wait for the other update, then run this again",
    "expected": "run preview again: it shows the change",
    "place": "remove that entry (rm), or have a regular file below /etc/nginx there, then run this again",
    "foreign": "nginx names the file; put it right or take it out of sites-enabled, then run this again",
    "start": "see what else listens on its ports (ss -ltnp), then run this again",
    "answer": "look at that service first (kubectl get pods), then run this again",
    "docker": "see `docker info` on the server, then run this again",
    "project": "correct that in the project's folder on the server, then run this again",
    "busy": "wait until it is done, then run this again",
    "taken": "see what the other run came to",
    "room": "make room on the server's disk, then run this again",
    "verify": "somebody writes into the volume past its ports: stop that, then run this again",
    "image": "bring the image back (docker pull, docker load), then run this again",
}


def _AFTER(stage: str) -> tuple[str, str]:  # noqa: N802
    kept = "the old configuration is in place and served" if stage in _NGINX else "nothing was changed by this"
    return kept, _REMEDIES.get(stage, "correct that and run this again")


def modules(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules of :mod:`flowmaster.host.remote` that carry out a request, each after those that it needs. Pure."""
    if request.get("verb") == "compose":
        from flowmaster.host.remote.docker_requests import place

        return ("common", *_FEWER.get(place(request["do"]), _DOCKER), "docker_requests", "main")
    if request.get("verb") == "read" and not {"run", "noted"} & set(request):
        # what is asked most often, and waited for: nothing is sent, compiled and imported there that it does not need
        ports = ("ports",) if request.get("asked") else ()
        return ("common", "effective_config", "site_paths", *ports, *_READING, "main")
    if request.get("verb") == "ports":
        return ("common", "docker", "ports", "port_owners", "main")
    return ("common", "docker_journal", *_REMOTE[1:]) if "run" in request else _REMOTE


def told(request: Mapping[str, Any], has: Set[str] = frozenset()) -> str:
    """What is sent for a request: without the modules that are there already, and the first time with the program.

    Each line is whole or not understood, so cut short nothing is done.
    """
    program = [] if has else [_text("worker")]
    new = [[name, _text(name)] for name in modules(request) if name not in has]
    return "".join(json.dumps(line) + "\n" for line in (*program, {"modules": new, "request": request}))


def _text(name: str) -> str:
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")


def _no_answer(access: Access, ended: Ended) -> HostError:
    # before a command has begun, a banner or a login shell may have had its say, too
    words = " ".join((ended.errors if ended.begun else last_line(ended.errors)).split())[-300:]
    if "password is required" in words or "no tty present" in words or "a terminal is" in words:
        user = _user(access)
        return HostAccessError(
            f"sudo asks {user} for a password on {access.address}",
            "nothing was read or changed on the server",
            f"allow it without: `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d, or connect as root",
        )
    if not ended.begun and ("sudoers" in words or "not allowed" in words):
        return HostAccessError(
            f"{_user(access)} may not use sudo on {access.address}: {words}",
            "nothing was read or changed on the server",
            "allow it in /etc/sudoers.d, or connect as root",
        )
    if ended.code == 127 or (not ended.begun and "not found" in words):
        return HostError(
            f"{access.address} has no python3: {words}",
            "it carries out what is asked",
            "apt-get install python3-minimal",
        )
    if not ended.begun:
        return HostAccessError(
            f"{access.address} lets {_user(access)} in, but runs no command: it ended with {ended.code} ({words})",
            "nothing was read or changed on the server",
            "log in as somebody with a login shell, and without a forced command in authorized_keys",
        )
    if not ended.code and not words:
        return lost(access, "it closed the connection")
    return HostError(
        f"{access.address}: the request ended with {ended.code}: {words}", "what was begun was finished or undone"
    )


def _user(access: Access) -> str:
    return access.user or configured(access).get("user", "the user")
