"""Renders the nginx site that serves a compose project's ports. Pure.

In phase shadow docker still holds the ports. nginx listens on shadow ports, and firewall rules of the server redirect
new connections there (:mod:`flowmaster.host.remote.docker_steps`). In phase cluster nginx listens on the real ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from config.compose import Phase
from flowmaster.compose.transfer import PublishedPort, Transfer
from flowmaster.render.nginx import HEAD

SOURCE_ADDRESS = "127.0.0.2"
"""Source address of nginx's requests to docker. The firewall rules do not redirect connections from it."""
LOOPBACK = "127.0.0.1"
RETRY_SECONDS = 2
_HOURS = 3600


class Side(StrEnum):
    """The side that runs a project."""

    DOCKER = "docker"
    CLUSTER = "cluster"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.CLUSTER if self is Side.DOCKER else Side.DOCKER


@dataclass(frozen=True, kw_only=True)
class ProxyMode:
    """How nginx serves the project's ports."""

    side: Side
    """The side that answers requests."""
    writable: bool = True
    """Whether requests that may write are passed on; else nginx answers 503 with Retry-After."""
    own_ports: bool = False
    """Whether nginx listens on the real ports."""
    shadow_ports: bool = True
    """Whether nginx listens on the shadow ports."""


PROXY_MODES = {
    Phase.SHADOW: ProxyMode(side=Side.DOCKER),
    Phase.CLUSTER: ProxyMode(side=Side.CLUSTER, own_ports=True, shadow_ports=False),
    Phase.RETIRED: ProxyMode(side=Side.CLUSTER, own_ports=True, shadow_ports=False),
}
"""How nginx serves the ports in each phase. In phase docker it does not."""


def site_text(transfer: Transfer, mode: ProxyMode, addresses: Mapping[str, str]) -> str:
    """Render the site file.

    :param addresses: ClusterIPs by service; needed only if the cluster answers.
    """
    return HEAD + "\n".join(
        "\n".join(_server_block(port, mode, addresses)) for port in sorted(transfer.ports, key=_number)
    )


def site_checks(transfer: Transfer, mode: ProxyMode) -> list[dict[str, Any]]:
    """Return the requests that check the site once nginx serves it: one for each port that it listens on."""
    return [
        {
            "path": transfer.checks.get(port.service, "/"),
            "host": "localhost",
            "port": number,
            "tls": False,
            **({"address": port.address} if port.address else {}),
        }
        for port in transfer.ports
        for number in _listen_ports(port, mode)
    ]


def upstream(port: PublishedPort, side: Side, addresses: Mapping[str, str]) -> str:
    """Return the address that a port is passed on to."""
    return (
        f"{port.address or LOOPBACK}:{port.port}" if side is Side.DOCKER else f"{addresses[port.service]}:{port.target}"
    )


def _listen_ports(port: PublishedPort, mode: ProxyMode) -> list[int]:
    return [number for number, on in ((port.port, mode.own_ports), (port.shadow_port, mode.shadow_ports)) if on]


def _number(port: PublishedPort) -> int:
    return port.port


def _server_block(port: PublishedPort, mode: ProxyMode, addresses: Mapping[str, str]) -> Iterator[str]:
    yield "server {"
    address = f"{port.address}:" if port.address else ""
    yield from (f"    listen {address}{number};" for number in _listen_ports(port, mode))
    yield "    server_name _;"
    yield "    client_max_body_size 0;"
    yield ""
    yield "    location / {"
    for condition in () if mode.writable else ("$request_method !~ ^(GET|HEAD|OPTIONS)$", "$http_upgrade"):
        yield f"        if ({condition}) {{"
        yield f"            add_header Retry-After {RETRY_SECONDS} always;"
        yield "            return 503;"
        yield "        }"
    yield f"        proxy_pass http://{upstream(port, mode.side, addresses)};"
    if mode.side is Side.DOCKER:
        yield f"        proxy_bind {SOURCE_ADDRESS};"
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
