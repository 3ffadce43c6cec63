"""What an update takes over, in a preview."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef

_NAMED = 3


def say(
    adopted: frozenset[ObjectRef], findings: Iterable[Finding], resources: dict[ObjectRef, pulumi.Resource]
) -> None:
    """Show what is taken over, and which of it changes by that."""
    changes: dict[ObjectRef, list[str]] = {}
    for finding in findings:
        if finding.object in adopted and finding.cls is FindingClass.PENDING and finding.change is not Change.STATE:
            changes.setdefault(finding.object, []).append(finding.path or "the whole object")
    for ref in sorted(adopted):
        resource = resources.get(ref)
        if ref in changes:
            named = ", ".join(changes[ref][:_NAMED]) + (", ..." if changes[ref][_NAMED:] else "")
            pulumi.log.warn(f"adopt: {ref} is taken over, and changed: {named}", resource)
        elif resource is not None:
            pulumi.log.info("adopt: taken over as it is", resource, ephemeral=True)
    if adopted:
        stay = len(adopted) - len(changes)
        changed = (
            f"; {len(changes)} change (see their warnings)" if changes else ": no pod restarts, no address changes"
        )
        pulumi.log.info(
            f"adopt: {stay} of {len(adopted)} objects that are there already are taken over as they are{changed}"
        )
