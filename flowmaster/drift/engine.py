"""One look at the server, from what is declared to a report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from config.rules import Rule, decided
from flowmaster.cluster import reader
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import Action, Change, Finding, FindingClass, ObjectRef, fingerprint, ordered
from flowmaster.drift import health, objects, registry
from flowmaster.drift.last_applied import Applied

if TYPE_CHECKING:
    from flowmaster.cluster.connection import Api

Body = dict[str, Any]


class Exit(IntEnum):
    """What the exit code of `flowmaster drift` says. Of several that apply, the first of this list counts."""

    ERROR = 1
    """The question could not even be asked: usage, configuration, kubeconfig."""
    UNKNOWN = 5
    """Something could not be read, so nothing is said about it; there may be findings besides."""
    DRIFT = 2
    """The next `up` would undo something on the server: drift, conflicts, or foreign fields."""
    ATTENTION = 4
    """Nothing that `up` would undo, but something for a person to look at: ill health, stale tags, foreign objects."""
    PENDING = 3
    """Only changes of the program that were not applied yet."""
    CLEAN = 0
    """The server is as declared."""


@dataclass(frozen=True)
class Report:
    """The findings of one look, the most pressing first, and what it was a look at."""

    findings: list[Finding]
    ignored: int
    namespace: str
    server: str
    stack: str
    taken: datetime
    seconds: float
    declared: int
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[FindingClass]:
        """How many findings there are of each class."""
        return Counter(finding.cls for finding in self.findings)

    @property
    def fingerprint(self) -> str:
        """The same for the same live state and program; what an approval is bound to."""
        return fingerprint(self.findings)

    @property
    def exit_code(self) -> Exit:
        """The exit code that stands for this report."""
        counts = self.counts
        if counts[FindingClass.UNKNOWN]:
            return Exit.UNKNOWN
        if any(finding.heals and finding.cls is not FindingClass.PENDING for finding in self.findings):
            return Exit.DRIFT
        if any(finding.cls is not FindingClass.PENDING for finding in self.findings):
            return Exit.ATTENTION
        return Exit.PENDING if self.findings else Exit.CLEAN


class Source(Protocol):
    """Something else than the cluster that has findings: begun to be read before, told once the cluster was read."""

    @property
    def declared(self) -> int:
        """How many objects are declared there."""

    def bodies(self, live: reader.LiveState, applied: Applied) -> list[Body]:
        """Further objects of the cluster that are declared, as far as that takes a look at what is there."""

    def findings(self, live: reader.LiveState, applied: Applied) -> list[Finding]:
        """What differs there; what cannot be read is a finding, too."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to look: for which stack, by which rules, whether the registry is asked, and what time it is.

    `sources` have findings of their own, by the same rules.
    """

    stack: str = ""
    rules: Sequence[Rule] = ()
    registry: bool = True
    now: datetime | None = None
    sources: Sequence[Source] = ()


def look(
    api: Api,
    namespace: str,
    declared: Callable[[], Iterable[Mapping[str, Any]]],
    applied: Callable[[], Applied] = Applied,
    options: Options = Options(),
) -> Report:
    """Read the server, and compare it with what is declared.

    `declared` and `applied` are asked for while the server is being read. What cannot be read becomes a finding;
    only what `declared` raises is raised.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.read, api, namespace)
        wanted = [dict(body) for body in declared()]
        before = applied()
    live = _complete(api, reading, wanted)
    wanted += [body for source in options.sources for body in source.bodies(live, before)]
    report = assemble(api if options.registry else None, live, wanted, before, options)
    return replace(report, seconds=time.perf_counter() - started)


def _complete(api: Api, reading: Future[reader.LiveState], wanted: list[Body]) -> reader.LiveState:
    """What was read, and the declared objects of kinds or namespaces that are not read as a matter of course."""
    live = reading.result()
    read_declared(api, live, wanted)
    return live


def read_declared(api: reader.Reader, live: reader.LiveState, declared: Iterable[Body]) -> None:
    """Add to what was read the declared objects of kinds or namespaces that are not read as a matter of course."""
    if not live.unreachable:
        named = ((str(body["apiVersion"]), objects.reference(body, live.namespace)) for body in declared)
        reader.read_more(api, live, named)


def assemble(
    api: registry.Asker | None,
    live: reader.LiveState,
    declared: list[Body],
    applied: Applied,
    options: Options = Options(),
) -> Report:
    """The report on a live state that has been read. Only the registry is asked here, and not without an `api`."""
    now = options.now or datetime.now(UTC)
    masker = Masker([*declared, *(body for _, body in live.of("Secret"))])
    refs = [objects.reference(body, live.namespace) for body in declared]
    images = registry.running(refs, health.by_workload(live)) if api is not None else []
    with ThreadPoolExecutor(1) as pool:
        # The registry is asked while the rest is compared.
        asking = pool.submit(registry.look_up, api, images) if api is not None and images else None
        found = objects.findings(declared, applied, live, masker)
        found += health.findings(refs, live, masker, now)
    digests = asking.result() if asking else registry.Digests()
    found += registry.findings(images, digests)
    notes = [f"tags of {name} were not looked up: only its nodes reach it" for name in digests.not_asked]
    if applied.problem:
        found.append(_state_unread(applied, options.stack))
    for source in options.sources:
        found += source.findings(live, applied)
    settled = decided(found, options.rules)
    kept = [finding for finding in settled if finding.action is not Action.IGNORE]
    return Report(
        findings=ordered(kept),
        ignored=len(settled) - len(kept),
        namespace=live.namespace,
        server=live.server,
        stack=options.stack,
        taken=now,
        seconds=0.0,
        declared=len(declared) + sum(source.declared for source in options.sources),
        notes=sorted(notes),
    )


def _state_unread(applied: Applied, stack: str) -> Finding:
    note = "drift and pending changes are told apart by field managers alone"
    return Finding(
        FindingClass.UNKNOWN, ObjectRef("Stack", "", stack), change=Change.STATE, live=applied.problem, note=note
    )
