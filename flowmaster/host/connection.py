"""Requests to the server over SSH: connect, have a program there that carries them out, read its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Self

from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostError
from flowmaster.host.ssh import Connection, Ended, lost

_REMOTE = ("common", "effective_config", "site_paths", "probe", "inspect", "backups", "change", "main")
_DOCKER = ("docker", "docker_journal", "docker_volumes", "docker_steps")
"""What is sent besides, or alone, for a request about compose projects."""
_FEWER = {"docker_journal": ("docker_journal",), "docker_volumes": ("docker_journal", "docker_volumes")}
"""Those of them for what one module alone carries out: each takes time to compile."""
_HERE = Path(__file__).parent / "remote"
PYTHON = """python3 -I -S -c 'import json, sys; exec(json.loads(sys.stdin.readline()))'"""
"""Runs what the first line has. Nothing of any request is seen in the server's list of processes."""


def ask(access: Access, request: Mapping[str, Any]) -> Any:
    """The server's answer to a request of :mod:`flowmaster.host.remote`.

    :raises HostError: where the server cannot be asked, or refuses; the latter with its `stage`.
    """
    with Connection(access) as connection:
        return _Worker(access, connection).ask(request)


class Session:
    """A connection that is kept for several requests, and made anew where it was lost in between."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._connection: Connection | None = None
        self._worker: _Worker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the next request begins another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._worker = None

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The server's answer, as :func:`ask` has it."""
        if self._connection is None or self._worker is None or not self._connection.is_open:
            self.close()
            self._connection = Connection(self.access)
            self._worker = _Worker(self.access, self._connection)
        try:
            return self._worker.ask(request)
        except RefusedError:
            raise
        except BaseException:
            # an answer may still come, which is none to the next request
            self.close()
            raise


class _Worker:
    """The program that carries out requests on the server, one after the other, for as long as the connection lasts."""

    def __init__(self, access: Access, connection: Connection) -> None:
        self._access = access
        self._command = connection.start(("sudo -n " if access.sudo else "") + PYTHON)
        self._has = frozenset[str]()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Its answer, as :func:`ask` has it."""
        text, self._has = told(request, self._has), self._has.union(modules(request))
        heard = self._command.tell(text)
        if isinstance(heard, Ended):
            raise _no_answer(self._access, heard.errors, heard.code)
        answer = json.loads(heard)
        if "ended" in answer:
            raise _no_answer(self._access, answer["ended"], 1)
        if not answer["ok"]:
            raise RefusedError(self._access, answer["stage"], answer["words"])
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
        return ("common", "effective_config", "site_paths", "inspect", "main")
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


def _no_answer(access: Access, errors: str, code: int) -> HostError:
    words = " ".join(errors.split())[:300]
    if access.sudo and ("password is required" in words or "no tty present" in words or "a terminal is" in words):
        return HostAccessError(
            f"sudo asks {access.user} for a password on {access.address}",
            "nothing was read or changed on the server",
            f"allow it without: `{access.user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d, or connect as root",
        )
    if access.sudo and ("sudoers" in words or "not allowed" in words):
        return HostAccessError(
            f"{access.user} may not use sudo on {access.address}: {words}",
            "nothing was read or changed on the server",
            "allow it in /etc/sudoers.d, or connect as root",
        )
    if code == 127 or "not found" in words:
        return HostError(
            f"{access.address} has no python3: {words}",
            "it carries out what is asked",
            "apt-get install python3-minimal",
        )
    if not code and not words:
        return lost(access, "it closed the connection")
    return HostError(
        f"{access.address}: the request ended with {code}: {words}", "what was begun was finished or undone"
    )
