"""Plans the writes that undo drift, object by object. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.rules import Rule, decide
from flowmaster.cluster.immutable_fields import IMMUTABLE, has_immutable_data, immutable
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState, is_terminating
from flowmaster.cluster.writes import Step, Way
from flowmaster.compare.finding import ABSENT, Action, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import render
from flowmaster.compare.three_way import Difference, apply, has_opaque
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.notes import writer
from flowmaster.drift.objects import Comparison, findings_with_differences, reference, value_at
from flowmaster.heal import kept_fields

Body = dict[str, Any]
_LIVE = frozenset({FindingClass.DRIFT, FindingClass.CONFLICT, FindingClass.FOREIGN})


@dataclass(frozen=True)
class Plan:
    """What the next update writes besides the changes of the program."""

    steps: Mapping[ObjectRef, Step] = field(default_factory=dict)
    deletions: Sequence[Step] = ()
    kept: Mapping[ObjectRef, Body] = field(default_factory=dict)
    """Declared bodies with kept live values, for objects that are going to be written anyway."""
    as_live: Mapping[ObjectRef, tuple[str, ...]] = field(default_factory=dict)
    """Immutable fields that are live as declared, but were applied otherwise or not at all: nothing is to be done about
    them, and Pulumi, which compares with what it applied, would replace the object."""

    def covers(self, finding: Finding) -> bool:
        """Return whether a step of this plan heals the finding."""
        step = self.steps.get(finding.object)
        return step is not None and finding.path in step.paths

    @property
    def empty(self) -> bool:
        """Whether the plan has no steps."""
        return not self.steps and not self.deletions and not self.kept


def plan(
    declared: Iterable[Body],
    applied: Applied,
    live: LiveState,
    findings: Iterable[Finding] = (),
    rules: Sequence[Rule] = (),
) -> Plan:
    """Plan steps for declared objects that differ, and for foreign ones that a rule says to delete.

    `findings` are those of the report on the same live state, with actions.
    """
    desired = {reference(body, live.namespace): body for body in declared}
    masker = Masker([*desired.values(), *(body for _, body in live.of("Secret"))])
    comparison = Comparison(applied, live, masker)
    steps: dict[ObjectRef, Step] = {}
    kept: dict[ObjectRef, Body] = {}
    as_live: dict[ObjectRef, tuple[str, ...]] = {}
    for ref, body in desired.items():
        if ref.kind in live.unread or ref not in applied:
            # Pulumi itself creates or adopts what was never applied
            continue
        live_body = live.objects.get(ref)
        if live_body is None:
            if live.exists or ref.kind == "Namespace" or "Namespace" not in live.unread:
                steps[ref] = Step(ref=ref, way=Way.REMAKE, healed=body)
            continue
        step, kept_body = _plan_object(ref, body, live_body, comparison, rules)
        if step is not None:
            steps[ref] = step
        if kept_body is not None:
            kept[ref] = kept_body
        if fields := _immutable_as_live(ref, body, live_body, comparison.last(ref)):
            as_live[ref] = fields
    return Plan(steps, _deletions(findings, live), kept, as_live)


def _immutable_as_live(ref: ObjectRef, declared: Body, live: Body, last: Any) -> tuple[str, ...]:
    found = []
    for text in IMMUTABLE.get(ref.kind, ()) if isinstance(last, dict) else ():
        want, have, applied = (value_at(body, tuple(text.split("."))) for body in (declared, live, last))
        if want is not ABSENT and want == have and want != applied and not has_opaque(applied):
            found.append(text)
    return tuple(found)


def _plan_object(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison, rules: Sequence[Rule]
) -> tuple[Step | None, Body | None]:
    found = findings_with_differences(ref, declared, live, comparison)
    decided = [(differences, finding.with_action(decide(finding, rules))) for differences, finding in found]
    if is_terminating(live) and ref.kind != "Namespace":
        healing = all(f.action is Action.HEAL for _, f in decided)
        return (Step(ref=ref, way=Way.REMAKE, live=live, healed=declared) if healing else None), None
    pending = [(ds, f) for ds, f in decided if f.cls is FindingClass.PENDING and f.heals]
    healed = [(ds, f) for ds, f in decided if f.action is Action.HEAL and f.cls in _LIVE]
    healed += [
        (ds, f) for ds, f in pending if _applied_unknown(ds) or (has_immutable_data(live) and _immutable(ref, ds, live))
    ]
    kept = [d for ds, f in decided if _kept(f) for d in ds]
    body = kept_fields.pulumi_inputs(ref, declared, comparison.last(ref), kept, bool(healed or pending))
    if not healed:
        return None, body
    paths = tuple(f.path for _, f in healed)
    names = ((f.path, writer(f)) for _, f in healed if f.cls in _LIVE)
    writers = tuple((path, name) for path, name in names if name is not None)
    if any(_immutable(ref, ds, live) for ds, _ in healed):
        return Step(ref=ref, way=Way.REMAKE, paths=paths, writers=writers, live=live, healed=body or declared), body
    differences = [d for ds, _ in (*healed, *pending) for d in ds]
    healed_body = apply(differences, live)
    return Step(ref=ref, way=Way.PATCH, paths=paths, writers=writers, live=live, healed=healed_body), body


def _applied_unknown(differences: Iterable[Difference]) -> bool:
    """Return whether the last applied value is encrypted, so that Pulumi may miss a change of the program.

    Such a field is written here in any case.
    """
    return any(has_opaque(difference.applied) for difference in differences)


def _kept(finding: Finding) -> bool:
    if finding.cls is FindingClass.PENDING:
        return not finding.heals
    return finding.cls in _LIVE and finding.action is not Action.HEAL


def _immutable(ref: ObjectRef, differences: Iterable[Difference], live: Body) -> bool:
    return any(immutable(ref, render(difference.path), live) for difference in differences)


def _deletions(findings: Iterable[Finding], live: LiveState) -> list[Step]:
    doomed = (f.object for f in findings if f.cls is FindingClass.FOREIGN and not f.path and f.action is Action.HEAL)
    return [Step(ref=ref, way=Way.DELETE, live=live.objects[ref]) for ref in doomed]
