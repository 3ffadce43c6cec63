"""The server's part of a report: read beside the cluster, and told in the same findings."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.settings import Settings
from drift.applied import Applied
from drift.finding import Change, Finding, FindingClass, ObjectRef
from drift.kubernetes.reader import LiveState
from drift.kubernetes.secrets import Masker
from host.errors import HostError, HostKeyError

if TYPE_CHECKING:
    from host.nginx import HostState


@dataclass
class HostSource:
    """A look at the server that is under way."""

    settings: Settings
    _reading: Future[HostState]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """``CLUSTERIP:PORT`` by service, as far as it is known once the cluster was read."""

    @property
    def declared(self) -> int:
        """How many objects are declared on the server."""
        proxy = self.settings.stack.reverse_proxy
        return len(proxy.sites) if proxy else 0

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
        from drift.host.findings import Situation, findings

        proxy = self.settings.stack.reverse_proxy
        if proxy is None:
            return []
        self.addresses = addresses(self.settings, live)
        try:
            host = self.state()
        except HostError as err:
            return [unread(self.settings, err)]
        masker = Masker([body for _, body in live.of("Secret")])
        return findings(
            Situation(
                proxy=proxy,
                host=host,
                addresses=self.addresses,
                unread=bool(live.unreachable) or "Service" in live.unread,
                applied=applied.sites,
                masker=masker,
            )
        )


def start(settings: Settings, *, containers: bool = False) -> HostSource | None:
    """Begin to read the server, where the stack has anything on it; the answer is waited for when it is asked for."""
    proxy = settings.stack.reverse_proxy
    if proxy is None:
        return None
    pool = ThreadPoolExecutor(1, thread_name_prefix="host")
    reading = pool.submit(_read, settings, containers)
    pool.shutdown(wait=False)
    return HostSource(settings, reading)


def _read(settings: Settings, containers: bool) -> HostState:
    from host import nginx
    from host.access import access

    proxy = settings.stack.reverse_proxy
    sites = list(proxy.sites) if proxy else []
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
