"""Reads the live state of a namespace, with one LIST per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from flowmaster.cluster import custom_resources
from flowmaster.cluster.defaults import Body
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kinds import ENDPOINT_SLICE, ENDPOINTS, KINDS, REPLICA_SET, Kind, kind_name, remember
from flowmaster.compare.finding import ObjectRef

_AT_ONCE = 4
_PODS = next(place for place, kind in enumerate(KINDS) if kind.name == "Pod")
_ELSEWHERE = tuple(kind for kind in KINDS if kind.name in ("Service", "Ingress"))

SERVICE_NAME = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""
SLICE_CONTROLLER = "endpointslice.kubernetes.io/managed-by"
SLICE_CONTROLLERS = frozenset({"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"})


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
    derived: dict[ObjectRef, Body] = field(default_factory=dict)
    """What Kubernetes itself makes of other objects: EndpointSlices, and ReplicaSets that have pods."""
    derived_unread: dict[str, str] = field(default_factory=dict)
    """Kinds of `derived` that could not be listed, and why."""
    elsewhere: dict[ObjectRef, Body] = field(default_factory=dict)
    """Services and Ingresses of other namespaces."""
    elsewhere_unread: dict[str, str] = field(default_factory=dict)
    reader: Reader | None = field(default=None, repr=False, compare=False)
    """What it was read by, for what is only known later to matter."""

    def of(self, kind: str) -> Iterable[tuple[ObjectRef, Body]]:
        """Yield all objects of one kind."""
        return ((ref, body) for ref, body in self.objects.items() if ref.kind == kind)

    @property
    def exists(self) -> bool:
        """Whether the namespace exists."""
        return ObjectRef("Namespace", "", self.namespace) in self.objects


def read(api: Reader, namespace: str, *, derived: bool = False, elsewhere: bool = False) -> LiveState:
    """Read all objects. Never raises: the result has what could not be read.

    :param derived: read what Kubernetes makes of objects, too: where traffic goes, and what pods are made from.
    :param elsewhere: read Services and Ingresses of other namespaces, too.
    """
    state = LiveState(api.server, namespace, reader=api)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # After one timeout no further kind is requested: each would wait for a timeout of its own.
        tasks = [pool.submit(_unless_lost, state, _list, api, kind) for kind in KINDS]
        tasks.append(pool.submit(_unless_lost, state, _namespace, api))
        others = [pool.submit(_unless_lost, state, _elsewhere, api, kind) for kind in _ELSEWHERE if elsewhere]
        made = []
        if derived:
            made.append(pool.submit(_unless_lost, state, _endpoints, api))
            made.append(pool.submit(_unless_lost, state, _replica_sets, api, tasks[_PODS].result()))
    for task in tasks:
        _add(state, task.result())
    for task in made:
        part = task.result()
        state.derived.update(part.derived)
        state.derived_unread.update(part.unread)
        state.objects.update(part.objects)
    for task in others:
        state.elsewhere.update(task.result().objects)
        state.elsewhere_unread.update(task.result().unread)
    return state


def _unless_lost(state: LiveState, reading: Callable[..., LiveState], api: Reader, *what: Any) -> LiveState:
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


def find_pods(state: LiveState, addresses: Iterable[str], uids: Iterable[str]) -> dict[str, str]:
    """`NAMESPACE/NAME` of pods in any namespace, by address and by uid; without those that cannot be found.

    Never raises, and requests nothing unless something is asked for.
    """
    queries = [f"?fieldSelector=status.podIP%3D{address}" for address in sorted(addresses)]
    wanted = {*uids}
    found: dict[str, str] = {}
    for query in (*queries, *([""] if wanted else [])):
        try:
            items = state.reader.get(f"/api/v1/pods{query}")["items"] if state.reader else ()
        except ApiError:
            continue
        for pod in items:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            found[pod["metadata"]["uid"]] = name
            # pods in the network of their node share its address
            if query and not pod["spec"].get("hostNetwork"):
                found[pod["status"]["podIP"]] = name
    return found


def _list_any(api: Reader, kind: Kind | None, version: str, name: str, namespace: str) -> LiveState:
    return _list(api, kind, namespace) if kind else _discovered(api, version, name, namespace)


def _add(state: LiveState, part: LiveState) -> None:
    state.objects.update(part.objects)
    state.unread.update(part.unread)
    state.unreachable = state.unreachable or part.unreachable


def _endpoints(api: Reader, namespace: str) -> LiveState:
    """EndpointSlices: those of controllers are derived, others are objects of their own.

    Slices that mirror Endpoints stand for these, which are then read.
    """
    part = _list(api, ENDPOINT_SLICE, namespace)
    slices = part.objects
    part.derived = {ref: body for ref, body in slices.items() if controller_of_slice(body)}
    part.objects = {ref: body for ref, body in slices.items() if ref not in part.derived}
    mirrored = {
        owner["name"]
        for body in part.derived.values()
        for owner in body["metadata"]["ownerReferences"]
        if owner["kind"] == ENDPOINTS.name
    }
    if mirrored:
        behind = _list(api, ENDPOINTS, namespace)
        part.unread.update(behind.unread)
        part.objects.update({ref: body for ref, body in behind.objects.items() if ref.name in mirrored})
    return part


def controller_of_slice(body: Body) -> str:
    """Return the controller of Kubernetes that keeps an EndpointSlice; empty if none does."""
    metadata = body["metadata"]
    manager = (metadata.get("labels") or {}).get(SLICE_CONTROLLER, "")
    return manager if manager in SLICE_CONTROLLERS and metadata.get("ownerReferences") else ""


def _replica_sets(api: Reader, pods: LiveState, namespace: str) -> LiveState:
    """The ReplicaSets that have pods: there may be many more, which are kept to go back to."""
    labels = (body["metadata"].get("labels") or {} for body in pods.objects.values())
    hashes = sorted({found for each in labels if (found := each.get("pod-template-hash"))})
    if not hashes:
        return LiveState(api.server, namespace)
    part = _list(api, REPLICA_SET, namespace, {"labelSelector": f"pod-template-hash in ({','.join(hashes)})"})
    part.derived, part.objects = part.objects, {}
    return part


def _elsewhere(api: Reader, kind: Kind, namespace: str) -> LiveState:
    return _list(api, kind, "", {"fieldSelector": f"metadata.namespace!={namespace}"})


def _list(api: Reader, kind: Kind, namespace: str, parameters: Mapping[str, str] | None = None) -> LiveState:
    part = LiveState(api.server, namespace)
    try:
        answer = api.get(kind.path(namespace) + (f"?{urlencode(parameters)}" if parameters else ""))
    except ApiError as err:
        _failed(part, kind.name, err)
        return part
    for body in answer["items"]:
        # Lists leave these two out of their items.
        body["kind"], body["apiVersion"] = kind.name.partition(".")[0], kind.version
        metadata = body["metadata"]
        part.objects[ObjectRef(kind.name, namespace or metadata.get("namespace", ""), metadata["name"])] = body
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
