"""Short descriptions of whole objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmaster.cluster.defaults import Body


def describe(body: Body) -> str:
    """Describe an object without values that may be secret: images, ports, names of keys."""
    spec = body.get("spec") or {}
    kind = str(body.get("kind"))
    if kind == "CronJob":
        job = (spec.get("jobTemplate") or {}).get("spec") or {}
        return f"{spec.get('schedule', '?')}, {_pods(job.get('template') or {}, None)}"
    if kind in ("ConfigMap", "Secret"):
        return _keys([*(body.get("data") or ()), *(body.get("binaryData") or ()), *(body.get("stringData") or ())])
    if kind in ("EndpointSlice", "Endpoints"):
        found = [text for _, text in addresses(body)]
        return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    if "template" in spec:
        return _pods(spec["template"], spec.get("replicas"))
    teller = _TELLERS.get(kind)
    return teller(spec) if teller else ""


def addresses(body: Body) -> list[tuple[str, str]]:
    """Return the addresses of an EndpointSlice or of Endpoints, each also with its ports (`10.9.9.9:80`)."""
    slices = [(body.get("endpoints") or (), body.get("ports") or ())]
    if body.get("kind") == "Endpoints":
        slices = [(subset.get("addresses") or (), subset.get("ports") or ()) for subset in body.get("subsets") or ()]
    found = []
    for endpoints, ports in slices:
        numbers = ",".join(str(port["port"]) for port in ports if port.get("port"))
        for endpoint in endpoints:
            for address in endpoint.get("addresses") or filter(None, [endpoint.get("ip")]):
                host = f"[{address}]" if ":" in address else address
                found.append((address, f"{host}:{numbers}" if numbers else address))
    return found


def service(spec: Body) -> str:
    """Describe a Service by its type and target."""
    kind = str(spec.get("type") or "ClusterIP")
    if kind == "ExternalName":
        return f"ExternalName {spec.get('externalName', '')}".strip()
    address = spec.get("clusterIP")
    ports = [f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ()]
    return " ".join([kind, *([str(address)] if address else []), *ports])


def _pods(template: dict[str, Any], replicas: Any) -> str:
    images = [str(container.get("image")) for container in (template.get("spec") or {}).get("containers") or ()]
    count = f", {replicas} replicas" if isinstance(replicas, int) and replicas != 1 else ""
    return f"image {', '.join(images)}{count}" if images else ""


def _keys(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    if not found:
        return "empty"
    return f"{len(found)} {'key' if len(found) == 1 else 'keys'}: {', '.join(found[:5])}{more}"


def _ingress(spec: Body) -> str:
    return f"for {', '.join(str(rule.get('host', '*')) for rule in spec.get('rules') or ())}"


def _autoscaler(spec: Body) -> str:
    target = spec.get("scaleTargetRef") or {}
    bounds = f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')}"
    return f"{target.get('kind')}/{target.get('name')}, {bounds} replicas"


_TELLERS: dict[str, Callable[[Body], str]] = {
    "Service": service,
    "Pod": lambda spec: _pods({"spec": spec}, None),
    "Ingress": _ingress,
    "HorizontalPodAutoscaler": _autoscaler,
}
