"""Objects that a controller or another deployment tool manages. They are left to it.

Two signs, both read from the object: a label, an annotation or a name that a known controller gives to what it keeps,
and a field manager that has fields of the object's content and is neither a person's tool, nor Kubernetes, nor this
program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from config.rules import CONTROLLERS
from flowmaster.cluster.field_managers import OWN, PEOPLE
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Controller:
    """A program that manages objects, and the signs by which they are recognised. `*` stands for any text."""

    name: str
    labels: tuple[str, ...] = ()
    """Keys, or `KEY=VALUE`."""
    annotations: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    """`Kind/name`."""


KNOWN = (
    Controller(
        name="cert-manager",
        annotations=("cert-manager.io/certificate-name", "certmanager.k8s.io/certificate-name"),
        labels=("controller.cert-manager.io/fao", "cert-manager.io/next-private-key"),
    ),
    Controller(name="trust-manager", labels=("trust.cert-manager.io/bundle",)),
    Controller(name="Istio", objects=("ConfigMap/istio-ca-root-cert", "ConfigMap/istio-ca-crl")),
    Controller(name="Linkerd", objects=("ConfigMap/linkerd-identity-trust-roots",)),
    Controller(name="OpenShift", objects=("ConfigMap/openshift-service-ca.crt",)),
    Controller(name="OpenShift's service CA", annotations=("service.beta.openshift.io/originating-service-name",)),
    Controller(name="a leader election", annotations=("control-plane.alpha.kubernetes.io/leader",)),
    Controller(name="Helm", annotations=("meta.helm.sh/release-name",), labels=("owner=helm",)),
    Controller(
        name="Argo CD", annotations=("argocd.argoproj.io/tracking-id",), labels=("argocd.argoproj.io/instance",)
    ),
    Controller(
        name="Flux",
        labels=("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "fluxcd.io/sync-gc-mark"),
        annotations=("fluxcd.io/sync-checksum",),
    ),
    Controller(name="kapp", labels=("kapp.k14s.io/app",)),
    Controller(name="Config Sync", annotations=("configmanagement.gke.io/managed=enabled",)),
    Controller(name="the addon manager", labels=("addonmanager.kubernetes.io/mode=Reconcile",)),
    Controller(name="the Operator Lifecycle Manager", labels=("olm.owner", "olm.managed")),
    Controller(name="KubeVela", labels=("app.oam.dev/name",)),
    Controller(name="Kyverno", labels=("generate.kyverno.io/policy-name", "app.kubernetes.io/managed-by=kyverno")),
    Controller(
        name="Reflector",
        annotations=(
            "reflector.v1.k8s.emberstack.com/reflects",
            "reflector.v1.k8s.emberstack.com/reflected-at",
            "reflector.v1.k8s.emberstack.com/auto-reflects",
        ),
    ),
    Controller(
        name="kubernetes-replicator",
        annotations=("replicator.v1.mittwald.de/replicate*-from*", "replicator.v1.mittwald.de/replicated-at"),
    ),
    Controller(
        name="Config Syncer", annotations=("kubed.appscode.com/origin",), labels=("kubed.appscode.com/origin*",)
    ),
    Controller(
        name="External Secrets",
        labels=("reconcile.external-secrets.io/*",),
        annotations=("reconcile.external-secrets.io/*",),
    ),
    Controller(name="Sealed Secrets", annotations=("sealedsecrets.bitnami.com/managed=true",)),
    Controller(name="Vault's Secrets Operator", labels=("secrets.hashicorp.com/vso-ownerRefUID",)),
    Controller(name="1Password's operator", annotations=("operator.1password.io/item-version",)),
)
"""Signs of objects that controllers write. Not the signs with which people request something from a controller."""

K3S = Controller(
    name="K3s",
    labels=("objectset.rio.cattle.io/hash",),
    annotations=("objectset.rio.cattle.io/owner-gvk", "objectset.rio.cattle.io/id"),
)
"""Applies the files of its addon folder at each start."""
_ADDON_FOLDER = "/var/lib/rancher/k3s/server/manifests"
_ADDON = "k3s.cattle.io/v1, Kind=Addon"
_DEPLOYER = "deploy@*"

_OURS = frozenset({*OWN, ("flowmaster-restore", "Update")})
_KUBERNETES = (*CONTROLLERS, "kube-apiserver", "rke2", "k0s", "kubelite", "cluster-autoscaler", "vpa-updater")
_MARGINAL = frozenset({"status", "scale"})
"""Subresources that do not change declared fields."""


def controller_of(ref: ObjectRef, body: Body) -> str | None:
    """Return who manages the object, in words that a person can act on; None if nobody is known.

    What this program has applied already is its own.
    """
    managers = _writers(body)
    if any(entry in _OURS for entry in managers):
        return None
    if (sign := _sign(K3S, ref, body)) or any(fnmatchcase(name, _DEPLOYER) for name, _ in managers):
        return _of_k3s(body, sign)
    for controller in KNOWN:
        if sign := _sign(controller, ref, body):
            return f"kept by {controller.name} ({sign})"
    others = [name for name, _ in managers if not any(fnmatchcase(name, known) for known in (*PEOPLE, *_KUBERNETES))]
    return f"kept by {others[0]} (a field manager that has fields of it)" if others else None


def controlled(live: LiveState, taken: Iterable[str] = ()) -> dict[ObjectRef, str]:
    """Return the managers of the namespace's objects.

    :param taken: `Kind/name` of those to be taken over all the same; `*` stands for any text.
    """
    found = ((ref, controller_of(ref, body)) for ref, body in live.objects.items() if ref.kind != "Namespace")
    return {ref: why for ref, why in found if why and not named(ref, taken)}


def named(ref: ObjectRef, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns, `Kind/name`, matches the object."""
    return any(fnmatchcase(str(ref), pattern) for pattern in patterns)


def _writers(body: Body) -> list[tuple[str, str]]:
    """Yield field managers, with their operations, of fields other than metadata and status."""
    return [
        (str(entry.get("manager") or "unknown"), str(entry.get("operation")))
        for entry in body["metadata"].get("managedFields") or ()
        if entry.get("subresource") not in _MARGINAL
        and (entry.get("fieldsV1") or {}).keys() - {"f:metadata", "f:status"}
    ]


def _sign(controller: Controller, ref: ObjectRef, body: Body) -> str:
    """Return the first sign of the controller on the object; empty if there is none."""
    if str(ref) in controller.objects:
        return str(ref)
    metadata = body["metadata"]
    for what, patterns in (("label", controller.labels), ("annotation", controller.annotations)):
        found: Mapping[str, str] = metadata.get(f"{what}s") or {}
        for pattern in patterns:
            wanted, _, value = pattern.partition("=")
            for key in found:
                if fnmatchcase(key, wanted) and (not value or found[key] == value):
                    return f"{what} {key}"
    return ""


def _of_k3s(body: Body, sign: str) -> str:
    annotations = body["metadata"].get("annotations") or {}
    name = annotations.get("objectset.rio.cattle.io/owner-name")
    if sign and annotations.get("objectset.rio.cattle.io/owner-gvk", _ADDON) != _ADDON:
        return (
            f"kept by K3s' {annotations['objectset.rio.cattle.io/owner-gvk'].rpartition('=')[2]} {name or ''}".rstrip()
        )
    file = f"{_ADDON_FOLDER}/{name or '...'}.yaml"
    return f"applied by K3s at each of its starts: move {file} away on the server first, then --take it"
