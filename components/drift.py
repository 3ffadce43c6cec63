"""Shows drift in `pulumi preview` as changes of resources, and heals it in `pulumi up`.

Pulumi compares the program with its own state, so it does not see changes on the server. `pulumi refresh` does, with
one request for each object, and it ignores fields that others added. Instead, the program reads the server with few
LISTs when it starts. Each resource with drift gets a new annotation (:data:`flowmaster.heal.kept_fields.HEALED`), which
Pulumi sees as a change, and a hook. The hook heals the object in one write just before the provider's own update: in
place, or by recreating it if it is gone or an immutable field differs. Without drift, nothing happens.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pulumi

from components import approval
from components.kubernetes import hidden
from components.takeover import report_adoptions
from config.errors import UserError
from config.settings import Settings
from flowmaster.adopt.proof import Proof, taken_over
from flowmaster.cluster import reader
from flowmaster.cluster.connection import Api, UnreachableError, connect
from flowmaster.cluster.copies import LAST_APPLIED
from flowmaster.cluster.kinds import kind_name
from flowmaster.cluster.normalise import HEALED_FROM, annotation
from flowmaster.cluster.rollout import workload
from flowmaster.cluster.writes import Step, carry_out
from flowmaster.compare.finding import FindingClass, ObjectRef
from flowmaster.compose.desired import CLUSTER_SCOPED_KINDS as UNREAD
from flowmaster.drift import engine, health, last_applied
from flowmaster.drift.host import HostSource, start_reading
from flowmaster.drift.objects import reference
from flowmaster.drift.preflight import check_identity, check_images
from flowmaster.heal import takeover
from flowmaster.heal.kept_fields import HEALED, writers_annotation
from flowmaster.heal.plan import Body, Plan, plan
from flowmaster.render.objects import CLUSTER_SCOPED
from flowmaster.report.summary import basis
from flowmaster.report.values import line

_PODS_OR_ADDRESS = frozenset({*health.WORKLOADS, "Service"})
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="hook")


@dataclass
class Server:
    """The server as read when the program started, and the plan for its drift."""

    settings: Settings
    report: engine.Report
    plan: Plan
    before: last_applied.Applied
    adopted: frozenset[ObjectRef] = frozenset()
    """Live objects that will be adopted."""
    copied: Mapping[ObjectRef, list[str]] = field(default_factory=dict)
    """Objects with annotations that hold a copy of them, and these."""
    proofs: Sequence[Proof] = ()
    """Proofs that adopted objects with pods or an address do not change."""
    ill: Mapping[str, Body] = field(default_factory=dict)
    """The live Deployments, by name, that were already unhealthy."""
    host: HostSource | None = None
    """The read of the host, if the stack has anything there."""
    _resources: dict[ObjectRef, pulumi.Resource] = field(default_factory=dict)
    _hook: pulumi.ResourceHook | None = None
    _takeover: pulumi.ResourceHook | None = None

    def heal_drift(self) -> None:
        """Make every resource registered from now on show and heal the drift of its object."""
        if not self.plan.empty:
            self._hook = pulumi.ResourceHook("undo-drift", self._undo)
        if self.adopted or self.copied:
            self._takeover = pulumi.ResourceHook("take-over", self._take_over)
        pulumi.runtime.register_stack_transformation(self._transform)

    def report_findings(self) -> None:
        """Log each finding as a warning of its resource, and what all rests on. Pulumi shows pending changes itself."""
        report_adoptions(self.adopted, self.report.findings, self.proofs, self._resources)
        for finding in self.report.findings:
            if finding.cls is FindingClass.PENDING and not self.plan.covers(finding):
                continue
            pulumi.log.warn(line(finding, self.report.taken), self._resources.get(finding.object))
        pulumi.log.info(basis(self.report))

    def _transform(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        ref = _reference(args)
        if ref is None:
            return None
        self._resources[ref] = args.resource
        props, opts = args.props, args.opts
        if ref in self.plan.kept:
            props = {**props, **{k: v for k, v in hidden(self.plan.kept[ref]).items() if k in props}}
        mark = self._mark(ref)
        if mark:
            metadata: Body = copy.deepcopy(cast(Body, props["metadata"]))
            annotations = metadata.setdefault("annotations", {})
            annotations[HEALED] = mark
            if writers := writers_annotation(self.before.bodies.get(ref), self._writers(ref)):
                annotations[HEALED_FROM] = writers
            props = {**props, "metadata": metadata}
        if fields := self.plan.as_live.get(ref):
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=[*fields]))
        if self._hook is not None and self._writes(ref):
            hooks = pulumi.ResourceHookBinding(before_update=[self._hook])
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks))
        if self._takeover is not None and ref in self.adopted:
            hooks = pulumi.ResourceHookBinding(before_create=[self._takeover])
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks))
        elif self._takeover is not None and LAST_APPLIED in self.copied.get(ref, ()):
            hooks = pulumi.ResourceHookBinding(before_update=[self._takeover])
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks))
        if ref in self.copied:
            # the provider returns what the server has, the copy included
            own = pulumi.ResourceOptions(additional_secret_outputs=["metadata"])
            opts = pulumi.ResourceOptions.merge(opts, own)
        return pulumi.ResourceTransformationResult(props, opts)

    def _writes(self, ref: ObjectRef) -> bool:
        return ref in self.plan.steps or (ref.kind == "Namespace" and bool(self.plan.deletions))

    def _writers(self, ref: ObjectRef) -> Sequence[tuple[str, str]]:
        return self.plan.steps[ref].writers if ref in self.plan.steps else ()

    def _mark(self, ref: ObjectRef) -> str | None:
        """Return a new annotation if there is drift to heal, else that of the last update."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        step = self.plan.steps.get(ref)
        if step is not None and step.untried and pulumi.runtime.is_dry_run():
            # An unknown value keeps the provider from a dry run of the update.
            return str(pulumi.runtime.rpc.UNKNOWN)
        if step is not None:
            return f"{now} {step.summary}"
        if ref.kind == "Namespace" and self.plan.deletions:
            return f"{now} deleted {', '.join(str(step.ref) for step in self.plan.deletions)}"[:200]
        return annotation(self.before.bodies.get(ref), HEALED) or None

    async def _take_over(self, args: pulumi.ResourceHookArgs) -> None:
        ref = _named(args.type, dict(args.new_inputs or {}))
        await _aside(self._forget_last_applied, ref)

    def _forget_last_applied(self, ref: ObjectRef) -> None:
        with connect(self.settings.stack.cluster) as api:
            takeover.remove_last_applied(api, ref)

    async def _undo(self, args: pulumi.ResourceHookArgs) -> None:
        await _aside(self._undo_now, args.type, dict(args.new_inputs or {}))

    def _undo_now(self, kind: str, inputs: Body) -> None:
        ref = _named(kind, inputs)
        steps: list[Step] = [self.plan.steps[ref]] if ref in self.plan.steps else []
        if ref.kind == "Namespace":
            steps += self.plan.deletions
        with connect(self.settings.stack.cluster) as api:
            for step in steps:
                carry_out(api, step)


