"""One request to the server over SSH: connect, run the program there, read its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from host.access import Access
from host.errors import HostAccessError, HostError, HostUnreachableError
from host.ssh import Connection, lost

_REMOTE = ("common", "answers", "facts", "change", "main")
_DOCKER = ("docker", "docker_journal", "docker_volumes", "docker_steps")
"""What is sent besides, or alone, for a request about compose projects."""
_FEWER = {"docker_journal": ("docker_journal",), "docker_volumes": ("docker_journal", "docker_volumes")}
"""Those of them for what one module alone carries out: a move asks often, and each takes time to compile."""
_HERE = Path(__file__).parent / "remote"
PYTHON = "python3 -I -S -"


def ask(access: Access, request: Mapping[str, Any]) -> Any:
    """The server's answer to a request of :mod:`host.remote`.

    :raises HostError: where the server cannot be asked, or refuses; the latter with its `stage`.
    """
    with Connection(access) as connection:
        return _asked(access, connection, request)


class Session:
    """A connection that is kept for several requests, and made anew where it was lost in between."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the next request begins another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The server's answer, as :func:`ask` has it."""
        if self._connection is None or not self._connection.is_open:
            self.close()
            self._connection = Connection(self.access)
        try:
            return _asked(self.access, self._connection, request)
        except HostUnreachableError:
            self.close()
            raise


def _asked(access: Access, connection: Connection, request: Mapping[str, Any]) -> Any:
    ended = connection.run(("sudo -n " if access.sudo else "") + PYTHON, source(request))
    last = ended.output.rstrip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError as err:
        raise _no_answer(access, ended.errors, ended.code) from err
    if not answer["ok"]:
        raise RefusedError(access, answer["stage"], answer["words"])
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


def source(request: Mapping[str, Any]) -> str:
    """The program that is sent: the modules of :mod:`host.remote`, and last the call. Cut short it does nothing.

    Everything goes through standard input, so that nothing of it is seen in the server's list of processes.
    """
    lines = ["import sys, types"]
    lines += [f"sys.modules[{name!r}] = types.ModuleType({name!r})" for name in ("host", "host.remote")]
    for name in _modules(request):
        full, text = f"host.remote.{name}", (_HERE / f"{name}.py").read_text(encoding="utf-8")
        lines.append(f"module = sys.modules[{full!r}] = types.ModuleType({full!r})")
        lines.append(f"sys.modules['host.remote'].{name} = module")
        lines.append(f"exec(compile({text!r}, {full!r}, 'exec'), module.__dict__)")
    lines.append(f"module.main({json.dumps(request)!r})")
    return "\n".join(lines) + "\n"


def _modules(request: Mapping[str, Any]) -> tuple[str, ...]:
    if request.get("verb") == "compose":
        from host.remote.docker_verbs import place

        return ("common", *_FEWER.get(place(request["do"]), _DOCKER), "docker_verbs", "main")
    if request.get("verb") == "read" and not {"run", "noted"} & set(request):
        # what is asked most often, and waited for: nothing is sent, compiled and imported there that it does not need
        return ("common", "facts", "main")
    return ("common", "docker_journal", *_REMOTE[1:]) if "run" in request else _REMOTE


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
