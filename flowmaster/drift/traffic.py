"""Where the traffic of declared Services goes besides the pods of declared workloads. Pure.

Three ways lead elsewhere: an EndpointSlice made by hand with the Service's label, pods that the Service's selector
catches and that no declared workload owns, and a Service or an Ingress of another namespace on the server's own ports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from flowmaster.cluster import field_managers
from flowmaster.cluster.defaults import Body
from flowmaster.cluster.describe import addresses, describe
from flowmaster.cluster.kinds import ENDPOINT_SLICE, ENDPOINTS, REPLICA_SET, kind_name
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import SERVICE_NAME, LiveState, is_terminating
from flowmaster.compare.finding import LEFT, Change, Finding, FindingClass, ObjectRef

_NAMED = 3
"""Addresses and Services that a note names."""
_FINISHED = ("Succeeded", "Failed")
_UNREAD = {
    "EndpointSlice": "traffic of declared Services that goes elsewhere would go unnoticed",
    "Endpoints": "traffic of declared Services that goes elsewhere would go unnoticed",
    "ReplicaSet": "pods that are not what their template says would go unnoticed",
}


@dataclass(frozen=True)
class Traffic:
    """The declared Services that are live, and what leads elsewhere from them."""

    live: LiveState
    desired: Collection[ObjectRef]

    @cached_property
    def _selectors(self) -> Mapping[tuple[str, str], list[tuple[ObjectRef, Mapping[str, str]]]]:
        """Selectors of declared Services, by one of their labels."""
        found: dict[tuple[str, str], list[tuple[ObjectRef, Mapping[str, str]]]] = {}
        for ref, body in self.live.of("Service"):
            selector = (body.get("spec") or {}).get("selector")
            if selector and ref in self.desired and ref.namespace == self.live.namespace:
                found.setdefault(next(iter(selector.items())), []).append((ref, selector))
        return found

    def selecting(self, pod: Body) -> list[ObjectRef]:
        """Return the declared Services whose selector catches a pod."""
        labels = (pod["metadata"].get("labels") or {}).items()
        candidates = (pair for label in labels for pair in self._selectors.get(label, ()))
        return [ref for ref, selector in candidates if selector.items() <= labels]

    def owner(self, ref: ObjectRef, body: Body) -> ObjectRef:
        """Return the last owner of an object, or the first declared one; the object itself if it has none."""
        owners = body["metadata"].get("ownerReferences") or ()
        if ref in self.desired or not owners:
            return ref
        first = next((owner for owner in owners if owner.get("controller")), owners[0])
        above = ObjectRef(kind_name(str(first.get("apiVersion")), str(first["kind"])), ref.namespace, first["name"])
        found = self.live.objects.get(above) or self.live.derived.get(above)
        generated = (body["metadata"].get("labels") or {}).get("pod-template-hash")
        if found is None and above.kind == REPLICA_SET.name and generated:
            # not read; the name of a Deployment's ReplicaSet ends with the hash in its pods' labels
            return ObjectRef("Deployment", ref.namespace, above.name.removesuffix(f"-{generated}"))
        return above if found is None or above == ref else self.owner(above, found)


def findings(desired: Iterable[ObjectRef], live: LiveState, found: Iterable[Finding], masker: Masker) -> list[Finding]:
    """Return the findings so far, with what they mean for traffic, and further ones about traffic."""
    traffic = Traffic(live, frozenset(desired))
    notes = {**_slices(traffic), **_pods(traffic)}
    noted = []
    for finding in found:
        note = notes.pop(finding.object, None) if not finding.path else None
        noted.append(replace(finding, note="; ".join(filter(None, (finding.note, note)))) if note else finding)
    if live.unreachable or not live.exists:
        return noted
    noted += [_undeclared(ref, note, traffic, masker) for ref, note in notes.items()]
    noted += _edited_slices(traffic)
    return noted + [_unread(kind, reason, live) for kind, reason in sorted(live.derived_unread.items())]


def _slices(traffic: Traffic) -> dict[ObjectRef, str]:
    """Return what slices, and Endpoints, that no controller keeps mean for declared Services."""
    found: dict[ObjectRef, str] = {}
    for ref, body in (*traffic.live.of(ENDPOINT_SLICE.name), *traffic.live.of(ENDPOINTS.name)):
        if ref in traffic.desired:
            continue
        labels = body["metadata"].get("labels") or {}
        name = labels.get(SERVICE_NAME, "") if ref.kind == ENDPOINT_SLICE.name else ref.name
        service = ObjectRef("Service", ref.namespace, name)
        if service in traffic.desired and service in traffic.live.objects:
            found[ref] = _share(service, body, traffic)
    return found


def _share(service: ObjectRef, body: Body, traffic: Traffic) -> str:
    """Say which part of a Service's traffic goes to the addresses of a slice, or of Endpoints."""
    spec = traffic.live.objects[service].get("spec") or {}
    if body["kind"] == ENDPOINT_SLICE.name and spec.get("ports"):
        names = {port.get("name") or "" for port in spec["ports"]}
        if not names & {port.get("name") or "" for port in body.get("ports") or ()}:
            return f"labelled for {service}, which has no port of that name"
    if "Pod" in traffic.live.unread:
        return f"adds addresses to those of {service}; whose they are is unknown, since pods cannot be read"
    own = {
        address["ip"]
        for ref, pod in traffic.live.of("Pod")
        if service in traffic.selecting(pod) and traffic.owner(ref, pod) in traffic.desired
        for address in (pod.get("status") or {}).get("podIPs") or ()
    }
    strangers = [text for address, text in addresses(body) if address not in own]
    if not strangers:
        return f"adds its addresses to those of {service} once more"
    part = "part of the traffic" if spec.get("selector") or _several_slices(service, traffic) else "the traffic"
    return f"{part} of {service} goes to {_listed(strangers)}"


