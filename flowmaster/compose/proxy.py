"""The ports of a compose project as nginx serves them: pure text.

In phase shadow docker still holds the ports, so nginx listens beside them, and rules of the server's firewall lead new
connections there (:mod:`flowmaster.host.remote.docker_steps`). In phase cluster it listens on the ports themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from config.compose import Phase
from flowmaster.compose.transfer import Moved, Published
from flowmaster.render.nginx import HEAD

PRIVATE = "127.0.0.2"
"""From where nginx asks docker: the rules lead nothing from there back to nginx."""
RETRY_SECONDS = 2
_HOURS = 3600


class Side(StrEnum):
    """Where a project runs."""

    DOCKER = "docker"
    CLUSTER = "cluster"

    @property
    def other(self) -> Side:
        """The other one."""
        return Side.CLUSTER if self is Side.DOCKER else Side.DOCKER


@dataclass(frozen=True, kw_only=True)
class Front:
    """How the ports are served."""

    side: Side
    """Who answers."""
    open: bool = True
    """Whether requests that may change something get through; else they are told to come back in a moment."""
    own: bool = False
    """Whether nginx listens on the ports themselves."""
    beside: bool = True
    """Whether it listens beside them."""


SERVED = {
    Phase.SHADOW: Front(side=Side.DOCKER),
    Phase.CLUSTER: Front(side=Side.CLUSTER, own=True, beside=False),
    Phase.RETIRED: Front(side=Side.CLUSTER, own=True, beside=False),
}
"""How the ports are served in each phase, but for docker, where nginx has nothing to do with them."""


def text(moved: Moved, front: Front, addresses: Mapping[str, str]) -> str:
    """The whole file.

    :param addresses: ClusterIPs by service; asked for only where the cluster answers.
    """
    return HEAD + "\n".join("\n".join(_server(port, front, addresses)) for port in sorted(moved.ports, key=_number))


def checks(moved: Moved, front: Front) -> list[dict[str, Any]]:
    """What is asked through nginx once it serves the file: every port that it listens on."""
    return [
        {"path": moved.checks.get(port.service, "/"), "host": "localhost", "port": number, "tls": False}
        for port in moved.ports
        for number in _listens(port, front)
    ]


def upstream(port: Published, side: Side, addresses: Mapping[str, str]) -> str:
    """Where a port leads."""
    return f"127.0.0.1:{port.port}" if side is Side.DOCKER else f"{addresses[port.service]}:{port.target}"


def _listens(port: Published, front: Front) -> list[int]:
    return [number for number, on in ((port.port, front.own), (port.beside, front.beside)) if on]


def _number(port: Published) -> int:
    return port.port


def _server(port: Published, front: Front, addresses: Mapping[str, str]) -> Iterator[str]:
    yield "server {"
    yield from (f"    listen {number};" for number in _listens(port, front))
    yield "    server_name _;"
    yield "    client_max_body_size 0;"
    yield ""
    yield "    location / {"
    for condition in () if front.open else ("$request_method !~ ^(GET|HEAD|OPTIONS)$", "$http_upgrade"):
        yield f"        if ({condition}) {{"
        yield f"            add_header Retry-After {RETRY_SECONDS} always;"
        yield "            return 503;"
        yield "        }"
    yield f"        proxy_pass http://{upstream(port, front.side, addresses)};"
    if front.side is Side.DOCKER:
        yield f"        proxy_bind {PRIVATE};"
    yield "        proxy_http_version 1.1;"
    yield "        proxy_set_header Host $http_host;"
    yield "        proxy_set_header X-Real-IP $remote_addr;"
    yield "        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    yield "        proxy_set_header X-Forwarded-Proto $scheme;"
    yield "        proxy_set_header Upgrade $http_upgrade;"
    yield "        proxy_set_header Connection $http_connection;"
    yield f"        proxy_send_timeout {_HOURS}s;"
    yield f"        proxy_read_timeout {_HOURS}s;"
    yield "        proxy_buffering off;"
    yield "        proxy_request_buffering off;"
    yield "    }"
    yield "}"
    yield ""
