"""Detects drift: reads the server, compares it with the desired state, and builds the report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from config.rules import Rule, apply_rules
from flowmaster.cluster import reader
from flowmaster.cluster.kinds import KINDS
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import Action, Change, Finding, FindingClass, ObjectRef, fingerprint, sorted_findings
from flowmaster.drift import health, objects, pods, registry, traffic, webhooks
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.last_applied import Applied

if TYPE_CHECKING:
    from flowmaster.cluster.connection import Api

Body = dict[str, Any]


class Exit(IntEnum):
    """Exit codes of `flowmaster drift`. If several apply, the first in this list counts."""

    ERROR = 1
    """Usage, configuration or kubeconfig is wrong; the server was not read."""
    UNKNOWN = 5
    """Something could not be read, so its state is unknown. There may be other findings."""
    DRIFT = 2
    """The next `up` undoes changes on the server: drift, conflicts, or foreign fields."""
    ATTENTION = 4
    """`up` undoes nothing, but a person should look: unhealthy pods, stale tags, foreign objects."""
    PENDING = 3
    """The program has changes that are not applied yet; nothing else."""
    CLEAN = 0
    """The server is as declared."""


@dataclass(frozen=True)
class Report:
    """The findings of one run, most urgent first, and what was compared."""

    findings: list[Finding]
    ignored: int
    namespace: str
    server: str
    stack: str
    taken: datetime
    seconds: float
    declared: int
    notes: list[str] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def counts(self) -> Counter[FindingClass]:
        """Number of findings by class."""
        return Counter(finding.cls for finding in self.findings)

    @property
    def fingerprint(self) -> str:
        """Hash of the findings, equal for equal live state and program. An approval is bound to it."""
        return fingerprint(self.findings)

    @property
    def exit_code(self) -> Exit:
        """The exit code of this report."""
        counts = self.counts
        if counts[FindingClass.UNKNOWN]:
            return Exit.UNKNOWN
        if any(finding.heals and finding.cls is not FindingClass.PENDING for finding in self.findings):
            return Exit.DRIFT
        if any(finding.cls is not FindingClass.PENDING for finding in self.findings):
            return Exit.ATTENTION
        return Exit.PENDING if self.findings else Exit.CLEAN


class Source(Protocol):
    """A source of findings besides the cluster. It is read in parallel with the cluster."""

    @property
    def declared(self) -> int:
        """Number of declared objects in this source."""

    @property
    def ports(self) -> frozenset[int]:
        """Ports of the server that this source declares."""

    def bodies(self, live: reader.LiveState, applied: Applied) -> list[Body]:
        """Return further desired objects in the cluster, which depend on the live state."""

    def findings(self, live: reader.LiveState, applied: Applied) -> list[Finding]:
        """Return the differences. What cannot be read is a finding of class unknown."""

    def coverage(self) -> Coverage:
        """Return what the findings rest on, once these were asked for."""

    @property
    def notes(self) -> list[str]:
        """What there is to say besides, once `findings` has been called."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a run: stack, rules, whether to query the registry, the current time, and further `sources`."""

    stack: str = ""
    rules: Sequence[Rule] = ()
    registry: bool = True
    now: datetime | None = None
    sources: Sequence[Source] = ()


