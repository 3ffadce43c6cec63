"""Operations that a move consists of, on one side or between both. Each can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import ProxyMode, Side
from flowmaster.compose.transfer import Transfer
from flowmaster.migrate.workloads import Workloads

_BRIEFLY = 1.0
"""Seconds in which a port that must not be answered would be."""


class Server(Protocol):
    """The methods used of a run on the server (:class:`flowmaster.host.docker.Run`)."""

    def acquire(self, seconds: float) -> dict[str, Any]:
        """Lock the project for this run; return its journal."""

    def request(self, do: str, **more: Any) -> Any:
        """Send a request about the project."""

    def note_next(self, **fields: Any) -> None:
        """Write fields to the journal with the next request."""

    def write_journal(self, **fields: Any) -> None:
        """Write fields to the journal."""

    def write_site(self, name: str, content: str, checks: Any = (), patience: float = 15.0) -> Any:
        """Write a site of nginx."""


class Operations:
    """Operations of one run on one project."""

    def __init__(
        self,
        server: Server,
        cluster: Workloads,
        transfer: Transfer,
        report: Callable[[str], None],
        answers: Callable[..., bool] = lambda *_: True,
    ) -> None:
        """`answers` tells whether a port of the server answers from this machine, within some seconds."""
        self.server, self.cluster, self.transfer, self._report, self._answers = (
            server,
            cluster,
            transfer,
            report,
            answers,
        )
        self._outside_ports: set[int] = set()
        self._inside_ports: set[int] = set()
        self.writes_closed_at: float | None = None
        self.standstill: float | None = None
        """Seconds for which writes waited; None if they did not."""

    def report(self, words: str) -> None:
        """Report progress."""
        self._report(f"{self.transfer.project}: {words}")

    def serve(self, served: ProxyMode) -> None:
        """Configure how nginx serves the ports."""
        if not self.transfer.ports:
            return
        transfer = self.transfer
        addresses = self.cluster.addresses(transfer.objects) if served.side is Side.CLUSTER else {}
        self.server.write_site(
            transfer.site, proxy.site_text(transfer, served, addresses), proxy.site_checks(transfer, served)
        )

    def redirect(self, *, on: bool) -> None:
        """Switch the firewall rules that redirect connections from the real ports to nginx."""
        self.request("redirect", ports=[port.redirect for port in self.transfer.ports] if on else [])

    def smoke(self, side: Side) -> None:
        """Request the check path of every port, directly on one side.

        :raises UserError: naming the services that do not answer or report an error.
        """
        transfer = self.transfer
        addresses = self.cluster.addresses(transfer.objects) if side is Side.CLUSTER else {}
        checks = [
            {"address": address, "port": int(number), "path": self._path(port.service), "service": port.service}
            for port in transfer.ports
            if side is Side.DOCKER or port.service in addresses
            for address, _, number in [proxy.upstream(port, side, addresses).rpartition(":")]
        ]
        answers = self.request("smoke", checks=checks)["answers"]
        ill = [f"{entry['service']} {entry['path']} {entry['words']}" for entry in answers if entry["words"]]
        if ill:
            raise UserError(f"in {side}, {'; '.join(ill)}", "it cannot serve users", "see the log of the service")

    def wait_for_cluster_copy(self, most: float | None = None) -> None:
        """Wait until the cluster's copy is ready, then smoke-test it."""
        self.cluster.ready(self.transfer.objects.values(), most)
        self.smoke(Side.CLUSTER)

    def scale(self, replicas: int) -> None:
        """Scale the services that write to volumes; others keep running."""
        self.cluster.scale([self.transfer.objects[service] for service in self.transfer.writers], replicas)

    def record_outside_ports(self) -> None:
        """Record which ports answer from this machine, and which loopback ports do not."""
        ports = self.transfer.ports
        self._outside_ports = {port.port for port in ports if not port.address and self._answers(port.port)}
        loopback = [number for port in ports if port.address for number in (port.port, port.shadow_port)]
        self._inside_ports = {number for number in loopback if not self._answers(number, _BRIEFLY)}

    def check_outside_ports(self) -> None:
        """Check that every recorded port still answers; a firewall may pass docker's traffic but not nginx's.

        Ports that docker published on a loopback address must still not answer, if they did not before.

        :raises UserError: naming the ports.
        """
        opened = sorted(port for port in self._inside_ports if self._answers(port, _BRIEFLY))
        if opened:
            raise UserError(
                f"port {', '.join(map(str, opened))} is answered from here, and was not before",
                "docker published it on a loopback address of the server alone",
                "see what listens there (`ss -ltnp`) and what leads there (`iptables -t nat -S`)",
            )
        lost = sorted(port for port in self._outside_ports if not self._answers(port))
        if lost:
            beside = ", ".join(str(port.shadow_port) for port in self.transfer.ports if port.port in lost)
            raise UserError(
                f"port {', '.join(map(str, lost))} no longer answers from this machine, but does on the server",
                "a firewall passes traffic to docker but not to nginx",
                f"allow {', '.join(map(str, lost))} and {beside} (such as `ufw allow`), then run `pulumi up` again",
            )

    def volumes(self, source: Side, **more: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the volumes to copy from one side to the other; `more` adds values by volume name."""
        return [
            {
                "name": entry.name,
                "source": entry.docker if source is Side.DOCKER else entry.cluster,
                "target": entry.cluster if source is Side.DOCKER else entry.docker,
                **{key: values[entry.name] for key, values in more.items()},
            }
            for entry in self.transfer.copied
        ]

    def request(self, do: str, **more: Any) -> Any:
        """Send a request about the project to the server."""
        return self.server.request(do, **more)

    def _path(self, service: str) -> str:
        return self.transfer.checks.get(service, "/")
