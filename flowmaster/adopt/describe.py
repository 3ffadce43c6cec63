"""Describes live objects as catalogue and stack: typed fields if the models have them, else overrides. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.types import tag_candidates
from flowmaster.adopt import objects
from flowmaster.adopt import service as services
from flowmaster.adopt.desired import Body, desired_body
from flowmaster.adopt.override import InexpressibleError
from flowmaster.cluster.copies import LAST_APPLIED, copies
from flowmaster.cluster.masking import Masker, telling
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef

_KUBERNETES_MAKES = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
_SECRETS_OF_OTHERS = re.compile(r"kubernetes\.io/service-account-token|helm\.sh/.*|bootstrap\.kubernetes\.io/token")
_MANAGED = ("Namespace", "Deployment", "Service", "ConfigMap", "Secret")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
"""A host name as in externalServices: without a trailing dot."""
_IPV4 = re.compile(r"\d+(\.\d+){3}")
_SETTING = re.compile(r"|\d+[a-z]{0,2}|true|false", re.IGNORECASE)
"""Values that are no secrets, whatever the variable is called: `TOKEN_TTL: 15m`."""
_READS = {
    **dict.fromkeys(("configMap", "configMapRef", "configMapKeyRef"), "ConfigMap"),
    **dict.fromkeys(("secret", "secretRef", "secretKeyRef"), "Secret"),
}
"""Fields of a pod that refer to ConfigMaps and Secrets."""


@dataclass
class Description:
    """The description of a live namespace."""

    catalogue: Body
    services: dict[str, Body]
    """The stack's `services`."""
    secrets: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    """Values by Secret and key; of binary keys in base64."""
    sealed: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    """Plain-text secret values in Deployments, by service and variable."""
    overrides: dict[ObjectRef, list[str]] = field(default_factory=dict)
    """Paths that no typed field covers."""
    unmanaged: list[tuple[ObjectRef, str]] = field(default_factory=list)
    """Objects that are not managed, with the reason."""
    inexpressible: dict[ObjectRef, str] = field(default_factory=dict)
    """Objects that could not be described, with the reason. They are not managed."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """Kinds that could not be read, with the reason."""
    external: list[tuple[ObjectRef, str]] = field(default_factory=list)
    """Unmanaged objects that Deployments read."""
    objects: dict[ObjectRef, Body] = field(default_factory=dict)
    """Objects that the catalogue cannot express, as manifests."""
    copied: list[tuple[ObjectRef, str]] = field(default_factory=list)
    """Annotations with copies of objects that other tools read. They stay on the server and are written nowhere."""


def describe(
    live: LiveState,
    registry: str,
    digests: Mapping[str, str] = {},
    left: Mapping[ObjectRef, str] = {},
    raw: Container[ObjectRef] = frozenset(),
    declared: Collection[ObjectRef] = (),
) -> Description:
    """Describe a live namespace.

    :param registry: the catalogue's registry, which the images of most services share.
    :param digests: what runs behind an image reference, for tags that can move.
    :param left: objects that are not taken over, and why.
    :param raw: objects of kinds that the catalogue has a form for, but which are kept as manifests.
    :param declared: objects among those left that the catalogue has already, so that others may refer to them.
    """
    managed = {ref: body for ref, body in live.objects.items() if ref.kind in _MANAGED}
    result = Description(catalogue={}, services={})
    masker = Masker(body for _, body in live.of("Secret"))
    for ref, body in live.objects.items():
        as_manifest = ref in raw or not _has_entry(ref)
        why = _not_managed(ref, body, live, left)
        if why is None:
            why = _why_unfit(ref, body, masker, as_manifest)
        if why is not None:
            managed.pop(ref, None)
            if why:
                result.unmanaged.append((ref, why))
        elif as_manifest:
            managed.pop(ref, None)
            result.objects[ref] = objects.manifest(body)
    result.copied = [(ref, n) for ref, body in managed.items() for n in copies(body) if n != LAST_APPLIED]
    wanted = {ref: desired_body(body) for ref, body in managed.items()}
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
    there = {kind: {*of[kind], *(ref.name for ref in declared if ref.kind == kind)} for kind in _MANAGED}
    surroundings = services.Context(managed=there, masker=masker)
    for name, body in of["Deployment"].items():
        me = ObjectRef("Deployment", live.namespace, name)
        address = addresses.get(name, "")
        service = of["Service"].get(name)
        if service is not None and ":" in address:
            # the release has a field for an IPv4 address alone
            service["spec"]["clusterIP"] = address
        try:
            described = services.describe(name, body, service, registry, common, surroundings)
        except InexpressibleError as err:
            result.inexpressible[me] = f"no override can say its {': '.join(err.args)}"
            continue
        if described.exposed:
            del of["Service"][name]
        entries[name] = described.entry
        release = described.release
        if described.exposed and _IPV4.fullmatch(address):
            release["clusterIP"] = address
        digest = digests.get(described.image)
        if digest and "digest" not in release and _mutable(release["tag"]):
            release["seen"] = digest
        result.services[name] = release
        result.external += [(me, _reads(kind, n, live)) for kind, n in _references(body) if n not in there[kind]]
        if described.sealed:
            result.sealed[name] = described.sealed
        result.overrides.update(described.overrides(name, live.namespace))
    result.catalogue |= _services_without_deployment(of["Service"], addresses)
    result.catalogue["services"] = entries
    return result


def _has_entry(ref: ObjectRef) -> bool:
    """Return whether the catalogue can express the object, or it is the namespace."""
    return ref.kind in _MANAGED and not (ref.kind == "Deployment" and not _LABEL.fullmatch(ref.name))


def _not_managed(ref: ObjectRef, body: Body, live: LiveState, left: Mapping[ObjectRef, str]) -> str | None:
    """Return why an object is not adopted: empty if it needs no mention, None if it may be adopted."""
    if (ref.kind, ref.name) in _KUBERNETES_MAKES:
        return ""
    if ref.kind not in _MANAGED and (why := objects.reason_unmanaged(ref, body, live)) is not None:
        return why
    if owners := body["metadata"].get("ownerReferences"):
        return f"made by {owners[0]['kind']}/{owners[0]['name']}"
    return left.get(ref)


def _why_unfit(ref: ObjectRef, body: Body, masker: Masker, as_manifest: bool) -> str | None:
    """Return why an object can be, or must be, neither in the catalogue nor a manifest."""
    if ref.kind == "Secret" and _SECRETS_OF_OTHERS.fullmatch(str(body.get("type", ""))):
        return f"of type {body['type']}: its maker keeps it"
    found = plaintext_secrets(body, masker) if ref.kind != "Namespace" else []
    if not found and as_manifest and (place := objects.plaintext_secret(body, masker)):
        found = [place]
    if found:
        return f"a secret stands in it in the clear ({', '.join(found)}): move that into a Secret, then adopt --again"
    return None


def plaintext_secrets(body: Body, masker: Masker) -> list[str]:
    """Return the paths of secrets in an object that catalogue and state would hold in plain text."""
    parts = {"metadata.annotations": desired_body(body)["metadata"].get("annotations") or {}}
    if body["kind"] == "ConfigMap":
        parts["data"] = body.get("data") or {}
    return [
        f"{part}[{name}]"
        for part, texts in parts.items()
        for name, text in texts.items()
        if masker.reveals(text)
        or (part == "data" and telling(name) and not _SETTING.fullmatch(text) and "\n" not in text)
    ]


def _references(deployment: Body) -> list[tuple[str, str]]:
    """Return the ConfigMaps and Secrets that a Deployment's pods read, by kind and name."""
    found: dict[tuple[str, str], None] = {}

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for part in node:
                walk(part)
        elif isinstance(node, dict):
            for key, part in node.items():
                kind = _READS.get(key)
                if kind and isinstance(part, dict) and (name := part.get("name") or part.get("secretName")):
                    found[kind, name] = None
                walk(part)

    walk(deployment["spec"]["template"]["spec"])
    return list(found)


def _reads(kind: str, name: str, live: LiveState) -> str:
    there = ObjectRef(kind, live.namespace, name) in live.objects
    return f"reads {kind}/{name}, {'which is not managed' if there else 'which is not there'}"


def _conventions(deployments: Mapping[str, Body]) -> Body:
    """Return the conventions that most services follow."""
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
        if not marks and set(spec) == {"type", "externalName"} and _DNS_NAME.fullmatch(spec["externalName"]):
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
    """Return whether a tag is likely mutable: a word, not a version or a commit."""
    return not any(character.isdigit() for character in tag) and not tag_candidates(tag)


def _if(key: str, value: Any) -> Body:
    return {key: value} if value else {}


def images(live: LiveState) -> Iterable[tuple[str, str]]:
    """Return the digests that pods run, by image reference."""
    for _, pod in live.of("Pod"):
        asked = {c["name"]: c["image"] for c in pod["spec"]["containers"]}
        for status in pod.get("status", {}).get("containerStatuses", ()):
            digest = str(status.get("imageID", "")).rpartition("@")[2]
            if digest.startswith("sha256:") and status["name"] in asked:
                yield asked[status["name"]], digest
