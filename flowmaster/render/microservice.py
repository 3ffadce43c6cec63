"""Bodies of a service: its Deployment and, if it listens, its Service."""

from __future__ import annotations

import hashlib
import json
from decimal import ROUND_CEILING, Decimal
from typing import Any, cast

from config.catalogue import ConfigMapKey, EnvValue, FieldPath, Probe, Sealed, SecretKey, Source, Volume
from config.settings import Settings
from config.types import quantity_value
from flowmaster.render import names, namespace
from flowmaster.render.kubernetes_types import (
    Container,
    ContainerPort,
    DeploymentBody,
    DeploymentSpec,
    EnvFrom,
    EnvVar,
    Metadata,
    PodMetadata,
    PodSpec,
    ProbeBody,
    ResourcesBody,
    ServiceBody,
    ServicePortBody,
    VolumeMount,
)
from flowmaster.render.override import merge

SEALED = "$sealed"
MEBIBYTE = Decimal(1024**2)


def memory_limit(request: str) -> str:
    """Return the memory limit for a request: twice the request, at least 128Mi.

    The request is what a service used while idle; with less than 128Mi, building a large response would kill it.
    """
    twice = (2 * quantity_value(request) / MEBIBYTE).to_integral_value(ROUND_CEILING)
    return f"{max(twice, Decimal(128))}Mi"


def deployment(settings: Settings, name: str) -> DeploymentBody:
    """Return the Deployment of a service, override applied."""
    entry, conventions = settings.services[name], settings.conventions(name)
    metadata = _metadata(settings, name)
    metadata["annotations"] = {**names.PROVIDER, **entry.annotations}
    pod: PodMetadata = {"labels": names.pod_labels(settings, name)}
    annotations = {**entry.pod_annotations, **_checksum_annotation(settings, name)}
    if annotations:
        pod["annotations"] = annotations
    spec: DeploymentSpec = {
        "replicas": settings.release(name).replicas,
        "selector": {"matchLabels": names.selector(settings, name)},
        "template": {"metadata": pod, "spec": _pod_spec(settings, name)},
    }
    if conventions.strategy == "surge":
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    body: DeploymentBody = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    return cast(DeploymentBody, _unsealed(settings, name, merge(body, entry.override.get("deployment", {}))))


def _unsealed(settings: Settings, name: str, body: Any) -> Any:
    """Return the body with sealed values in place of the override's references `{$sealed: KEY}`."""
    if isinstance(body, dict):
        if set(body) == {SEALED}:
            return settings.sealed_value(name, str(body[SEALED]))
        return {key: _unsealed(settings, name, value) for key, value in body.items()}
    if isinstance(body, list):
        return [_unsealed(settings, name, part) for part in body]
    return body


def service(settings: Settings, name: str) -> ServiceBody | None:
    """Return the Service of a service, override applied; None if its port is unknown."""
    entry = settings.services[name]
    ports = _service_ports(settings, name)
    if not ports or not entry.expose:
        return None
    metadata = _metadata(settings, name)
    metadata["annotations"] = dict(names.PROVIDER)
    node_ports = any("nodePort" in port for port in ports)
    body: ServiceBody = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "NodePort" if node_ports else "ClusterIP",
            "selector": names.selector(settings, name),
            "ports": ports,
        },
    }
    address = settings.release(name).cluster_ip
    if address:
        body["spec"]["clusterIP"] = address
    return cast(ServiceBody, merge(body, entry.override.get("service", {})))


def config_checksum(settings: Settings, name: str) -> str:
    """Return a hash (16 hexadecimal digits) of the ConfigMaps and Secrets that the service reads.

    Whole objects are hashed together, so that no short secret can be guessed from it.
    """
    entry = settings.services[name]
    references = [*settings.catalogue.env_from_of(name), *entry.config_sources]
    config_maps = sorted({n for r in references if (n := getattr(r, "config_map", None))})
    secrets = sorted({n for r in references if (n := getattr(r, "secret", None))})
    content: list[Any] = [
        [dict(entry.data), dict(entry.binary_data)]
        for entry in map(settings.catalogue.config_maps.get, config_maps)
        if entry
    ]
    content += [namespace.secret(settings, n).get("data", {}) for n in secrets]
    if not content:
        return ""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _checksum_annotation(settings: Settings, name: str) -> dict[str, str]:
    checksum = config_checksum(settings, name)
    # No annotation while the configuration is that of the adoption, so that pods are not rolled.
    if not checksum or checksum == settings.services[name].config_baseline:
        return {}
    return {names.CONFIG_CHECKSUM: checksum}


def _metadata(settings: Settings, name: str) -> Metadata:
    return {"name": name, "namespace": settings.namespace, "labels": names.object_labels(settings, name)}


