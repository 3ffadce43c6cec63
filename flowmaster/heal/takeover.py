"""Adopts live objects that are not in the stack's state yet.

Pulumi shows them as "create", but the provider's server-side apply does not change what is already there. The
annotation of `kubectl apply`, a copy of the object with every secret in it, is removed first: Pulumi's state would
store it in the clear. The same is done before each later update of an object to which kubectl was applied again.
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
    """Return the declared objects that are live but were never applied by this stack."""
    if before.problem:
        return frozenset()
    return frozenset(ref for ref in declared if ref in live.objects and ref not in before)


def copied(declared: Iterable[ObjectRef], live: LiveState) -> dict[ObjectRef, list[str]]:
    """Return the declared live objects whose annotations hold a copy of the object, with these annotations."""
    found = {ref: copies(live.objects[ref]) for ref in declared if ref in live.objects}
    return {ref: names for ref, names in found.items() if names}


def remove_last_applied(api: Requests, ref: ObjectRef) -> None:
    """Remove kubectl's last-applied annotation. Nothing else changes, and no pod restarts.

    :raises ApiError: if the API server refuses.
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
