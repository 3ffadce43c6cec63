"""The host as a source of findings: nginx and compose projects, read in parallel with the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from config.reverse_proxy import ports as ports_of
from config.settings import Settings
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState, find_pods
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.last_applied import Applied
from flowmaster.host.errors import HostError, HostKeyError

if TYPE_CHECKING:
    from flowmaster.compose.desired import DesiredProject
    from flowmaster.drift.ports import Ports
    from flowmaster.host.nginx import HostState

Json = dict[str, Any]
_UNRECORDED = "what nginx's sites inherit from other files (`flowmaster adopt --nginx` records it)"


@dataclass
class HostSource:
    """A read of the host in progress."""

    settings: Settings
    _reading: Future[HostState]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """``CLUSTERIP:PORT`` by service, if known; set once the cluster was read."""
    projects: Mapping[str, DesiredProject] = field(default_factory=dict)
    """Compose projects that have a source, by name."""
    compose_addresses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By project, ClusterIPs by service; set once the cluster was read."""
    _reading_projects: Future[Mapping[str, Json]] | None = None
    asks: bool = True
    """Whether the ports of sites are asked who answers there."""
    notes: list[str] = field(default_factory=list)
    """What there is to say besides the findings."""
    _as_text: Sequence[str] = ()
    """The sites that were not compared by directives, with why."""

    @property
    def declared(self) -> int:
        """Number of objects declared on the host."""
        proxy = self.settings.stack.reverse_proxy
        return (len(proxy.sites) if proxy else 0) + len(self.projects)

    @property
    def ports(self) -> frozenset[int]:
        """Ports on which sites are declared."""
        proxy = self.settings.stack.reverse_proxy
        return frozenset(port for site in (proxy.sites.values() if proxy else ()) for port in ports_of(site))

    def project_states(self) -> Mapping[str, Json]:
        """Return the state of each compose project (:func:`flowmaster.host.docker.read_state`).

        :raises HostError: if it could not be read.
        """
        return self._reading_projects.result() if self._reading_projects is not None else {}

    def bodies(self, live: LiveState, applied: Applied) -> list[dict[str, Any]]:
        """Return the desired objects of compose projects in the cluster."""
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
        """Return the state of the host.

        :raises HostError: if it could not be read.
        """
        return self._reading.result()

    def raise_host_key_error(self) -> None:
        """Raise if another machine answers in the server's place.

        :raises HostKeyError: if the host key does not match.
        """
        err = self._reading.exception()
        if isinstance(err, HostKeyError):
            raise err

    def findings(self, live: LiveState, applied: Applied) -> list[Finding]:
        """Return the differences on the host; a single unknown finding if it could not be read."""
        from flowmaster.drift import effective_nginx
        from flowmaster.drift.nginx import Comparison, compared_as_text, findings

        proxy = self.settings.stack.reverse_proxy
        self.addresses = addresses(self.settings, live)
        try:
            host = self.state()
            masker = Masker([body for _, body in live.of("Secret")])
            found = self._of_projects(host, applied, masker)
        except HostError as err:
            return [unreadable(self.settings, err)]
        if proxy is None:
            return found
        comparison = Comparison(
            proxy=proxy,
            host=host,
            addresses=self.addresses,
            unread=bool(live.unreachable) or "Service" in live.unread,
            applied=applied.sites,
            masker=masker,
            projects=frozenset(project.transfer.site for project in self.projects.values()),
        )
        self.notes += effective_nginx.notes(comparison)
        self._as_text = compared_as_text(comparison)
        of_nginx = findings(comparison)
        return found + of_nginx + self._of_ports(host, live, of_nginx)

    def _of_ports(self, host: HostState, live: LiveState, others: list[Finding]) -> list[Finding]:
        """Return what differs on the ports of sites, beside what the other findings explain."""
        if not host.answers:
            return []
        from flowmaster.drift import ports

        whole = {finding.object.name for finding in others if finding.object.kind == "NginxSite" and not finding.path}
        pods = find_pods(live, *ports.strangers(host))
        told = {finding.path for finding in others if finding.object.kind == "Nginx"}
        return [finding for finding in ports.findings(self._ports(host, pods), whole) if finding.path not in told]

    def _ports(self, host: HostState, pods: Mapping[str, str] = MappingProxyType({})) -> Ports:
        from flowmaster.drift.listening import declared_texts
        from flowmaster.drift.ports import Ports

        return Ports(host=host, texts=declared_texts(self.settings.stack.reverse_proxy), pods=pods)

    def coverage(self) -> Coverage:
        """Return what was read of the host."""
        from flowmaster.drift import ports

        try:
            host = self.state()
        except HostError:
            return Coverage(not_looked_at=("the host (it could not be read)",))
        proxy = self.settings.stack.reverse_proxy
        left = [*([_UNRECORDED] if proxy is not None and proxy.recorded is None else []), *self._as_text]
        read = Coverage(sites=len(proxy.sites) if proxy else 0, projects=len(self.projects), not_looked_at=tuple(left))
        if not self.asks:
            return read + Coverage(not_looked_at=("ports (--fast)",) if proxy else ())
        return read + ports.coverage(self._ports(host))

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


