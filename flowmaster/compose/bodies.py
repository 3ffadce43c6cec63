"""Builds the manifests of a translated project."""

from __future__ import annotations

import base64
import hashlib
import json

from flowmaster.compose.context import Context, ServiceBuilder
from flowmaster.compose.result import Body
from flowmaster.compose.service.lifecycle import DOCKER_GRACE
from flowmaster.compose.service.resources import container_resources
from flowmaster.render.names import CONFIG_CHECKSUM, PROVIDER

_UNPRIVILEGED = 1024


def shared_bodies(context: Context) -> list[Body]:
    """Return the Secret and the ConfigMap of the project, if it has any."""
    found: list[Body] = []
    if context.secret_data:
        data = {k: base64.b64encode(v.encode()).decode() for k, v in sorted(context.secret_data.items())}
        metadata = context.metadata(context.secret_name, PROVIDER)
        found.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
    if context.config_maps:
        metadata = context.metadata(context.configs_name, PROVIDER)
        data = dict(sorted(context.config_maps.items()))
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return found


def volume_bodies(context: Context) -> list[Body]:
    """Return a PersistentVolumeClaim for each volume, and a PersistentVolume for a folder of the node."""
    found: list[Body] = []
    storage = context.settings.storage
    for _, volume in sorted(context.volumes.items()):
        name = f"{context.target.namespace}-{volume.claim}"
        size = {"storage": storage.size}
        kind = "File" if volume.kind == "file" else "Directory"
        claim: Body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": context.metadata(volume.claim, PROVIDER),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage.storage_class or "",
                "resources": {"requests": size},
            },
        }
        if volume.target_path:
            claim["spec"]["volumeName"] = name
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": context.metadata(name, PROVIDER, namespaced=False),
                    "spec": {
                        "capacity": size,
                        "accessModes": ["ReadWriteOnce"],
                        "persistentVolumeReclaimPolicy": "Retain",
                        "storageClassName": "",
                        "claimRef": {
                            "apiVersion": "v1",
                            "kind": "PersistentVolumeClaim",
                            "namespace": context.target.namespace,
                            "name": volume.claim,
                        },
                        "hostPath": {"path": volume.target_path, "type": kind},
                    },
                }
            )
        found.append(claim)
    return found


def service_body(context: Context, builder: ServiceBuilder) -> Body:
    """Return the Service of a compose service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(context, builder),
        "spec": {
            "type": "ClusterIP",
            "selector": {context.target.selector: builder.object},
            "ports": [port for _, port in sorted(builder.service_ports.items())],
        },
    }


def _metadata(context: Context, builder: ServiceBuilder) -> Body:
    metadata = context.metadata(builder.object, PROVIDER)
    metadata["labels"] = {context.target.selector: builder.object, **metadata["labels"]}
    return metadata


def deployment_body(context: Context, builder: ServiceBuilder) -> Body:
    """Return the Deployment of a compose service."""
    metadata = _metadata(context, builder)
    pod: Body = {"labels": dict(metadata["labels"])}
    annotations = dict(builder.annotations)
    if builder.uses_secrets or any("configMap" in volume for volume in builder.volumes):
        annotations[CONFIG_CHECKSUM] = _checksum(context)
    if annotations:
        pod["annotations"] = annotations
    # A pod that writes must end before its successor starts; others keep their full number during a rollout.
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": builder.replicas,
            "selector": {"matchLabels": {context.target.selector: builder.object}},
            "strategy": {"type": "Recreate"} if builder.writes else surge,
            "template": {"metadata": pod, "spec": _pod(builder)},
        },
    }


def _checksum(context: Context) -> str:
    """Hash all values together, so that no short secret can be guessed from the hash."""
    content = [sorted(context.secret_data.items()), sorted(context.config_maps.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _pod(builder: ServiceBuilder) -> Body:
    container = dict(builder.container)
    if builder.env:
        container["env"] = builder.env
    if builder.service_ports:
        container["ports"] = [
            {"name": port["name"], "containerPort": port["targetPort"], "protocol": port["protocol"]}
            for _, port in sorted(builder.service_ports.items())
        ]
    if found := container_resources(builder):
        container["resources"] = found
    if builder.mounts:
        container["volumeMounts"] = builder.mounts
    if builder.security:
        container["securityContext"] = builder.security
    security = dict(builder.pod_security)
    if not builder.security.get("privileged"):
        # docker applies its own profile to every unprivileged container
        security["seccompProfile"] = {"type": "RuntimeDefault"}
    _low_ports(builder, security)
    pod: Body = {
        "containers": [container],
        "terminationGracePeriodSeconds": DOCKER_GRACE,
        # docker has neither API tokens nor variables for other services
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **builder.pod,
    }
    if builder.volumes:
        pod["volumes"] = builder.volumes
    if security:
        pod["securityContext"] = security
    return pod


def _low_ports(builder: ServiceBuilder, security: Body) -> None:
    """Allow every user to listen on ports below 1024, as docker does, if the service has such a port."""
    name = "net.ipv4.ip_unprivileged_port_start"
    sysctls = list(security.get("sysctls", ()))
    if any(number < _UNPRIVILEGED for number, _ in builder.service_ports) and all(s["name"] != name for s in sysctls):
        security["sysctls"] = [*sysctls, {"name": name, "value": "0"}]
