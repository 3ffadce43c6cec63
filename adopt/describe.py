"""Live objects as catalogue and stack: typed fields where the models have them, overrides for the rest. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adopt import service as services
from adopt.essence import Body, meant
from config.types import tag_candidates
from drift.finding import ObjectRef
from drift.kubernetes.reader import LiveState

_KUBERNETES_MAKES = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
_SECRETS_OF_OTHERS = re.compile(r"kubernetes\.io/service-account-token|helm\.sh/.*|bootstrap\.kubernetes\.io/token")
_MANAGED = ("Namespace", "Deployment", "Service", "ConfigMap", "Secret")
_UNINTERESTING = frozenset({"Pod", "ReplicaSet"})


@dataclass
class Description:
    """A live namespace, written down."""

    catalogue: Body
    services: dict[str, Body]
    """The stack's `services`."""
    secrets: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    """Values by Secret and key; of binary keys in base64."""
    sealed: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    """Values, by service and variable, that stand in a Deployment in the clear."""
    overrides: dict[ObjectRef, list[str]] = field(default_factory=dict)
    """What no typed field says."""
    unmanaged: list[tuple[ObjectRef, str]] = field(default_factory=list)
    """What stays as it is and is not managed, and why."""


def describe(live: LiveState, registry: str, digests: Mapping[str, str] = {}) -> Description:
    """Write a live namespace down.

    :param registry: the catalogue's registry, which the images of most services share.
    :param digests: what runs behind an image reference, for tags that can move.
    """
    managed = {ref: body for ref, body in live.objects.items() if ref.kind in _MANAGED}
    result = Description(catalogue={}, services={})
    for ref, body in live.objects.items():
        why = _not_managed(ref, body)
        if why is not None:
            managed.pop(ref, None)
            if why:
                result.unmanaged.append((ref, why))
    wanted = {ref: meant(body) for ref, body in managed.items()}
    of = {kind: {ref.name: body for ref, body in wanted.items() if ref.kind == kind} for kind in _MANAGED}
    addresses = {ref.name: body["spec"].get("clusterIP", "") for ref, body in live.of("Service")}
    common = _conventions(of["Deployment"])
    result.catalogue = {
        "registry": registry,
        "conventions": common,
        **_if("namespace", _marks(next(iter(of["Namespace"].values()), {}))),
        **_if("configMaps", {name: _config_map(body) for name, body in of["ConfigMap"].items()}),
        **_if("secrets", {name: _secret(name, body, result) for name, body in of["Secret"].items()}),
    }
    entries = {}
    for name, body in of["Deployment"].items():
        described = services.describe(name, body, of["Service"].pop(name, None), registry, common)
        entries[name] = described.entry
        release = described.release
        address = addresses.get(name)
        if address and address != "None" and described.exposed:
            release["clusterIP"] = address
        digest = digests.get(described.image)
        if digest and _mutable(release["tag"]):
            release["seen"] = digest
        result.services[name] = release
        if described.sealed:
            result.sealed[name] = described.sealed
        result.overrides.update(described.overrides(name, live.namespace))
    result.catalogue |= _services_without_deployment(of["Service"], addresses)
    result.catalogue["services"] = entries
    return result


def _not_managed(ref: ObjectRef, body: Body) -> str | None:
    """Why an object is not taken over; empty where that goes without saying; None where it is."""
    if (ref.kind, ref.name) in _KUBERNETES_MAKES or ref.kind in _UNINTERESTING:
        return ""
    owners = body["metadata"].get("ownerReferences")
    if owners:
        return "" if ref.kind not in _MANAGED else f"made by {owners[0]['kind']}/{owners[0]['name']}"
    if ref.kind not in _MANAGED:
        return f"a {ref.kind} is not managed by this program"
    if ref.kind == "Secret" and _SECRETS_OF_OTHERS.fullmatch(str(body.get("type", ""))):
        return f"of type {body['type']}: its maker keeps it"
    return None


def _conventions(deployments: Mapping[str, Body]) -> Body:
    """What most of the services have in common; the rest says so itself."""
    policies = Counter(services.pull_policy(services.main_container(n, body)) for n, body in deployments.items())
    names = Counter(name for n, body in deployments.items() if (name := services.port_name(n, body)) is not None)
    return {
        "labels": "app",
        "probes": "none",
        "resources": "none",
        "security": "none",
        "strategy": "default",
        "portName": _most_common(names, "http"),
        "imagePullPolicy": _most_common(policies, "Always"),
    }


def _most_common(counter: Counter[str], otherwise: str) -> str:
    return counter.most_common(1)[0][0] if counter else otherwise


def _services_without_deployment(bodies: Mapping[str, Body], addresses: Mapping[str, str]) -> Body:
    external, raw = {}, {}
    for name, body in bodies.items():
        spec, marks = body["spec"], _marks(body)
        if not marks and set(spec) == {"type", "externalName"}:
            external[name] = spec["externalName"]
            continue
        address = addresses.get(name)
        pinned = {**spec, "clusterIP": address} if address else spec
        raw[name] = {**_if("metadata", marks), "spec": {"type": "ClusterIP", **pinned}}
    return {**_if("externalServices", external), **_if("rawServices", raw)}


def _config_map(body: Body) -> Body:
    parts = {key: body[key] for key in ("data", "binaryData", "immutable") if body.get(key) is not None}
    return {**parts, **_marks(body)}


def _secret(name: str, body: Body, result: Description) -> Body:
    text, binary = {}, {}
    for key, value in (body.get("data") or {}).items():
        try:
            text[key] = base64.b64decode(value, validate=True).decode()
        except (UnicodeDecodeError, binascii.Error):
            binary[key] = value
    result.secrets[name] = {**text, **binary}
    kind = body.get("type", "Opaque")
    return {
        **_if("keys", list(text)),
        **_if("binaryKeys", list(binary)),
        **({"type": kind} if kind != "Opaque" else {}),
        **({"immutable": body["immutable"]} if body.get("immutable") is not None else {}),
        **_marks(body),
    }


def _marks(body: Body) -> Body:
    metadata = body.get("metadata", {})
    labels = {k: v for k, v in metadata.get("labels", {}).items() if k != "kubernetes.io/metadata.name"}
    return {**_if("labels", labels), **_if("annotations", metadata.get("annotations", {}))}


def _mutable(tag: str) -> bool:
    """Whether a tag is of the sort that is pushed again: a word, not a version or a commit."""
    return not any(character.isdigit() for character in tag) and not tag_candidates(tag)


def _if(key: str, value: Any) -> Body:
    return {key: value} if value else {}


def images(live: LiveState) -> Iterable[tuple[str, str]]:
    """Image references and the digests that pods run behind them."""
    for _, pod in live.of("Pod"):
        asked = {c["name"]: c["image"] for c in pod["spec"]["containers"]}
        for status in pod.get("status", {}).get("containerStatuses", ()):
            digest = str(status.get("imageID", "")).rpartition("@")[2]
            if digest.startswith("sha256:") and status["name"] in asked:
                yield asked[status["name"]], digest
