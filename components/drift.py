"""Drift in Pulumi's own words: what was changed by hand becomes a change of resources in preview, and `up` undoes it.

Pulumi compares the program with its own state, so it does not see what happened on the server. Its refresh does, with
one request for each object and without what others added. Here the server is read with few LISTs when the program
starts; each resource to be brought back gets an annotation that it did not have
(:data:`flowmaster.heal.kept_fields.HEALED`), which Pulumi sees, and a hook that undoes the drift in one write just
before the provider's own update: in place, or where the object is gone or differs in what cannot be changed, by making
it again. Where there is no drift, nothing happens.
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
from flowmaster.cluster.kinds import CLUSTER_SCOPED, kind_name
from flowmaster.cluster.normalise import annotation
from flowmaster.cluster.rollout import workload
from flowmaster.cluster.writes import Step, carry_out
from flowmaster.compare.finding import FindingClass, ObjectRef
from flowmaster.compose.desired import CLUSTER_SCOPED_KINDS as UNREAD
from flowmaster.drift import engine, health, last_applied
from flowmaster.drift.host import HostSource, start_reading
from flowmaster.drift.objects import reference
from flowmaster.drift.preflight import check_identity, check_images
from flowmaster.heal import takeover
from flowmaster.heal.kept_fields import HEALED
from flowmaster.heal.plan import Body, Plan, plan
from flowmaster.report.values import line

_PODS_OR_ADDRESS = frozenset({*health.WORKLOADS, "Service"})
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="hook")


@dataclass
class Server:
    """The server as it was when the program started, and what is to be undone."""

    settings: Settings
    report: engine.Report
    plan: Plan
    before: last_applied.Applied
    adopted: frozenset[ObjectRef] = frozenset()
    """What is there already and will be taken over."""
    copied: Mapping[ObjectRef, list[str]] = field(default_factory=dict)
    """Objects with annotations that hold a copy of them, and these."""
    proofs: Sequence[Proof] = ()
    """Whether those that are taken over, and have pods or an address, stay as they are."""
    ill: Mapping[str, Body] = field(default_factory=dict)
    """The Deployments, as they were, whose pods did not run already before."""
    host: HostSource | None = None
    """The look at the machine itself, where the stack has anything on it."""
    _resources: dict[ObjectRef, pulumi.Resource] = field(default_factory=dict)
    _hook: pulumi.ResourceHook | None = None
    _takeover: pulumi.ResourceHook | None = None

    def heal_drift(self) -> None:
        """Make every resource registered from now on show, and undo, the drift of its object."""
        if not self.plan.empty:
            self._hook = pulumi.ResourceHook("undo-drift", self._undo)
        if self.adopted or self.copied:
            self._takeover = pulumi.ResourceHook("take-over", self._take_over)
        pulumi.runtime.register_stack_transformation(self._transform)

    def report_findings(self) -> None:
        """Show the findings, a line each, with the resources that they are about.

        What the program changed is left out where Pulumi shows that itself.
        """
        report_adoptions(self.adopted, self.report.findings, self.proofs, self._resources)
        for finding in self.report.findings:
            if finding.cls is FindingClass.PENDING and not self.plan.covers(finding):
                continue
            pulumi.log.warn(line(finding, self.report.taken), self._resources.get(finding.object))

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
            metadata.setdefault("annotations", {})[HEALED] = mark
            props = {**props, "metadata": metadata}
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

    def _mark(self, ref: ObjectRef) -> str | None:
        """A new annotation where there is something to undo; else the one that the last update wrote, if it did."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        step = self.plan.steps.get(ref)
        if step is not None and step.untried and pulumi.runtime.is_dry_run():
            # Something unknown keeps the provider from trying the update out.
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
    """Run a hook's work in a thread of its own: Pulumi's registrations hold the loop's while they wait for the hook."""
    await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


def read_server(settings: Settings) -> Server:
    """Read the server, refuse to go on where an update could not succeed, and plan what is to be undone.

    :raises UserError: where the API server cannot be reached or is another one than the stack's, an image is not in
        the registry, or an update was approved that is not this one any more.
    """
    from flowmaster.render.manifests import manifests

    host = start_reading(settings, containers=not pulumi.runtime.is_dry_run())
    declared = [dict(body) for body in manifests(settings)]
    with connect(settings.stack.cluster) as api:
        live = reader.read(api, settings.namespace)
        if live.unreachable:
            raise UnreachableError(
                live.unreachable,
                "what runs there cannot be told, so nothing is planned and nothing is changed",
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
    """The server's report and plan from what was read of it.

    :raises HostKeyError: where whoever answers over SSH is not the server.
    """
    from config.load import PROJECT, ROOT

    if settings.stack.cluster.uid:
        check_identity(settings, api)
    check_images(settings, api, running=_images(live))
    before = last_applied.from_stack(PROJECT, settings.name, ROOT)
    declared = [*declared, *(host.bodies(live, before) if host is not None else ())]
    rules = settings.stack.rules
    how = engine.Options(stack=settings.name, rules=rules, sources=(host,) if host else ())
    report = engine.build_report(api, live, declared, before, how)
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
            f"the namespace {live.namespace} is being deleted on the server, with all that is in it",
            "nothing can be made in it until that is over, so nothing was changed",
            f"wait for it (`kubectl wait --for=delete namespace/{live.namespace}`), then run this again",
        )


def _images(live: reader.LiveState) -> set[str]:
    """The images that Deployments run by now: those were there, and drift tells if one is gone."""
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
        # made with a compose project, on the node, and not looked at
        return None
    return _named(args.type_, args.props)


def _named(type_: str, props: Mapping[str, Any]) -> ObjectRef:
    _, version, kind = type_.split(":")
    metadata, known = props["metadata"], kind_name(version.removeprefix("core/"), kind)
    return ObjectRef(known, "" if known in CLUSTER_SCOPED else metadata.get("namespace", ""), metadata["name"])
