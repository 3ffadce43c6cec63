"""The single operations that a move consists of, each on one side or between both; any may be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import Front, Side
from flowmaster.compose.transfer import Moved
from flowmaster.migrate.workloads import Cluster


class Server(Protocol):
    """What is needed of a run on the server (:class:`flowmaster.host.docker.Run`)."""

    def take(self, seconds: float) -> dict[str, Any]:
        """Take the project over; its journal."""

    def ask(self, do: str, **more: Any) -> Any:
        """Do something with the project."""

    def next(self, **fields: Any) -> None:
        """Write something into the journal with the next request."""

    def note(self, **fields: Any) -> None:
        """Write something into the journal."""

    def write_site(self, name: str, content: str, checks: Any = (), patience: float = 15.0) -> Any:
        """Make a site of nginx be so."""


class Operations:
    """What one run can do with one project."""

    def __init__(
        self,
        server: Server,
        cluster: Cluster,
        moved: Moved,
        say: Callable[[str], None],
        answers: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """`answers` asks a port of the server from outside, as its users do."""
        self.server, self.cluster, self.moved, self._say, self._answers = server, cluster, moved, say, answers
        self._seen: set[int] = set()
        self.closed: float | None = None
        self.standstill: float | None = None
        """Seconds for which writes had to wait, if they had to."""

    def say(self, words: str) -> None:
        """Tell how far it is."""
        self._say(f"{self.moved.project}: {words}")

    def serve(self, served: Front) -> None:
        """Have nginx serve the ports in that way."""
        if not self.moved.ports:
            return
        moved = self.moved
        addresses = self.cluster.addresses(moved.objects) if served.side is Side.CLUSTER else {}
        self.server.write_site(moved.site, proxy.text(moved, served, addresses), proxy.checks(moved, served))

    def redirect(self, *, on: bool) -> None:
        """Have the server's firewall lead connections to the ports on to nginx, or not."""
        self.ask("redirect", ports=[[port.port, port.beside] for port in self.moved.ports] if on else [])

    def smoke(self, side: Side) -> None:
        """Ask every port, or what the project's own checks say, on one side directly.

        :raises UserError: naming those that do not answer, or say that they are ill.
        """
        moved = self.moved
        addresses = self.cluster.addresses(moved.objects) if side is Side.CLUSTER else {}
        checks = [
            {"address": address, "port": int(number), "path": self._path(port.service), "service": port.service}
            for port in moved.ports
            if side is Side.DOCKER or port.service in addresses
            for address, _, number in [proxy.upstream(port, side, addresses).rpartition(":")]
        ]
        answers = self.ask("smoke", checks=checks)["answers"]
        ill = [f"{entry['service']} {entry['path']} {entry['words']}" for entry in answers if entry["words"]]
        if ill:
            raise UserError(f"in {side}, {'; '.join(ill)}", "it would not serve anybody", "see its log")

    def copy_runs(self, most: float | None = None) -> None:
        """Wait until the cluster's copy runs, for so many seconds at most, and ask it."""
        self.cluster.ready(self.moved.objects.values(), most)
        self.smoke(Side.CLUSTER)

    def scale(self, replicas: int) -> None:
        """Pods of the services that write into volumes; others go on."""
        self.cluster.scale([self.moved.objects[service] for service in self.moved.writers], replicas)

    def remember_outside(self) -> None:
        """Note which ports are answered to whoever asks from here."""
        self._seen = {port.port for port in self.moved.ports if self._answers(port.port)}

    def same_outside(self) -> None:
        """What was answered from here still has to be: a firewall may let through to docker what nginx does not get.

        :raises UserError: naming the ports.
        """
        lost = sorted(port for port in self._seen if not self._answers(port))
        if lost:
            beside = ", ".join(str(port.beside) for port in self.moved.ports if port.port in lost)
            raise UserError(
                f"port {', '.join(map(str, lost))} is not answered from here any more, but on the server it is",
                "a firewall lets through to docker what it does not let through to nginx",
                f"allow {', '.join(map(str, lost))} and {beside} (such as `ufw allow`), then run this again",
            )

    def volumes(self, source: Side, **more: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The volumes to be copied from one side to the other; further values by the volume's name."""
        return [
            {
                "name": entry.name,
                "source": entry.docker if source is Side.DOCKER else entry.cluster,
                "target": entry.cluster if source is Side.DOCKER else entry.docker,
                **{key: values[entry.name] for key, values in more.items()},
            }
            for entry in self.moved.copied
        ]

    def ask(self, do: str, **more: Any) -> Any:
        """Have the server do something with the project."""
        return self.server.ask(do, **more)

    def _path(self, service: str) -> str:
        return self.moved.checks.get(service, "/")