def _pod_spec(settings: Settings, name: str) -> PodSpec:
    entry = settings.services[name]
    spec: PodSpec = {"containers": [_container(settings, name)]}
    if entry.volumes:
        spec["volumes"] = [_volume(volume_name, volume) for volume_name, volume in entry.volumes.items()]
    if settings.conventions(name).security == "restricted":
        spec["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
        spec["automountServiceAccountToken"] = False
    return spec


def _container(settings: Settings, name: str) -> Container:
    entry, conventions = settings.services[name], settings.conventions(name)
    container: Container = {"name": entry.container or name, "image": settings.image(name)}
    if conventions.image_pull_policy:
        container["imagePullPolicy"] = conventions.image_pull_policy
    if entry.command is not None:
        container["command"] = list(entry.command)
    if entry.args is not None:
        container["args"] = list(entry.args)
    ports = _container_ports(settings, name)
    if ports:
        container["ports"] = ports
    if entry.env:
        container["env"] = [_env(settings, name, variable, value) for variable, value in entry.env.items()]
    sources = settings.catalogue.env_from_of(name)
    if sources:
        container["envFrom"] = [_env_from(source) for source in sources]
    resources = _resources(settings, name)
    if resources:
        container["resources"] = resources
    if entry.volumes:
        container["volumeMounts"] = [_mount(volume_name, volume) for volume_name, volume in entry.volumes.items()]
    _add_probes(container, settings, name)
    if conventions.security == "restricted":
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return container


def _container_ports(settings: Settings, name: str) -> list[ContainerPort]:
    entry = settings.services[name]
    ports: list[ContainerPort] = []
    if entry.port is not None:
        ports.append({"containerPort": entry.port, "protocol": "TCP"})
        if port_name := _port_name(settings, name):
            ports[0]["name"] = port_name
    for extra in entry.extra_ports:
        number = extra.port if extra.target is None else extra.target
        if isinstance(number, int):
            port: ContainerPort = {"containerPort": number, "protocol": "TCP"}
            if extra.name:
                port["name"] = extra.name
            ports.append(port)
    return ports


def _port_name(settings: Settings, name: str) -> str:
    own = settings.services[name].port_name
    return settings.conventions(name).port_name if own is None else own


def _service_ports(settings: Settings, name: str) -> list[ServicePortBody]:
    entry = settings.services[name]
    ports: list[ServicePortBody] = []
    if entry.port is not None:
        main: ServicePortBody = {"port": entry.port, "targetPort": entry.port, "protocol": "TCP"}
        if port_name := _port_name(settings, name):
            main["name"] = port_name
        if entry.node_port:
            main["nodePort"] = entry.node_port
        ports.append(main)
    for extra in entry.extra_ports:
        port: ServicePortBody = {"port": extra.port, "targetPort": extra.target or extra.port, "protocol": "TCP"}
        if extra.name:
            port["name"] = extra.name
        if extra.node_port:
            port["nodePort"] = extra.node_port
        ports.append(port)
    return ports


def _env(settings: Settings, service_name: str, name: str, value: EnvValue) -> EnvVar:
    match value:
        case Sealed():
            return {"name": name, "value": settings.sealed_value(service_name, name)}
        case SecretKey():
            return {"name": name, "valueFrom": {"secretKeyRef": {"name": value.secret, "key": value.key}}}
        case ConfigMapKey():
            return {"name": name, "valueFrom": {"configMapKeyRef": {"name": value.config_map, "key": value.key}}}
        case FieldPath():
            return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": value.field}}}
        case str():
            return {"name": name, "value": value}


def _env_from(source: Source) -> EnvFrom:
    if source.secret:
        return {"secretRef": {"name": source.secret}}
    return {"configMapRef": {"name": source.config_map or ""}}


def _resources(settings: Settings, name: str) -> ResourcesBody:
    entry = settings.services[name]
    if entry.resources is not None:
        own: ResourcesBody = {}
        if entry.resources.requests:
            own["requests"] = {str(k): v for k, v in entry.resources.requests.items()}
        if entry.resources.limits:
            own["limits"] = {str(k): v for k, v in entry.resources.limits.items()}
        return own
    if entry.memory is None or settings.conventions(name).resources == "none":
        return {}
    return {"requests": {"memory": entry.memory}, "limits": {"memory": memory_limit(entry.memory)}}


def _volume(name: str, volume: Volume) -> dict[str, Any]:
    if volume.config_map:
        return {"name": name, "configMap": {"name": volume.config_map}}
    if volume.secret:
        return {"name": name, "secret": {"secretName": volume.secret}}
    if volume.host_path:
        return {"name": name, "hostPath": {"path": volume.host_path}}
    return {"name": name, "emptyDir": {"sizeLimit": volume.empty_dir} if isinstance(volume.empty_dir, str) else {}}


def _mount(name: str, volume: Volume) -> VolumeMount:
    mount: VolumeMount = {"name": name, "mountPath": volume.mount_path}
    if volume.read_only:
        mount["readOnly"] = True
    return mount


def _add_probes(container: Container, settings: Settings, name: str) -> None:
    entry = settings.services[name]
    if entry.probes is not None:
        if entry.probes.readiness:
            container["readinessProbe"] = _probe(entry.probes.readiness, entry.port)
        if entry.probes.liveness:
            container["livenessProbe"] = _probe(entry.probes.liveness, entry.port)
        if entry.probes.startup:
            container["startupProbe"] = _probe(entry.probes.startup, entry.port)
    elif entry.port is not None and settings.conventions(name).probes == "tcp":
        # Readiness is checked often. A restart needs three minutes of failures, so that a slow service is not killed.
        container["readinessProbe"] = _probe(Probe(period=5, failures=3), entry.port)
        container["livenessProbe"] = _probe(Probe(initial_delay=15, period=20, failures=9), entry.port)


def _probe(probe: Probe, service_port: int | None) -> ProbeBody:
    port = probe.port or service_port or 0
    body: ProbeBody = {"httpGet": {"path": probe.http, "port": port}} if probe.http else {"tcpSocket": {"port": port}}
    if probe.initial_delay is not None:
        body["initialDelaySeconds"] = probe.initial_delay
    if probe.period is not None:
        body["periodSeconds"] = probe.period
    if probe.timeout is not None:
        body["timeoutSeconds"] = probe.timeout
    if probe.failures is not None:
        body["failureThreshold"] = probe.failures
    return body
