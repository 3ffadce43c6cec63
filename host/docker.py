"""Compose projects of the server's Docker: the one way in which anything is read of them, or done with them."""

from __future__ import annotations

from typing import Any

from host import policy
from host.access import Access
from host.connection import ask

Json = dict[str, Any]


def read_project(access: Access, name: str, folder: str) -> Json:
    """What really runs of a compose project, and what its file says. Changes nothing. Holds secrets: handle with care.

    `config` is `docker compose config --format json`; `containers` are those of the project as `docker inspect` has
    them, in the file or not; `images` by id, None for one that is gone; `volumes` are Docker's volumes and bind mounts
    (`Type`, `Name`, `Mountpoint`, `exists`, `directory`, `bytes`, `count`); `networks`; `files` are hashes by path;
    `node_address` is the server's own.

    :raises host.errors.HostError: where folder or file is missing or invalid, or Docker does not answer.
    """
    request = {"verb": "compose", "do": "read", "project": name, "folder": folder}
    policy.check_request(request)
    answer: Json = ask(access, request)
    return answer
