"""The manifests of a project that was translated."""

from __future__ import annotations

import base64
import hashlib
import json

from flowmaster.compose.context import Context, Work
from flowmaster.compose.result import Body
from flowmaster.compose.service.lifecycle import DOCKER_GRACE
from flowmaster.compose.service.resources import resources
from flowmaster.render.names import CONFIG_CHECKSUM, PROVIDER

_UNPRIVILEGED = 1024


def shared(context: Context) -> list[Body]:
    """The Secret and the ConfigMap of the project, where it has any."""
    found: list[Body] = []
    if context.secret_data:
        data = {k: base64.b64encode(v.encode()).decode() for k, v in sorted(context.secret_data.items())}
        metadata = context.metadata(context.secret_name, PROVIDER)
        found.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
    if context.config_maps:
        metadata = context.metadata(f"{context.project}-configs", PROVIDER)
        data = dict(sorted(context.config_maps.items()))
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return found


def volumes(context: Context) -> list[Body]:
    """A claim for each volume, and the volume itself where it is a folder of this node."""
    found: list[Body] = []
    storage = context.settings.storage
    for _, volume in sorted(context.volumes.items()):
        name = f"{context.surroundings.namespace}-{volume.claim}"
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
                            "namespace": context.surroundings.namespace,
                            "name": volume.claim,
                        },
                        "hostPath": {"path": volume.target_path, "type": kind},
                    },
                }
            )
        found.append(claim)
    return found


def service(context: Context, work: Work) -> Body:
    """The Service before a compose service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _named(context, work),
        "spec": {
            "type": "ClusterIP",
            "selector": {context.surroundings.selector: work.object},
            "ports": [port for _, port in sorted(work.service_ports.items())],
        },
    }


def _named(context: Context, work: Work) -> Body:
    metadata = context.metadata(work.object, PROVIDER)
    metadata["labels"] = {context.surroundings.selector: work.object, **metadata["labels"]}
    return metadata


def deployment(context: Context, work: Work) -> Body:
    """The Deployment of a compose service."""
    metadata = _named(context, work)
    pod: Body = {"labels": dict(metadata["labels"])}
    annotations = dict(work.annotations)
    if work.uses_secrets or any("configMap" in volume for volume in work.volumes):
        annotations[CONFIG_CHECKSUM] = _checksum(context)
    if annotations:
        pod["annotations"] = annotations
    # One that writes must be gone before the next begins; all others are never fewer than they should be.
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": work.replicas,
            "selector": {"matchLabels": {context.surroundings.selector: work.object}},
            "strategy": {"type": "Recreate"} if work.writes else surge,
            "template": {"metadata": pod, "spec": _pod(work)},
        },
    }


def _checksum(context: Context) -> str:
    """Over all of them, so that no single short secret can be guessed from it."""
    content = [sorted(context.secret_data.items()), sorted(context.config_maps.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _pod(work: Work) -> Body:
    container = dict(work.container)
    if work.env:
        container["env"] = work.env
    if work.service_ports:
        container["ports"] = [
            {"name": port["name"], "containerPort": port["targetPort"], "protocol": port["protocol"]}
            for _, port in sorted(work.service_ports.items())
        ]
    if found := resources(work):
        container["resources"] = found
    if work.mounts:
        container["volumeMounts"] = work.mounts
    if work.security:
        container["securityContext"] = work.security
    security = dict(work.pod_security)
    if not work.security.get("privileged"):
        # docker has a profile of its own for every container that is not privileged
        security["seccompProfile"] = {"type": "RuntimeDefault"}
    _low_ports(work, security)
    pod: Body = {
        "containers": [container],
        "terminationGracePeriodSeconds": DOCKER_GRACE,
        # docker knows neither: an API token in each container, and variables for each Service of the namespace
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **work.pod,
    }
    if work.volumes:
        pod["volumes"] = work.volumes
    if security:
        pod["securityContext"] = security
    return pod


def _low_ports(work: Work, security: Body) -> None:
    """Docker lets every user listen on ports below 1024; so does this sysctl, where there is such a port."""
    name = "net.ipv4.ip_unprivileged_port_start"
    sysctls = list(security.get("sysctls", ()))
    if any(number < _UNPRIVILEGED for number, _ in work.service_ports) and all(s["name"] != name for s in sysctls):
        security["sysctls"] = [*sysctls, {"name": name, "value": "0"}]
