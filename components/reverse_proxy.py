"""The reverse proxy: nginx on the server, in front of the services in the cluster."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pulumi

from components.base import Component
from components.flowmaster import FlowMaster
from components.nginx_check import nginx_check
from components.nginx_site import NginxSite
from config.errors import ConfigError, UserError
from config.reverse_proxy import Site, SiteTemplate
from config.settings import Settings
from flowmaster.cluster.rollout import wait_for
from flowmaster.compare.finding import FindingClass
from flowmaster.drift.engine import Report
from flowmaster.drift.host import HostSource
from flowmaster.host import nginx_tree, policy
from flowmaster.render import nginx
from flowmaster.report.values import declared, on_server

_SOME_ADDRESS = "192.0.2.1:80"
"""A placeholder, reserved for documentation (RFC 5737)."""


@dataclass(frozen=True, kw_only=True)
class ReverseProxyArgs:
    """The sites, the addresses of the services behind them, and their drift."""

    stack: str
    sites: Mapping[str, Site | SiteTemplate]
    addresses: Mapping[str, pulumi.Input[str]]
    """``CLUSTERIP:PORT`` by service."""
    asleep: frozenset[str] = frozenset()
    """Services with 0 replicas, which do not answer."""
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Drift by site, a line each."""


class ReverseProxy(Component):
    """The sites of nginx, rendered with the live addresses of Services."""

    sites: Mapping[str, NginxSite]

    def __init__(self, name: str, args: ReverseProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        for file, entry in args.sites.items():
            # checked before addresses are known, so that a preview refuses what an update would
            policy.check_site(file, nginx.site_text(entry, dict.fromkeys(nginx.services(entry), _SOME_ADDRESS)))
        super().__init__(name, opts)
        self.sites = {site: self._site(site, entry, args) for site, entry in args.sites.items()}
        if self.sites:
            options = pulumi.ResourceOptions(parent=self, protect=False, depends_on=list(self.sites.values()))
            nginx_check(f"{name}-check", args.stack, self.contents, options)
        self.register_outputs({"sites": sorted(self.sites)})

    @property
    def contents(self) -> list[pulumi.Output[str]]:
        """The text of each site; resolves once the site is served."""
        return [site.content for site in self.sites.values()]

    def _site(self, name: str, site: Site | SiteTemplate, args: ReverseProxyArgs) -> NginxSite:
        needed = {s: args.addresses[s] for s in nginx.services(site)}
        # an address is no secret, although Deployments with sealed variables make all that is waited for one
        known = pulumi.Output.unsecret(pulumi.Output.all(**needed))
        text = known.apply(lambda addresses: nginx.site_text(site, addresses))
        return NginxSite(
            name,
            content=text.apply(nginx_tree.readable),
            encoded=text.apply(_encoded) if isinstance(site, SiteTemplate) and _encoded(site.text) else None,
            checks=[asdict(check) for check in nginx.site_checks(site, args.asleep)],
            drift=list(args.drift.get(name, ())),
            opts=self.child(),
        )


def _encoded(text: str) -> str:
    """Return a text with bytes that are no UTF-8, which no value of Pulumi can hold, in base64; else nothing."""
    content = text.encode("utf-8", "surrogateescape")
    try:
        content.decode()
    except UnicodeDecodeError:
        return b64encode(content).decode()
    return ""


def reverse_proxy(
    settings: Settings,
    flowmaster: FlowMaster,
    report: Report,
    host: HostSource | None = None,
    ill: Mapping[str, Any] = {},
) -> ReverseProxy:
    """Create the reverse proxy of the stack; without sites if the stack declares none.

    Drift of a site shows as a change of its resource. `host` has the live addresses of Services; Pulumi has those of
    the last update. Sites are written once the services behind them are ready, except those that were already unhealthy
    before the update (`ill`, see :func:`components.rollout.rollout`).
    """
    proxy = settings.stack.reverse_proxy
    if proxy is None:
        return ReverseProxy("nginx", ReverseProxyArgs(stack=settings.name, sites={}, addresses={}))
    asleep = frozenset(name for name in settings.services if settings.release(name).replicas == 0)
    routed = sorted({name for site in proxy.sites.values() for name in nginx.services(site)})
    args = ReverseProxyArgs(
        stack=settings.name,
        sites=proxy.sites,
        addresses={name: _address(settings, flowmaster, name, host, ill.get(name)) for name in routed},
        asleep=asleep,
        drift=_to_undo(report, list(proxy.sites)),
    )
    # an adopted stack is protected against deletion
    return ReverseProxy("nginx", args, pulumi.ResourceOptions(protect=settings.stack.adopted is not None or None))


def _to_undo(report: Report, sites: Sequence[str]) -> dict[str, list[str]]:
    """Return, by site, a line for each finding that the update heals; the first site gets those about nginx itself."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        ours = finding.object.kind == "Nginx" or (finding.object.kind == "NginxSite" and finding.object.name in sites)
        if ours and finding.heals and finding.cls is not FindingClass.PENDING:
            site = finding.object.name if finding.object.name in sites else sites[0]
            where = finding.path or finding.object.name
            told = f"{where}: {on_server(finding)}"
            found.setdefault(site, []).append(f"{told}, declared {declared(finding)}" if declared(finding) else told)
    return found


def _address(
    settings: Settings, flowmaster: FlowMaster, name: str, host: HostSource | None, ill: Any
) -> pulumi.Output[str] | str:
    """Return the service's address: in a preview the current one, in an update the one once its pods are ready."""
    service = flowmaster.services[name]
    if service.address is None:
        raise ConfigError(
            f"a location of nginx points to {name}, whose port is unknown", "it has no Service", "set its port"
        )
    if pulumi.runtime.is_dry_run():
        now, pinned = (host.addresses if host else {}).get(name), settings.release(name).cluster_ip
        stays = now is not None and pinned in (None, now.partition(":")[0])
        return now if stays and now is not None else service.address

    async def wait(found: Sequence[Any]) -> str:
        return await asyncio.to_thread(_live, settings, name, str(found[0]), ill)

    return pulumi.Output.all(service.address, service.deployment.metadata["name"]).apply(wait)


def _live(settings: Settings, name: str, written: str, ill: Any) -> str:
    """Wait for the service's pods, then read its address: it may have been recreated since Pulumi wrote it."""
    from flowmaster.cluster.connection import connect

    with connect(settings.stack.cluster) as api:
        try:
            wait_for(api.get, settings.namespace, {name: ill}, settings.stack.cluster.rollout_timeout, _quietly)
            body = api.get(f"/api/v1/namespaces/{settings.namespace}/services/{name}")
        except UserError as err:
            raise pulumi.RunError(str(err)) from None
    return f"{body['spec']['clusterIP']}:{written.rpartition(':')[2]}"


def _quietly(_: str) -> None:
    """Ignore progress: :mod:`components.rollout` reports it."""
