"""The writes that undo drift of objects in the cluster: the only ones that this program makes besides the provider.

Each is guarded: an object that somebody changed since it was looked at is left alone, with an error that says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from config.errors import UserError
from flowmaster.cluster.encoding import encoded
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.normalise import normalise
from flowmaster.cluster.reader import is_terminating
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ObjectRef
from flowmaster.compare.three_way import same
from flowmaster.render.names import FIELD_MANAGER

Body = dict[str, Any]
MANAGER = "pulumi-kubernetes"
"""The field manager of these writes: one whose fields the Kubernetes provider takes over with its next update."""
_ATTEMPTS = 5
_GONE_SECONDS = 30
_POLL_SECONDS = 0.05
_FIELDS_NAMED = 5
_HARMLESS = ("metadata.labels", "metadata.annotations")
"""Fields that are in no other's way."""


class Way(StrEnum):
    """How an object is healed."""

    PATCH = "patch"
    """Patched in place, in one write, so that pods roll at most once."""
    REMAKE = "remake"
    """Recreated, after deletion if it exists: it is gone, or an immutable field differs."""
    DELETE = "delete"
    """Deleted: it is not declared, and a rule says to heal."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The write that heals one object."""

    ref: ObjectRef
    way: Way
    paths: tuple[str, ...] = ()
    writers: tuple[tuple[str, str], ...] = ()
    """The programs that had set fields, each field with its program: they may set them again."""
    live: Body | None = None
    """The object as read. It is written only if it has not changed since."""
    healed: Body | None = None
    """What it is to be: for a patch the whole live object with the drift undone, to make it again what is declared."""

    @property
    def untried(self) -> bool:
        """Whether the provider must not try the update out on the object as it is now.

        What is to be made again is not what it would find; and what was changed by hand can be in the way of what is
        declared: an element of a list, a key of `data` that is in `binaryData` now, a deadline shorter than a wait.
        """
        return self.way is Way.REMAKE or not all(path.startswith(_HARMLESS) for path in self.paths)

    @property
    def summary(self) -> str:
        """The fields, few of them by name; never a value, which might be a secret."""
        named = ", ".join(self.paths[:_FIELDS_NAMED]) or "the whole object"
        return named + (f" and {len(self.paths) - _FIELDS_NAMED} more" if self.paths[_FIELDS_NAMED:] else "")


class ChangedError(UserError):
    """The object changed after it was read."""


class Requests(Protocol):
    """The methods used of a connection."""

    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """The response to a request that succeeded.

        :raises ApiError: where it did not.
        """


def carry_out(api: Requests, step: Step) -> None:
    """Do what the step says.

    :raises ChangedError: where the object is not any more what it was when the step was planned.
    :raises ApiError: where the API server refuses.
    """
    if step.way is Way.PATCH:
        _patch(api, step)
    elif step.way is Way.DELETE:
        _delete(api, step)
    else:
        if step.live is not None:
            if not is_terminating(step.live):
                _delete(api, step)
            _await_gone(api, step)
        elif _found(api, step):
            raise _changed(step)
        _make(api, step)


def _patch(api: Requests, step: Step) -> None:
    if step.live is None or step.healed is None:
        raise ValueError(f"{step.ref}: a patch needs the object as it was seen and as it is to be")
    healed = {**step.healed, "metadata": {**step.healed["metadata"]}}
    # what was read in a list tells neither
    healed["apiVersion"], healed["kind"] = step.live["apiVersion"], step.live["kind"]
    for _ in range(_ATTEMPTS):
        try:
            api.request(
                "PUT",
                path_of(step.ref),
                {"fieldManager": MANAGER},
                {"Content-Type": "application/json"},
                encoded(healed),
            )
        except ApiError as err:
            if err.status != 409:
                raise
            # Status changes all the time and makes no difference; what people set does.
            now = _unchanged(api, step)
            healed["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
        else:
            return
    raise _changed(step)


def _delete(api: Requests, step: Step) -> None:
    if step.live is None:
        raise ValueError(f"{step.ref}: only what was seen is deleted")
    metadata = step.live["metadata"]
    options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
    try:
        _unchanged(api, step)
        api.request("DELETE", path_of(step.ref), None, {"Content-Type": "application/json"}, encoded(options))
    except ApiError as err:
        if err.status == 404:
            return
        if err.status == 409:
            raise _changed(step) from err
        raise


def _await_gone(api: Requests, step: Step) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while there := _found(api, step):
        if step.live and there["metadata"]["uid"] != step.live["metadata"]["uid"]:
            raise _changed(step)
        if time.monotonic() >= deadline:
            names = ", ".join(there["metadata"].get("finalizers") or ())
            held = f", held by finalizer {names}" if names else ""
            raise UserError(
                f"{step.ref} is being deleted, but is still there after {_GONE_SECONDS} s{held}",
                "it cannot be made again before it is gone; what holds it was left to whoever put it there",
                f"see `kubectl get {step.ref.kind.lower()} {step.ref.name} -o yaml`, then run `pulumi up` again",
            )
        time.sleep(_POLL_SECONDS)


def _found(api: Requests, step: Step) -> Body | None:
    """Read the current object; None if it does not exist."""
    try:
        body: Body = api.request("GET", path_of(step.ref)).json()
    except ApiError as err:
        if err.status == 404:
            return None
        raise
    return body


def _make(api: Requests, step: Step) -> None:
    """Create it as the provider would, under the provider's field manager: it goes on from there."""
    api.request(
        "PATCH",
        path_of(step.ref),
        {"fieldManager": FIELD_MANAGER, "force": "true"},
        {"Content-Type": "application/apply-patch+yaml"},
        encoded(step.healed),
    )


def _unchanged(api: Requests, step: Step) -> Body:
    """The object as it is now, if nothing but its status changed."""
    now: Body = api.request("GET", path_of(step.ref)).json()
    before = step.live or {}
    if now["metadata"]["uid"] != before["metadata"]["uid"] or not same(
        normalise(before), normalise(now), schema(step.ref.kind)
    ):
        raise _changed(step)
    return now


def _changed(step: Step) -> ChangedError:
    return ChangedError(
        f"{step.ref} was changed again while this update ran",
        "undoing the drift could undo that change too, so the object was left as it is",
        "look again with `pulumi preview`, then run `pulumi up`",
    )
