"""The server's part of a report: read beside the cluster, and told in the same findings."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from config.settings import Settings
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.last_applied import Applied
from flowmaster.host.errors import HostError, HostKeyError

if TYPE_CHECKING:
    from flowmaster.compose.desired import DesiredProject
    from flowmaster.host.nginx import HostState

Json = dict[str, Any]


@dataclass
class HostSource:
    """A look at the server that is under way."""

    settings: Settings
    _reading: Future[HostState]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """``CLUSTERIP:PORT`` by service, as far as it is known once the cluster was read."""
    projects: Mapping[str, DesiredProject] = field(default_factory=dict)
    """Compose projects that were read at some time, as they are declared now."""
    compose_addresses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """ClusterIPs by service, of each project, once the cluster was read."""
    _asking: Future[Mapping[str, Json]] | None = None

    @property
    def declared(self) -> int:
        """How many objects are declared on the server."""
        proxy = self.settings.stack.reverse_proxy
        return (len(proxy.sites) if proxy else 0) + len(self.projects)

    def project_states(self) -> Mapping[str, Json]:
        """How each compose project is on the server (:func:`flowmaster.host.docker.read_state`).

        :raises HostError: where that could not be read.
        """
        return self._asking.result() if self._asking is not None else {}

    def bodies(self, live: LiveState, applied: Applied) -> list[dict[str, Any]]:
        """What the compose projects have in the cluster."""
        services = {ref.name: (body.get("spec") or {}).get("clusterIP") for ref, body in live.of("Service")}
        self.compose_addresses = {
            name: {s: str(services[o]) for s, o in project.transfer.objects.items() if services.get(o)}
            for name, project in self.projects.items()
        }
        return [
            body
            for name, project in self.projects.items()
            for body in project.bodies(self.compose_addresses[name], applied.digests.get(name, {}))
        ]

    def state(self) -> HostState:
        """What was read.

        :raises HostError: where it could not be.
        """
        return self._reading.result()

    def refuse_impostor(self) -> None:
        """Go no further where somebody else answers in the server's place.

        :raises HostKeyError: saying so.
        """
        err = self._reading.exception()
        if isinstance(err, HostKeyError):
            raise err

    def findings(self, live: LiveState, applied: Applied) -> list[Finding]:
        """What differs on the server; one finding that says so where it could not be read."""
        from flowmaster.drift.nginx import Situation, findings

        proxy = self.settings.stack.reverse_proxy
        self.addresses = addresses(self.settings, live)
        try:
            host = self.state()
            masker = Masker([body for _, body in live.of("Secret")])
            found = self._of_projects(host, applied, masker)
        except HostError as err:
            return [unread(self.settings, err)]
        if proxy is None:
            return found
        return found + findings(
            Situation(
                proxy=proxy,
                host=host,
                addresses=self.addresses,
                unread=bool(live.unreachable) or "Service" in live.unread,
                applied=applied.sites,
                masker=masker,
            )
        )

    def _of_projects(self, host: HostState, applied: Applied, masker: Masker) -> list[Finding]:
        if not self.projects:
            return []
        from flowmaster.drift.compose import findings

        states = self.project_states()
        return [
            finding
            for name, project in self.projects.items()
            for finding in findings(
                project, states[name], host, self.compose_addresses.get(name, {}), applied.sites, masker
            )
        ]


def start(settings: Settings, *, containers: bool = False) -> HostSource | None:
    """Begin to read the server, where the stack has anything on it; the answer is waited for when it is asked for.

    :raises config.errors.ConfigError: where a compose project cannot be what it is declared to be.
    """
    projects: Mapping[str, DesiredProject] = {}
    if any(project.source is not None for project in settings.stack.compose.values()):
        from flowmaster.compose import desired

        projects = desired.desired_projects(settings)
    if settings.stack.reverse_proxy is None and not projects:
        return None
    pool = ThreadPoolExecutor(2, thread_name_prefix="host")
    reading = pool.submit(_read, settings, [p.transfer.site for p in projects.values()], containers)
    asking = pool.submit(_ask, settings, projects) if projects else None
    pool.shutdown(wait=False)
    return HostSource(settings, reading, projects=projects, _asking=asking)


def _ask(settings: Settings, projects: Mapping[str, DesiredProject]) -> Mapping[str, Json]:
    from flowmaster.host import docker
    from flowmaster.host.access import access
    from flowmaster.host.connection import Session

    with Session(access(settings.stack.host)) as server:
        return {name: docker.read_state(server, name, project.settings.folder) for name, project in projects.items()}


def _read(settings: Settings, further: list[str], containers: bool) -> HostState:
    from flowmaster.host import nginx
    from flowmaster.host.access import access

    proxy = settings.stack.reverse_proxy
    sites = [*(proxy.sites if proxy else ()), *further]
    ports = sorted({site.listen for site in proxy.sites.values()}) if proxy else []
    return nginx.read(access(settings.stack.host), sites, ports, containers=containers)


def unread(settings: Settings, err: HostError) -> Finding:
    """That the server could not be read, and why."""
    ref = ObjectRef("Host", "", str(settings.environ.get("FLOWMASTER_HOST_ADDRESS") or settings.stack.host.address))
    return Finding(FindingClass.UNKNOWN, ref, change=Change.STATE, live=err.found, note=err.remedy)


def addresses(settings: Settings, live: LiveState) -> Mapping[str, str]:
    """``CLUSTERIP:PORT`` by service: the address that the stack gives it, else the one that its Service has."""
    found = {}
    specs = {ref.name: body.get("spec") or {} for ref, body in live.of("Service")}
    for name, entry in settings.services.items():
        spec = specs.get(name, {})
        address = settings.release(name).cluster_ip or spec.get("clusterIP")
        port = entry.port or (spec.get("ports") or [{}])[0].get("port")
        if port and address not in (None, "", "None"):
            found[name] = f"{address}:{port}"
    return found