def _several_slices(service: ObjectRef, traffic: Traffic) -> bool:
    slices = [body for _, body in traffic.live.of(ENDPOINT_SLICE.name)]
    slices += [body for ref, body in traffic.live.derived.items() if ref.kind == ENDPOINT_SLICE.name]
    names = [(body["metadata"].get("labels") or {}).get(SERVICE_NAME) for body in slices if body.get("endpoints")]
    return names.count(service.name) > 1


def _pods(traffic: Traffic) -> dict[ObjectRef, str]:
    """Return the owners, which are not declared, of pods that declared Services catch, with a note about each."""
    services: dict[ObjectRef, set[ObjectRef]] = {}
    bare = set()
    for ref, pod in traffic.live.of("Pod"):
        if is_terminating(pod) or (pod.get("status") or {}).get("phase") in _FINISHED:
            continue
        selecting = traffic.selecting(pod)
        owner = traffic.owner(ref, pod) if selecting else ref
        if selecting and owner not in traffic.desired and owner.kind not in traffic.live.unread:
            services.setdefault(owner, set()).update(selecting)
            if owner == ref:
                bare.add(ref)
    return {
        owner: f"{'gets' if owner in bare else 'its pods get'} traffic of {_listed(sorted(map(str, names)))}"
        for owner, names in services.items()
    }


def _undeclared(ref: ObjectRef, note: str, traffic: Traffic, masker: Masker) -> Finding:
    """Return the finding about what is not looked at otherwise: another object owns it, or its kind is not read."""
    body = traffic.live.objects.get(ref) or traffic.live.derived.get(ref)
    creator = field_managers.creator(body) if body else None
    return Finding(
        FindingClass.FOREIGN, ref, change=Change.ADDED, live=masker.text(describe(body) if body else "") or "present",
        manager=creator.manager if creator else None,
        when=field_managers.moment(body["metadata"].get("creationTimestamp")) if body else None,
        note=note, conditions=frozenset() if ref in traffic.live.objects else frozenset({LEFT}),
    )  # fmt: skip


def _edited_slices(traffic: Traffic) -> Iterator[Finding]:
    """Yield a finding for each slice of a controller whose addresses somebody changed."""
    for ref, body in traffic.live.derived.items():
        name = (body["metadata"].get("labels") or {}).get(SERVICE_NAME, "")
        service = ObjectRef("Service", ref.namespace, name)
        if ref.kind != ENDPOINT_SLICE.name or service not in traffic.desired:
            continue
        owner = next(iter(field_managers.owners(body, ("endpoints",))), None)
        if owner is not None and field_managers.by_a_person(owner.manager):
            yield Finding(
                FindingClass.FOREIGN, ref, "endpoints", Change.ADDED, live=_listed([t for _, t in addresses(body)]),
                manager=owner.manager, when=owner.when, conditions=frozenset({LEFT}),
                note=f"the traffic of {service} goes there until its controller writes the slice again",
            )  # fmt: skip


def _unread(kind: str, reason: str, live: LiveState) -> Finding:
    ref = ObjectRef(kind, live.namespace, "*")
    return Finding(FindingClass.UNKNOWN, ref, change=Change.STATE, live=reason, note=_UNREAD[kind])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def on_ports(live: LiveState, ports: Collection[int]) -> list[str]:
    """Return notes about Services and Ingresses of other namespaces that want ports of the host.

    :param ports: the ports on which the host's own sites are declared.
    """
    notes = []
    wanting = {ref: wanted for ref, body in live.elsewhere.items() if (wanted := _host_ports(ref, body) & set(ports))}
    for ref, wanted in sorted(wanting.items()):
        kind = (live.elsewhere[ref].get("spec") or {}).get("type") or "ClusterIP"
        named = ("ports " if len(wanted) > 1 else "port ") + ", ".join(map(str, sorted(wanted)))
        notes.append(f"{ref} of namespace {ref.namespace} ({kind}) wants {named} of the server, too")
    ingresses = sorted(ref for ref in live.elsewhere if ref.kind == "Ingress") if wanting else []
    served = "would be served there"
    notes += [f"{ref} of namespace {ref.namespace}, {describe(live.elsewhere[ref])}, {served}" for ref in ingresses]
    return notes


def unread_elsewhere(live: LiveState) -> Iterator[tuple[str, str]]:
    """Yield what could not be read of other namespaces, with the reason."""
    return ((f"kind {kind} of other namespaces", reason) for kind, reason in live.elsewhere_unread.items())


def _host_ports(ref: ObjectRef, body: Body) -> set[int]:
    """Return the ports of the node that a Service has."""
    spec = body.get("spec") or {}
    ports = (spec.get("ports") or ()) if ref.kind == "Service" else ()
    found = {int(port["nodePort"]) for port in ports if port.get("nodePort")}
    if spec.get("type") == "LoadBalancer" or spec.get("externalIPs"):
        found |= {int(port["port"]) for port in ports}
    return found
