"""Objects that are live but not yet in the stack's state: `up` takes them over, and preview says so.

To Pulumi they are new, so its own word for them is "create"; the provider's server-side apply of what is there
already changes nothing of it. What `kubectl apply` left on them, a copy of the whole object with every secret in it,
goes first: the state would keep it in the clear.
"""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from drift.applied import Applied
from drift.finding import Change, Finding, FindingClass, ObjectRef
from drift.kubernetes.body import encoded
from drift.kubernetes.errors import ApiError
from drift.kubernetes.normalise import LAST_APPLIED
from drift.kubernetes.reader import LiveState
from heal.cluster import MANAGER, Requests, path_of

_NAMED = 3


def adoptable(declared: Iterable[ObjectRef], before: Applied, live: LiveState) -> frozenset[ObjectRef]:
    """The declared objects that are live, and that this stack never applied."""
    if before.problem:
        return frozenset()
    return frozenset(ref for ref in declared if ref in live.objects and ref not in before)


def forget_last_applied(api: Requests, ref: ObjectRef) -> None:
    """Remove kubectl's copy of the object from its annotations. Nothing else changes, and no pod restarts.

    :raises ApiError: where the API server refuses.
    """
    patch = {"metadata": {"annotations": {LAST_APPLIED: None}}}
    try:
        api.request(
            "PATCH",
            path_of(ref),
            {"fieldManager": MANAGER},
            {"Content-Type": "application/merge-patch+json"},
            encoded(patch),
        )
    except ApiError as err:
        if err.status != 404:
            raise


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