def start_reading(
    settings: Settings, *, containers: bool = False, ask: bool = True, always: bool = False
) -> HostSource | None:
    """Start reading the host in the background; None if the stack has nothing there, unless it is read `always`.

    :param ask: whether to ask the ports of sites who answers there.

    :raises config.errors.ConfigError: if a compose project cannot be in its desired phase.
    """
    projects: Mapping[str, DesiredProject] = {}
    if any(project.source is not None for project in settings.stack.compose.values()):
        from flowmaster.compose import desired

        projects = desired.desired_projects(settings)
    if settings.stack.reverse_proxy is None and not projects and not always:
        return None
    pool = ThreadPoolExecutor(2, thread_name_prefix="host")
    reading = pool.submit(_read, settings, [p.transfer.site for p in projects.values()], containers, ask)
    asking = pool.submit(_read_projects, settings, projects) if projects else None
    pool.shutdown(wait=False)
    return HostSource(settings, reading, projects=projects, _reading_projects=asking, asks=ask)


def _read_projects(settings: Settings, projects: Mapping[str, DesiredProject]) -> Mapping[str, Json]:
    from flowmaster.host import docker
    from flowmaster.host.access import access
    from flowmaster.host.connection import Session

    with Session(access(settings.stack.host)) as server:
        return {name: docker.read_state(server, name, project.settings.folder) for name, project in projects.items()}


def _read(settings: Settings, further: list[str], containers: bool, ask: bool) -> HostState:
    from flowmaster.drift.listening import declared_texts, places
    from flowmaster.host import nginx
    from flowmaster.host.access import access

    proxy = settings.stack.reverse_proxy
    sites = [*(proxy.sites if proxy else ()), *further]
    ports = sorted({port for site in proxy.sites.values() for port in ports_of(site)}) if proxy else []
    recorded = proxy.recorded.files if proxy and proxy.recorded else {}
    asked = places(declared_texts(proxy)) if ask else []
    server = access(settings.stack.host)
    return nginx.read(server, sites, ports, containers=containers, places=asked, recorded=recorded)


def unreadable(settings: Settings, err: HostError) -> Finding:
    """Return the finding for a host that could not be read."""
    ref = ObjectRef("Host", "", str(settings.environ.get("FLOWMASTER_HOST_ADDRESS") or settings.stack.host.address))
    return Finding(FindingClass.UNKNOWN, ref, change=Change.STATE, live=err.found, note=err.remedy)


def addresses(settings: Settings, live: LiveState) -> Mapping[str, str]:
    """Return ``CLUSTERIP:PORT`` by service: the address in the stack, else that of the live Service."""
    found = {}
    specs = {ref.name: body.get("spec") or {} for ref, body in live.of("Service")}
    for name, entry in settings.services.items():
        spec = specs.get(name, {})
        address = settings.release(name).cluster_ip or spec.get("clusterIP")
        port = entry.port or (spec.get("ports") or [{}])[0].get("port")
        if port and address not in (None, "", "None"):
            found[name] = f"{address}:{port}"
    return found
