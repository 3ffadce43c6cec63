"""Objects that are live but not yet in the stack's state: `up` takes them over, and preview says so.

To Pulumi they are new, so its own word for them is "create"; the provider's server-side apply of what is there
already changes nothing of it. What `kubectl apply` left on them, a copy of the whole object with every secret in it,
goes first: the state would keep it in the clear. So it does before each later update of an object that was applied with
kubectl once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster.cluster.copies import LAST_APPLIED, copies
from flowmaster.cluster.encoding import encoded
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.reader import LiveState
from flowmaster.cluster.writes import MANAGER, Requests
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.last_applied import Applied


def adoptable(declared: Iterable[ObjectRef], before: Applied, live: LiveState) -> frozenset[ObjectRef]:
    """The declared objects that are live, and that this stack never applied."""
    if before.problem:
        return frozenset()
    return frozenset(ref for ref in declared if ref in live.objects and ref not in before)


def copied(declared: Iterable[ObjectRef], live: LiveState) -> dict[ObjectRef, list[str]]:
    """The declared objects that are live with a copy of themselves, each with the annotations that hold one."""
    found = {ref: copies(live.objects[ref]) for ref in declared if ref in live.objects}
    return {ref: names for ref, names in found.items() if names}


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
