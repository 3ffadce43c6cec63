"""Lists the objects of all other kinds in a namespace that the API server can list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import KINDS, Kind
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef

Body = dict[str, Any]
_AT_ONCE = 8
_NAMES_ONLY = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"}
_BOOKKEEPING = frozenset({"events", "leases", "controllerrevisions"})
"""Resources that Kubernetes' own controllers write: events, leases, revisions."""
_OF_KUBERNETES = frozenset({"", "apps", "coordination.k8s.io", "events.k8s.io"})
_MEASURED = "metrics.k8s.io"
"""API groups whose objects are measurements."""


class Reader(Protocol):
    """The methods used of a connection."""

    def request(self, method: str, path: str, parameters: None = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send a request and return the response.

        :raises ApiError: where it did not.
        """


@dataclass
class Inventory:
    """Objects of other kinds."""

    objects: list[tuple[ObjectRef, str]] = field(default_factory=list)
    """Objects without an owner, each with the apiVersion of its kind."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """Kinds or groups that could not be listed, with the reason."""


def others(api: Reader, live: LiveState) -> Inventory:
    """List the objects of kinds that are not in `live`. Does not raise for kinds that cannot be listed."""
    result = Inventory()
    kinds: dict[tuple[str, str], Kind] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        served = {version: pool.submit(_kinds, api, version) for version in _versions(api, result)}
        for version, task in served.items():
            try:
                for kind in task.result():
                    kinds.setdefault((_group(version), kind.plural), kind)
            except ApiError as err:
                result.unread.append((f"all kinds of {version}", err.reason))
        listed = {kind: pool.submit(_names, api, kind, live.namespace) for kind in kinds.values()}
        for kind, names in listed.items():
            try:
                found = names.result()
            except ApiError as err:
                # of what is not served, or not for listing, there is none
                if err.status not in (404, 405):
                    result.unread.append((f"{kind.name} ({kind.version})", err.reason))
                continue
            if kind.name == "Endpoints":
                found = [name for name in found if not _follows_pods(live, name)]
            result.objects += [(ObjectRef(kind.name, live.namespace, name), kind.version) for name in found]
    return result


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _follows_pods(live: LiveState, service: str) -> bool:
    """Return whether Kubernetes maintains the endpoints of that Service."""
    body = live.objects.get(ObjectRef("Service", live.namespace, service), {})
    return bool(body.get("spec", {}).get("selector"))


def _versions(api: Reader, result: Inventory) -> list[str]:
    """Return all group versions of the server, preferred versions first."""
    try:
        groups: Iterable[Body] = api.request("GET", "/apis").json()["groups"]
    except ApiError as err:
        result.unread.append(("all kinds but those of v1", err.reason))
        groups = ()
    versions = ["v1"]
    for group in groups:
        if group["name"] != _MEASURED:
            versions += [group["preferredVersion"]["groupVersion"], *(v["groupVersion"] for v in group["versions"])]
    return list(dict.fromkeys(versions))


def _kinds(api: Reader, version: str) -> list[Kind]:
    """Return the unknown namespaced kinds of a version that can be listed."""
    known = {(_group(kind.version), kind.plural) for kind in KINDS}
    group = _group(version)
    path = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    served: Iterable[Body] = api.request("GET", path).json()["resources"]
    return [
        Kind(resource["kind"], version, resource["name"])
        for resource in served
        if resource["namespaced"]
        and "list" in resource["verbs"]
        and (group, resource["name"]) not in known
        and not (group in _OF_KUBERNETES and resource["name"] in _BOOKKEEPING)
    ]


def _names(api: Reader, kind: Kind, namespace: str) -> list[str]:
    """Return the names of objects without an owner."""
    # a list of names that is empty comes as null
    items: Iterable[Body] = api.request("GET", kind.path(namespace), None, _NAMES_ONLY).json()["items"] or ()
    return [item["metadata"]["name"] for item in items if not item["metadata"].get("ownerReferences")]
