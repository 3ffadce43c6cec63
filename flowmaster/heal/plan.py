"""From what differs to what is to be done about each object. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.rules import Rule, decide
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState, ending
from flowmaster.cluster.writes import Step, Way
from flowmaster.compare.finding import Action, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import render
from flowmaster.compare.three_way import Difference, apply, opaque
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, frozen, immutable, reference, settled
from flowmaster.heal import kept_fields

Body = dict[str, Any]
_LIVE = frozenset({FindingClass.DRIFT, FindingClass.CONFLICT, FindingClass.FOREIGN})


@dataclass(frozen=True)
class Plan:
    """Everything that the next update does besides what the program changed."""

    steps: Mapping[ObjectRef, Step] = field(default_factory=dict)
    deletions: Sequence[Step] = ()
    kept: Mapping[ObjectRef, Body] = field(default_factory=dict)
    """Declared bodies with the live values that a rule says stay, for objects that are going to be written anyway."""

    def settles(self, finding: Finding) -> bool:
        """Whether the update writes because of this finding, whatever Pulumi sees."""
        step = self.steps.get(finding.object)
        return step is not None and finding.path in step.paths

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps and not self.deletions and not self.kept


def plan(
    declared: Iterable[Body],
    applied: Applied,
    live: LiveState,
    findings: Iterable[Finding] = (),
    rules: Sequence[Rule] = (),
) -> Plan:
    """What is to be done about each declared object that differs, and about foreign ones that a rule gives up.

    `findings` are those of the report on the same live state, with their actions.
    """
    wanted = {reference(body, live.namespace): body for body in declared}
    masker = Masker([*wanted.values(), *(body for _, body in live.of("Secret"))])
    comparison = Comparison(applied, live, masker)
    steps: dict[ObjectRef, Step] = {}
    kept: dict[ObjectRef, Body] = {}
    for ref, body in wanted.items():
        if ref.kind in live.unread or ref not in applied:
            # what was never applied is created or adopted by Pulumi itself
            continue
        there = live.objects.get(ref)
        if there is None:
            if live.exists or ref.kind == "Namespace" or "Namespace" not in live.unread:
                steps[ref] = Step(ref=ref, way=Way.REMAKE, healed=body)
            continue
        step, keeping = _of_object(ref, body, there, comparison, rules)
        if step is not None:
            steps[ref] = step
        if keeping is not None:
            kept[ref] = keeping
    return Plan(steps, _deletions(findings, live), kept)


def _of_object(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison, rules: Sequence[Rule]
) -> tuple[Step | None, Body | None]:
    found = settled(ref, declared, live, comparison)
    acted = [(differences, finding.with_action(decide(finding, rules))) for differences, finding in found]
    if ending(live) and ref.kind != "Namespace":
        healing = all(f.action is Action.HEAL for _, f in acted)
        return (Step(ref=ref, way=Way.REMAKE, live=live, healed=declared) if healing else None), None
    pending = [(ds, f) for ds, f in acted if f.cls is FindingClass.PENDING and f.heals]
    undone = [(ds, f) for ds, f in acted if f.action is Action.HEAL and f.cls in _LIVE]
    undone += [(ds, f) for ds, f in pending if _unsure(ds) or (frozen(live) and _immutable(ref, ds, live))]
    kept = [d for ds, f in acted if _kept(f) for d in ds]
    body = kept_fields.inputs(ref, declared, comparison.last(ref), kept, bool(undone or pending))
    if not undone:
        return None, body
    paths = tuple(f.path for _, f in undone)
    if any(_immutable(ref, ds, live) for ds, _ in undone):
        return Step(ref=ref, way=Way.REMAKE, paths=paths, live=live, healed=body or declared), body
    differences = [d for ds, _ in (*undone, *pending) for d in ds]
    return Step(ref=ref, way=Way.PATCH, paths=paths, live=live, healed=apply(differences, live)), body


def _unsure(differences: Iterable[Difference]) -> bool:
    """Whether Pulumi may not see a change of the program there, although the owners of the fields say that it is one.

    What was applied last is encrypted, so it cannot be told. Written here, it is settled either way.
    """
    return any(opaque(difference.applied) for difference in differences)


def _kept(finding: Finding) -> bool:
    if finding.cls is FindingClass.PENDING:
        return not finding.heals
    return finding.cls in _LIVE and finding.action is not Action.HEAL


def _immutable(ref: ObjectRef, differences: Iterable[Difference], live: Body) -> bool:
    return any(immutable(ref, render(difference.path), live) for difference in differences)


def _deletions(findings: Iterable[Finding], live: LiveState) -> list[Step]:
    doomed = (f.object for f in findings if f.cls is FindingClass.FOREIGN and not f.path and f.action is Action.HEAL)
    return [Step(ref=ref, way=Way.DELETE, live=live.objects[ref]) for ref in doomed]
