"""Objects that are odd in one way each, and what adoption makes of them."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
SLEEPS = ["/service", "serve"]


@dataclass(frozen=True)
class Odd:
    """Objects that a server has, and what becomes of those that are left alone."""

    bodies: tuple[Json, ...]
    left: tuple[tuple[str, str], ...] = ()
    """`Kind/name`, and words of the reason; all others are taken over."""

    @property
    def names(self) -> list[str]:
        """All objects, as `Kind/name`."""
        return [f"{body['kind']}/{body['metadata']['name']}" for body in self.bodies]


def _object(kind: str, name: str, version: str = "v1", metadata: Json | None = None, **parts: Any) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **parts}


def _deployment(name: str, metadata: Json | None = None, pod: Json | None = None, **container: Any) -> Json:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, **(pod or {})},
    }
    template["spec"]["containers"] = [{"name": name, "image": "IMAGE", **container}]
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return _object("Deployment", name, "apps/v1", metadata, spec=spec)


def _service(name: str, **spec: Any) -> Json:
    return _object("Service", name, spec=spec)


def _config_map(name: str, **metadata: Any) -> Json:
    return _object("ConfigMap", name, metadata=metadata, data={"a": "b"})


_EVERY_POD = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {}}
_HEADERS = [{"name": "Accept-Encoding", "value": ""}, {"name": "Host", "value": "web.example.com"}]
_PEM = {key: base64.b64encode(f"made for a test: {key}".encode()).decode() for key in ("tls.crt", "tls.key")}

_WORD = base64.b64encode(secrets.token_bytes(12)).decode()

ODD = {
    "a variable twice": Odd(
        (_deployment("variable-twice", env=[{"name": "A", "value": "a"}, {"name": "A", "value": "b-$(A)"}]),),
        (("Deployment/variable-twice", 'duplicate entries for key [name="A"]'),),
    ),
    "a port with two host ports": Odd(
        (
            _deployment(
                "host-ports",
                ports=[{"containerPort": 93, "hostPort": 29376}, {"containerPort": 93, "hostPort": 27693}],
            ),
        ),
        (("Deployment/host-ports", "duplicate entries for key [containerPort=93"),),
    ),
    "a port under two names": Odd(
        (
            _deployment(
                "two-names", ports=[{"name": "one", "containerPort": 94}, {"name": "two", "containerPort": 94}]
            ),
            _service("two-names", selector={"app": "two-names"}, ports=[{"port": 94, "targetPort": "one"}]),
        ),
        (("Deployment/two-names", "duplicate entries for key [containerPort=94"),),
    ),
    "an alias twice": Odd(
        (
            _deployment(
                "alias-twice",
                pod={"hostAliases": [{"ip": "192.0.2.7", "hostnames": [name]} for name in ("one", "two")]},
            ),
        ),
        (("Deployment/alias-twice", "duplicate entries for key"),),
    ),
    "an imagePullSecret twice": Odd(
        (_deployment("pull-twice", pod={"imagePullSecrets": [{"name": "registry"}, {"name": "registry"}]}),),
        (("Deployment/pull-twice", "duplicate entries for key"),),
    ),
    "selectors of every pod": Odd(
        (
            _deployment(
                "every-pod",
                pod={
                    "affinity": {
                        "podAntiAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [
                                {"weight": 1, "podAffinityTerm": _EVERY_POD}
                            ]
                        }
                    },
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 3,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {},
                        }
                    ],
                },
            ),
        ),
    ),
    "empty parts": Odd(
        (
            _deployment(
                "empty-parts",
                pod={
                    "affinity": {},
                    "securityContext": {},
                    "dnsConfig": {"options": [{"name": "single-request", "value": ""}]},
                    "volumes": [{"name": "a", "emptyDir": {"medium": ""}}],
                },
                securityContext={},
                resources={"limits": {}},
                env=[{"name": "EMPTY", "value": ""}],
                volumeMounts=[{"name": "a", "mountPath": "/a", "subPath": ""}],
            ),
        ),
    ),
    "a header without a value": Odd(
        (
            _deployment(
                "empty-header",
                ports=[{"containerPort": 3000}],
                startupProbe={"httpGet": {"path": "/", "port": 3000, "httpHeaders": _HEADERS}, "failureThreshold": 90},
                lifecycle={"preStop": {"httpGet": {"path": "/", "port": 3000, "httpHeaders": _HEADERS}}},
            ),
        ),
    ),
    "variables of which one refers to the other": Odd(
        (
            _deployment(
                "in-order",
                env=[
                    {"name": "Z_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "A_NODE", "value": "node@$(Z_NAME)"},
                ],
            ),
        ),
    ),
    "a headless Service named like its Deployment": Odd(
        (
            _deployment("headless", ports=[{"name": "grpc", "containerPort": 50051}]),
            _service(
                "headless",
                clusterIP="None",
                publishNotReadyAddresses=True,
                selector={"app": "headless"},
                ports=[{"name": "grpc", "port": 50051, "targetPort": "grpc"}],
            ),
        )
    ),
    "names for hosts elsewhere": Odd(
        (
            _service("by-address", type="ExternalName", externalName="192.0.2.5"),
            _service("by-full-name", type="ExternalName", externalName="db.example.com."),
            _service(
                "with-ports",
                type="ExternalName",
                externalName="db.example.com",
                ports=[{"name": "pg", "port": 5432}],
                sessionAffinity="ClientIP",
            ),
        )
    ),
    "a class of load balancers": Odd(
        (
            _deployment("balanced", ports=[{"containerPort": 3000}]),
            _service(
                "balanced",
                type="LoadBalancer",
                loadBalancerClass="example.com/own",
                selector={"app": "balanced"},
                ports=[{"port": 3000}],
            ),
        )
    ),
    "two families of addresses where there are": Odd(
        (
            _deployment("families", ports=[{"containerPort": 3000}]),
            _service(
                "families", ipFamilyPolicy="PreferDualStack", selector={"app": "families"}, ports=[{"port": 3000}]
            ),
            _service("no-selector", clusterIP="None", ports=[{"port": 3000}]),
        )
    ),
    "a secret": Odd((_object("Secret", "words", type="Opaque", data={"WORD": _WORD}),)),
    "pods that never become ready": Odd(
        (_deployment("never-ready", readinessProbe={"exec": {"command": ["/nothing"]}, "periodSeconds": 1}),)
    ),
    "what controllers keep": Odd(
        (
            _object(
                "Secret",
                "web-tls",
                metadata={"annotations": {"cert-manager.io/certificate-name": "web-tls"}},
                type="kubernetes.io/tls",
                data=_PEM,
            ),
            _config_map("istio-ca-root-cert", labels={"istio.io/config": "true"}),
            _config_map("elected", annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}),
            _config_map("copy", annotations={"reflector.v1.k8s.emberstack.com/reflects": "default/settings"}),
            _deployment("released", {"annotations": {"meta.helm.sh/release-name": "shop"}}),
            _config_map("synced", annotations={"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:x/synced"}),
            _config_map("reconciled", labels={"kustomize.toolkit.fluxcd.io/name": "apps"}),
        ),
        (
            ("Secret/web-tls", "kept by cert-manager"),
            ("ConfigMap/istio-ca-root-cert", "kept by Istio"),
            ("ConfigMap/elected", "kept by a leader election"),
            ("ConfigMap/copy", "kept by Reflector"),
            ("Deployment/released", "kept by Helm"),
            ("ConfigMap/synced", "kept by Argo CD"),
            ("ConfigMap/reconciled", "kept by Flux"),
        ),
    ),
    "a file of K3s' addon folder": Odd(
        (
            _config_map(
                "addon",
                labels={"objectset.rio.cattle.io/hash": "0123"},
                annotations={
                    "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon",
                    "objectset.rio.cattle.io/owner-name": "settings",
                },
            ),
        ),
        (("ConfigMap/addon", "/var/lib/rancher/k3s/server/manifests/settings.yaml"),),
    ),
}
OPERATED = _config_map("operated")
"""To be applied by a controller that nobody knows."""
