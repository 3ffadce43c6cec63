"""Reads the live state of a namespace, with one LIST per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from flowmaster.cluster import custom_resources
from flowmaster.cluster.defaults import Body
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kinds import KINDS, Kind, kind_name, remember
from flowmaster.compare.finding import ObjectRef

_AT_ONCE = 4


class Reader(Protocol):
    """What is needed of a connection."""

    @property
    def server(self) -> str:
        """The server's address, for messages."""

    def get(self, path: str) -> Body:
        """A decoded answer."""


@dataclass
class LiveState:
    """The live objects. Kinds in `unread` could not be listed."""

    server: str
    namespace: str
    objects: dict[ObjectRef, Body] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    unreachable: str = ""

    def of(self, kind: str) -> Iterable[tuple[ObjectRef, Body]]:
        """Yield all objects of one kind."""
        return ((ref, body) for ref, body in self.objects.items() if ref.kind == kind)

    @property
    def exists(self) -> bool:
        """Whether the namespace exists."""
        return ObjectRef("Namespace", "", self.namespace) in self.objects


def read(api: Reader, namespace: str) -> LiveState:
    """Read all objects. Never raises: the result has what could not be read."""
    state = LiveState(api.server, namespace)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # After one timeout no further kind is requested: each would wait for a timeout of its own.
        tasks = [pool.submit(_unless_lost, state, _list, api, kind) for kind in KINDS]
        tasks.append(pool.submit(_unless_lost, state, _namespace, api))
    for task in tasks:
        _add(state, task.result())
    return state


def _unless_lost(state: LiveState, reading: Callable[..., LiveState], api: Reader, *what: Kind) -> LiveState:
    if state.unreachable:
        return LiveState(api.server, state.namespace)
    part = reading(api, *what, state.namespace)
    state.unreachable = state.unreachable or part.unreachable
    return part


def read_more(api: Reader, state: LiveState, wanted: Iterable[tuple[str, ObjectRef]]) -> None:
    """Add declared objects, given with their apiVersion, that are of other kinds or in other namespaces.

    Of these, only what is declared is looked at: the rest is none of this program's business.
    """
    known = {kind.name: kind for kind in KINDS}
    groups: dict[tuple[str, str, str], set[ObjectRef]] = {}
    for version, ref in wanted:
        if ref.kind != "Namespace" and not (ref.kind in known and ref.namespace == state.namespace):
            groups.setdefault((version, ref.kind, ref.namespace), set()).add(ref)
    if not groups:
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [
            (refs, pool.submit(_list_any, api, known.get(name), version, name, namespace))
            for (version, name, namespace), refs in sorted(groups.items())
        ]
    for refs, task in tasks:
        part = task.result()
        part.objects = {ref: body for ref, body in part.objects.items() if ref in refs}
        _add(state, part)


def _list_any(api: Reader, kind: Kind | None, version: str, name: str, namespace: str) -> LiveState:
    return _list(api, kind, namespace) if kind else _discovered(api, version, name, namespace)


def _add(state: LiveState, part: LiveState) -> None:
    state.objects.update(part.objects)
    state.unread.update(part.unread)
    state.unreachable = state.unreachable or part.unreachable


def _list(api: Reader, kind: Kind, namespace: str) -> LiveState:
    part = LiveState(api.server, namespace)
    try:
        answer = api.get(kind.path(namespace))
    except ApiError as err:
        _failed(part, kind.name, err)
        return part
    for body in answer["items"]:
        # Lists leave these two out of their items.
        body["kind"], body["apiVersion"] = kind.name.partition(".")[0], kind.version
        part.objects[ObjectRef(kind.name, namespace, body["metadata"]["name"])] = body
    return part


def _namespace(api: Reader, namespace: str) -> LiveState:
    part = LiveState(api.server, namespace)
    try:
        part.objects[ObjectRef("Namespace", "", namespace)] = api.get(f"/api/v1/namespaces/{namespace}")
    except ApiError as err:
        if err.status != 404:
            _failed(part, "Namespace", err)
    return part


def _discovered(api: Reader, version: str, name: str, namespace: str) -> LiveState:
    """Objects of a kind that is not read as a matter of course: the API says under which plural it has them."""
    part = LiveState(api.server, namespace)
    try:
        served = api.get("/api/v1" if version == "v1" else f"/apis/{version}")["resources"]
    except ApiError as err:
        _failed(part, name, err)
        return part
    for resource in served:
        if kind_name(version, resource["kind"]) == name and "/" not in resource["name"]:
            kind = Kind(name, version, resource["name"], resource["namespaced"])
            remember(kind)
            if "." in name:
                custom_resources.learn(api, kind)
            return _list(api, kind, namespace)
    return part


def _failed(part: LiveState, kind: str, err: ApiError) -> None:
    if err.status == 404:
        # The server does not serve this kind at all, so there is none of it.
        return
    part.unread[kind] = err.reason
    if isinstance(err, UnreachableError) or err.status == 401:
        part.unreachable = err.found


def is_terminating(live: Body) -> bool:
    """Return whether an object is being deleted but still exists."""
    return bool(live["metadata"].get("deletionTimestamp"))