def detect_drift(
    api: Api,
    namespace: str,
    declared: Callable[[], Iterable[Mapping[str, Any]]],
    applied: Callable[[], Applied] = Applied,
    options: Options = Options(),
) -> Report:
    """Read the server, compare it with the desired state, and return the report.

    `declared` and `applied` are called while the server is being read. What cannot be read becomes a finding; only
    errors of `declared` are raised.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_live, api, namespace, options.sources)
        desired = [dict(body) for body in declared()]
        last_applied = applied()
    live = _read_remaining(api, reading, desired)
    desired += [body for source in options.sources for body in source.bodies(live, last_applied)]
    report = build_report(api if options.registry else None, live, desired, last_applied, options)
    return replace(with_webhooks(api, report), seconds=time.perf_counter() - started)


def with_webhooks(api: reader.Reader, report: Report) -> Report:
    """Name the webhooks that may be behind changes that come back and have no field manager. Rarely asks the server."""
    return replace(report, findings=webhooks.named(api, report.findings))


def read_live(api: reader.Reader, namespace: str, sources: Sequence[Source] = ()) -> reader.LiveState:
    """Read all that a report on the cluster needs. Never raises."""
    return reader.read(api, namespace, derived=True, elsewhere=any(source.ports for source in sources))


def _read_remaining(api: Api, reading: Future[reader.LiveState], desired: list[Body]) -> reader.LiveState:
    """Add declared objects of kinds or namespaces that are not read by default."""
    live = reading.result()
    read_declared(api, live, desired)
    return live


def read_declared(api: reader.Reader, live: reader.LiveState, declared: Iterable[Body]) -> None:
    """Add declared objects of kinds or namespaces that are not read by default."""
    if not live.unreachable:
        named = ((str(body["apiVersion"]), objects.reference(body, live.namespace)) for body in declared)
        reader.read_more(api, live, named)


def build_report(
    api: registry.Client | None,
    live: reader.LiveState,
    declared: list[Body],
    applied: Applied,
    options: Options = Options(),
) -> Report:
    """Build the report on a live state. Contacts the registry if `api` is given, nothing else."""
    now = options.now or datetime.now(UTC)
    masker = Masker([*declared, *(body for _, body in live.of("Secret"))])
    refs = [objects.reference(body, live.namespace) for body in declared]
    images = registry.running_images(refs, health.by_workload(live)) if api is not None else []
    with ThreadPoolExecutor(1) as pool:
        # The registry is queried while the rest is compared.
        lookup = pool.submit(registry.look_up_digests, api, images) if api is not None and images else None
        found = traffic.findings(refs, live, objects.findings(declared, applied, live, masker), masker)
        found = pods.findings(refs, live, found, masker)
        found += health.findings(refs, live, masker, now)
    digests = lookup.result() if lookup else registry.Digests()
    found += registry.findings(images, digests)
    if applied.problem:
        found.append(_state_unreadable(applied, options.stack))
    for source in options.sources:
        found += source.findings(live, applied)
    covered = _of_cluster(live, refs) + registry.coverage(digests, looked_up=api is not None)
    decided_findings = apply_rules(found, options.rules)
    kept = [finding for finding in decided_findings if finding.action is not Action.IGNORE]
    return Report(
        findings=sorted_findings(kept),
        ignored=len(decided_findings) - len(kept),
        namespace=live.namespace,
        server=live.server,
        stack=options.stack,
        taken=now,
        seconds=0.0,
        declared=len(declared) + sum(source.declared for source in options.sources),
        notes=[
            *traffic.on_ports(live, frozenset().union(*(source.ports for source in options.sources))),
            *(note for source in options.sources for note in source.notes),
        ],
        coverage=sum((source.coverage() for source in options.sources), covered),
    )


def _of_cluster(live: reader.LiveState, refs: Sequence[ObjectRef]) -> Coverage:
    """Count the declared objects whose kinds were read, and these kinds."""
    if live.unreachable:
        return Coverage(not_looked_at=("the cluster (it does not answer)",))
    kinds = ({kind.name for kind in KINDS} | {ref.kind for ref in refs}) - live.unread.keys()
    compared = sum(ref.kind in kinds for ref in refs)
    unread = (*live.unread.items(), *live.derived_unread.items(), *traffic.unread_elsewhere(live))
    return Coverage(compared, len(kinds), not_looked_at=tuple(f"{kind} ({why})" for kind, why in unread))


def _state_unreadable(applied: Applied, stack: str) -> Finding:
    note = "drift and pending changes are told apart by field managers only"
    return Finding(
        FindingClass.UNKNOWN, ObjectRef("Stack", "", stack), change=Change.STATE, live=applied.problem, note=note
    )
