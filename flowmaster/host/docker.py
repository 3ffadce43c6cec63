"""Reads and changes compose projects in the server's Docker. All access goes through this module."""

from __future__ import annotations

import getpass
import http.client
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from flowmaster.host import policy
from flowmaster.host.access import Access
from flowmaster.host.connection import RefusedError, Session, ask
from flowmaster.host.errors import HostError, HostUnreachableError
from flowmaster.host.process_identity import identity, is_gone

Json = dict[str, Any]
ALIVE_SECONDS = 2.0
_BUSY_SECONDS, _GONE_SECONDS = 1.0, 0.1
"""Poll intervals for the lock of a project: while its holder runs, and once the holder is gone."""
LOST_SECONDS = 45.0
"""Seconds to wait for a server that does not answer."""


def read_project(access: Access, name: str, folder: str) -> Json:
    """Read a compose project: its containers and its file. Read-only. The result holds secrets.

    `config` is `docker compose config --format json`; `containers` are those of the project as `docker inspect` has
    them, in the file or not; `images` by id, None for one that is gone; `volumes` are Docker's volumes and bind mounts
    (`Type`, `Name`, `Mountpoint`, `exists`, `directory`, `bytes`, `count`); `networks`; `files` are hashes by path;
    `node_address` is the server's own.

    :raises flowmaster.host.errors.HostError: where folder or file is missing or invalid, or Docker does not answer.
    """
    answer: Json = _ask(access, name, "read", folder=folder)
    return answer


def read_state(server: Access | Session, name: str, folder: str) -> Json:
    """Read the state of a project: `journal`, `containers`, `files`, `rules`, `problem`. Read-only; holds secrets.

    :raises flowmaster.host.errors.HostError: where it cannot be read.
    """
    answer: Json = _ask(server, name, "state", folder=folder)
    return answer


def answers_http(address: str, port: int, patience: float = 5.0) -> bool:
    """Return whether a port of the server answers HTTP from this machine, with any status, within some seconds."""
    deadline = time.monotonic() + patience
    while True:
        connection = http.client.HTTPConnection(address, port, timeout=patience)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        else:
            return True
        finally:
            connection.close()


def _ask(server: Access | Session, project: str, do: str, **more: Any) -> Any:
    request = {"verb": "compose", "do": do, "project": project, **more}
    policy.check_request(request)
    return ask(server, request)


class Run:
    """One run of this program that changes a project. All its changes on the server go through this class.

    The server refuses a run that another one has taken over, so whatever is left of a killed one cannot go on.
    """

    def __init__(self, access: Access, project: str, folder: str, say: Callable[[str], None]) -> None:
        self.access, self.project, self.folder, self.report = access, project, folder, say
        self.name = uuid.uuid4().hex
        self.who = f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
        self._session = Session(access)
        self._alive = 0.0
        self._noted: Json = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(HostError):
            self._session.ask(self._request("journal", what="release"))
        self._session.close()

    def acquire(self, seconds: float) -> Json:
        """Lock the project, waiting for another run that holds the lock; return the journal.

        A run of this machine whose process is gone is not waited for; of any other one nothing is known but its signs
        of life.

        :raises flowmaster.host.connection.RefusedError: where somebody else still is after that time; it says who.
        """
        deadline, told, gone = time.monotonic() + seconds, False, None
        while True:
            try:
                journal: Json = self.request("journal", what="take", who=self.who, process=identity(), gone=gone)
            except RefusedError as err:
                if not err.waits or time.monotonic() > deadline:
                    raise
                if not told:
                    told = True
                    gone = self._gone()
                    self.report(f"{'its process is gone' if gone else 'waiting'}: {err.words}")
                time.sleep(_GONE_SECONDS if gone else _BUSY_SECONDS)
            else:
                return journal

    def _gone(self) -> str | None:
        """The run that is at work on the project, where it was one of this machine and its process is gone."""
        found: Json = self.request("journal", what="show")
        return found.get("run") if is_gone(found.get("process")) else None

    def request(self, do: str, **more: Any) -> Any:
        """Send a request about the project. After a lost connection it is sent again, so requests are idempotent.

        :raises flowmaster.host.errors.HostError: where it is refused, or the server stays away.
        """
        return self._patiently(self._request(do, **more))

    def write_site(self, name: str, content: str, checks: Sequence[Json] = (), patience: float = 15.0) -> Json:
        """Write a site of nginx, as :func:`flowmaster.host.nginx.write_site` does."""
        request = {"verb": "change", "name": name, "content": content, "checks": list(checks), "patience": patience}
        answer: Json = self._patiently({**request, "project": self.project, "run": self.name})
        return answer

    def write_journal(self, **fields: Any) -> None:
        """Write fields to the journal."""
        self.request("journal", what="note", fields=fields)

    def heartbeat(self) -> None:
        """Send a heartbeat, if the last request was some time ago."""
        if time.monotonic() - self._alive > ALIVE_SECONDS:
            self.request("journal", what="alive")

    def _request(self, do: str, **more: Any) -> Json:
        own = {"verb": "compose", "do": do, "project": self.project, "folder": self.folder, "run": self.name}
        return {**own, **more}

    def note_next(self, **fields: Any) -> None:
        """Write fields to the journal with the next request, before it is executed."""
        self._noted.update(fields)

    def _patiently(self, request: Json) -> Any:
        if self._noted and request.get("what") != "take":
            request = {**request, "noted": dict(self._noted)}
        policy.check_request(request)
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                answer = self._session.ask(request)
            except HostUnreachableError as err:
                if time.monotonic() > deadline:
                    raise
                self.report(f"the server does not answer, asking again: {err.found}")
                time.sleep(1.0)
            except RefusedError as err:
                # what was asked before the connection was lost is still being done
                if err.stage != "taken" or "still at work" not in err.words or time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
            else:
                self._alive = time.monotonic()
                if "noted" in request:
                    self._noted.clear()
                return answer
