"""A docker compose project: its objects in the cluster, its phase, and the nginx site that serves its ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi

from components.base import Component
from components.compose_phase import ComposeImages, ComposePhase, ComposeSiteProvider
from components.drift import Server
from components.flowmaster import FlowMaster
from components.kubernetes import KubernetesObject
from components.nginx_site import NginxSite
from components.volumes import wait_until_known
from config.compose import Phase
from flowmaster.compare.finding import ABSENT, FindingClass
from flowmaster.compose import proxy
from flowmaster.compose.desired import DesiredProject
from flowmaster.compose.result import Body, final_bodies
from flowmaster.migrate import steps
from flowmaster.report.values import declared, on_server

_FIRST = ("Secret", "ConfigMap", "PersistentVolume")


@dataclass(frozen=True, kw_only=True)
class ComposeProjectArgs:
    """The desired project, and what was read of it on the server."""

    declared: DesiredProject
    namespace: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    """ClusterIPs by service that will not change."""
    drift: Sequence[str] = ()
    """Drift of the project on the server, a line each."""
    front_drift: Sequence[str] = ()
    """Drift of its nginx site, a line each."""
    volume_known: Callable[[str], None] = field(default=lambda _: None)
    """Waits until Kubernetes knows a PersistentVolume (:mod:`components.volumes`)."""


class ComposeProject(Component):
    """A compose project."""

    phase: ComposePhase
    site: NginxSite | None

    def __init__(self, name: str, args: ComposeProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        transfer = args.declared.transfer
        self.site = None
        needed: list[pulumi.Resource] = []
        self._addresses: dict[str, pulumi.Input[str]] = {}
        if args.declared.in_cluster:
            needed = self._in_cluster(args)
        self.phase = ComposePhase(
            name,
            phase=str(args.declared.phase),
            transfer=transfer.to_properties(),
            namespace=args.namespace,
            drift=list(args.drift),
            opts=self._last(needed, protect=args.declared.in_cluster),
        )
        if args.declared.in_cluster and transfer.ports:
            self.site = self._front(args)
        self.register_outputs({"phase": str(args.declared.phase)})

    @property
    def outputs(self) -> list[pulumi.Output[Any]]:
        """Outputs that resolve once the project is in its phase."""
        return [self.phase.phase, *([self.site.content] if self.site else [])]

    def _last(self, needed: list[pulumi.Resource], *, protect: bool) -> pulumi.ResourceOptions:
        # protected: without this resource nothing would serve a project that moved
        return pulumi.ResourceOptions.merge(self.child(depends_on=needed), pulumi.ResourceOptions(protect=protect))

    def _in_cluster(self, args: ComposeProjectArgs) -> list[pulumi.Resource]:
        translation, transfer = args.declared.translation, args.declared.transfer
        images = ComposeImages(
            translation.project,
            folder=transfer.folder,
            images=transfer.images,
            volumes=[{"name": v.name, "source": v.docker, "target": v.cluster} for v in transfer.data],
            opts=self.child(),
        )
        made: list[pulumi.Resource] = [images]
        pending = [b for b in translation.bodies if b["kind"] != "Deployment"]
        volumes: dict[str, KubernetesObject] = {}
        for body in sorted(pending, key=lambda b: b["kind"] not in _FIRST):
            volume = volumes.get(body.get("spec", {}).get("volumeName"))
            needed: list[pulumi.Resource] = [images, *([volume] if volume else [])]
            found = KubernetesObject(_after(volume, body, args) if volume else body, self.child(depends_on=needed))
            made.append(found)
            if body["kind"] == "PersistentVolume":
                volumes[body["metadata"]["name"]] = found
            if body["kind"] == "Service":
                self._note_address(args, body["metadata"]["name"], found)
        deployments = [b for b in translation.bodies if b["kind"] == "Deployment"]
        return [*made, *(self._deployment(args, body, images, made) for body in deployments)]

    def _note_address(self, args: ComposeProjectArgs, name: str, service: Any) -> None:
        known = {o: s for s, o in args.declared.transfer.objects.items()}
        own = known[name]
        self._addresses[own] = args.addresses.get(own) or service.spec.apply(lambda spec: spec.get("clusterIP") or "")

    def _deployment(
        self, args: ComposeProjectArgs, body: Body, images: ComposeImages, made: list[pulumi.Resource]
    ) -> KubernetesObject:
        translation, name = args.declared.translation, body["metadata"]["name"]
        pushed = any(image.digest is None for image in translation.images.values())

        def spec(found: Mapping[str, str], digests: Mapping[str, str]) -> Any:
            whole = final_bodies(translation, found, digests)
            return next(b["spec"] for b in whole if b["kind"] == "Deployment" and b["metadata"]["name"] == name)

        plain = {s: a for s, a in self._addresses.items() if isinstance(a, str)}
        options = self.child(depends_on=list(made))
        if len(plain) == len(self._addresses) and not pushed:
            return KubernetesObject({**body, "spec": spec(plain, {})}, options)
        known = pulumi.Output.all(addresses=self._addresses, digests=images.digests if pushed else {})
        return KubernetesObject({**body, "spec": known.apply(lambda k: spec(k["addresses"], k["digests"]))}, options)

    def _front(self, args: ComposeProjectArgs) -> NginxSite:
        transfer, phase = args.declared.transfer, args.declared.phase
        served = proxy.PROXY_MODES[phase]
        needed = {p.service: self._addresses[p.service] for p in transfer.ports if p.service in self._addresses}
        content = pulumi.Output.all(**needed).apply(lambda found: proxy.site_text(transfer, served, found))
        return NginxSite(
            transfer.site,
            content=content,
            checks=proxy.site_checks(transfer, served),
            drift=list(args.front_drift),
            provider=ComposeSiteProvider(transfer.project, transfer.folder),
            opts=self.child(depends_on=[self.phase]),
        )


def _after(volume: KubernetesObject, claim: Body, args: ComposeProjectArgs) -> Body:
    """Return the claim, created once Kubernetes has its volume."""
    if pulumi.runtime.is_dry_run():
        return claim
    name = claim["spec"]["volumeName"]

    async def wait(_: object) -> str:
        await asyncio.to_thread(args.volume_known, name)
        return str(name)

    return {**claim, "spec": {**claim["spec"], "volumeName": volume.metadata.apply(wait)}}


def of_server(
    server: Server, project: DesiredProject, flowmaster: FlowMaster, opts: pulumi.ResourceOptions
) -> ComposeProject:
    """Create a project from the desired state, with the drift found on the server.

    :raises config.errors.UserError: if a phase would be skipped.
    """
    host = server.host
    state = (host.project_states() if host else {})[project.name]
    here = Phase(state["journal"]["phase"])
    steps.refuse_skipping(project.name, here, project.phase, project.settings.skip)
    _tell(project, here, state["journal"])
    found = [f for f in server.report.findings if f.heals and f.cls is not FindingClass.PENDING]
    own = {str(c["name"]) for c in state["containers"]}
    lines = [
        f"{f.object.name} {f.path}: {on_server(f)}" + (f", declared {declared(f)}" if f.declared is not ABSENT else "")
        for f in found
        if _is(f, project.name, own)
    ]
    if here is not project.phase:
        # a move may have ended after its update was killed: then the state knows nothing of it, and sees no change
        lines.append(f"{project.name} phase: {here}, declared {project.phase}")
    fronts = [f"{f.path or f.object.name}: {on_server(f)}" for f in found if f.object.name == project.transfer.site]
    known = host.compose_addresses.get(project.name, {}) if host else {}
    made_again = {ref.name for ref in server.plan.steps if ref.kind == "Service"}
    args = ComposeProjectArgs(
        declared=project,
        namespace=server.settings.namespace,
        addresses={s: a for s, a in known.items() if project.transfer.objects[s] not in made_again},
        drift=lines,
        front_drift=fronts,
        volume_known=partial(wait_until_known, server.settings.stack.cluster),
    )
    options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[flowmaster.space]))
    return ComposeProject(project.name, args, options)


def _is(finding: Any, project: str, containers: set[str]) -> bool:
    ref = finding.object
    return (ref.kind == "ComposeProject" and ref.name == project) or (
        ref.kind == "Container" and ref.name in containers
    )


def _tell(project: DesiredProject, here: Phase, journal: Mapping[str, Any]) -> None:
    if journal.get("move"):
        move = journal["move"]
        pulumi.log.warn(
            f"{project.name}: {move['from']} → {move['to']} was interrupted in step {move['step']}: "
            "up completes it or rolls it back"
        )
    if here is project.phase:
        return
    if here is Phase.DOCKER:
        for line in project.translation.notes:
            pulumi.log.info(f"{project.name}: {line}")
    for line in steps.announce(here, project.phase, project.transfer):
        pulumi.log.info(line)
