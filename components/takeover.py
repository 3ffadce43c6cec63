"""Shows in a preview what an update adopts."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from flowmaster.adopt.proof import Proof
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef

_NAMED = 3


def report_adoptions(
    adopted: frozenset[ObjectRef],
    findings: Iterable[Finding],
    proofs: Iterable[Proof],
    resources: dict[ObjectRef, pulumi.Resource],
) -> None:
    """Log the objects that are adopted, and those that change by it.

    :param proofs: proofs of the adopted objects with pods or an address.
    """
    changes: dict[ObjectRef, list[str]] = {}
    for finding in findings:
        if finding.object in adopted and finding.cls is FindingClass.PENDING and finding.change is not Change.STATE:
            changes.setdefault(finding.object, []).append(finding.path or "the whole object")
    proved = {proof.ref: proof for proof in proofs}
    changes |= {ref: list(proof.changes) or ["refused"] for ref, proof in proved.items() if not proof.holds}
    for ref in sorted(adopted):
        resource = resources.get(ref)
        if ref in changes:
            pulumi.log.warn(f"adopt: {ref} is taken over, and {_words(changes[ref], proved.get(ref))}", resource)
        elif resource is not None:
            pulumi.log.info("adopt: adopted unchanged", resource, ephemeral=True)
    if adopted:
        pulumi.log.info(_sentence(len(adopted), len(changes), [p.ref.name for p in proved.values() if p.restarts]))


def _words(changes: list[str], proof: Proof | None) -> str:
    if proof is not None and proof.refused:
        return f"the API server refuses that: {proof.refused}"
    named = ", ".join(changes[:_NAMED]) + (", ..." if changes[_NAMED:] else "")
    return f"{'ITS PODS RESTART, ' if proof is not None and proof.restarts else ''}changed: {named}"


def _sentence(adopted: int, changed: int, restarted: list[str]) -> str:
    if restarted:
        rest = f"; the pods of {', '.join(restarted)} restart"
    else:
        rest = f"; {changed} change (see their warnings)" if changed else ": no pod restarts, no address changes"
    return f"adopt: {adopted - changed} of {adopted} objects that are there already are taken over as they are{rest}"