async def _aside(work: Callable[..., None], *arguments: object) -> None:
    """Run a hook in its own threads: Pulumi's registrations occupy those of the loop while they wait for the hook."""
    await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


def read_server(settings: Settings) -> Server:
    """Read the server, check that an update can succeed, and plan how to heal drift.

    :raises UserError: if the API server is unreachable or not the stack's, an image is missing in the registry, or
        the findings differ from the approved ones.
    """
    from flowmaster.render.manifests import manifests

    host = start_reading(settings, containers=not pulumi.runtime.is_dry_run())
    declared = [dict(body) for body in manifests(settings)]
    with connect(settings.stack.cluster) as api:
        live = engine.read_live(api, settings.namespace, (host,) if host else ())
        if live.unreachable:
            raise UnreachableError(
                live.unreachable,
                "the state of the server is unknown, so nothing is planned or changed",
                "check that the server is up, and that KUBECONFIG names its address (`kubectl get --raw /readyz`)",
            )
        _refuse_ending(live)
        engine.read_declared(api, live, declared)
        server = compare(settings, api, live, declared, host)
    approval.check(settings, server.report)
    return server


def compare(
    settings: Settings, api: Api, live: reader.LiveState, declared: list[Body], host: HostSource | None = None
) -> Server:
    """Build report and plan from a live state.

    :raises HostKeyError: if another machine answers over SSH.
    """
    from config.load import PROJECT, ROOT

    if settings.stack.cluster.uid:
        check_identity(settings, api)
    check_images(settings, api, running=_images(live))
    before = last_applied.from_stack(PROJECT, settings.name, ROOT)
    declared = [*declared, *(host.bodies(live, before) if host is not None else ())]
    rules = settings.stack.rules
    how = engine.Options(stack=settings.name, rules=rules, sources=(host,) if host else ())
    report = engine.with_webhooks(api, engine.build_report(api, live, declared, before, how))
    if host is not None:
        host.raise_host_key_error()
    todo = plan(declared, before, live, report.findings, rules)
    by_ref = {reference(body, settings.namespace): body for body in declared}
    adopted, copied = takeover.adoptable(by_ref, before, live), takeover.copied(by_ref, live)
    proofs = taken_over(api, live, [by_ref[ref] for ref in sorted(adopted) if ref.kind in _PODS_OR_ADDRESS])
    ill = {workload(ref): live.objects[ref] for ref in health.ill(by_ref, live)}
    return Server(settings, report, todo, before, adopted, copied, proofs, ill, host)


def _refuse_ending(live: reader.LiveState) -> None:
    body = live.objects.get(ObjectRef("Namespace", "", live.namespace)) or {}
    if (body.get("status") or {}).get("phase") == "Terminating":
        raise UserError(
            f"the namespace {live.namespace} is being deleted on the server, with everything in it",
            "nothing can be created in it until then; nothing was changed",
            f"wait for it (`kubectl wait --for=delete namespace/{live.namespace}`), then run this again",
        )


def _images(live: reader.LiveState) -> set[str]:
    """Return the images of live Deployments, which need no check: drift detection reports missing ones."""
    return {
        container["image"]
        for _, body in live.of("Deployment")
        for container in body["spec"]["template"]["spec"]["containers"]
    }


def _reference(args: pulumi.ResourceTransformationArgs) -> ObjectRef | None:
    metadata = args.props.get("metadata")
    if not args.type_.startswith("kubernetes:") or not isinstance(metadata, Mapping):
        return None
    if "namespace" not in metadata and args.type_.rpartition(":")[2] in UNREAD:
        # created with a compose project, outside the namespace, and not compared
        return None
    return _named(args.type_, args.props)


def _named(type_: str, props: Mapping[str, Any]) -> ObjectRef:
    _, version, kind = type_.split(":")
    metadata, known = props["metadata"], kind_name(version.removeprefix("core/"), kind)
    return ObjectRef(known, "" if known in CLUSTER_SCOPED else metadata.get("namespace", ""), metadata["name"])
