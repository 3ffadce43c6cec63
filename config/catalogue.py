"""The catalogue: what each service is, whichever server it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from config.base import Model
from config.errors import ConfigError
from config.types import DnsName, EnvName, Name, Port, Quantity, Repository, quantity_value

Body = dict[str, Any]


class SecretKey(Model):
    """One key of a Secret."""

    secret: DnsName
    key: str


class ConfigMapKey(Model):
    """One key of a ConfigMap."""

    config_map: DnsName
    key: str


class FieldPath(Model):
    """A field of the pod itself, such as ``status.podIP``."""

    field: str


class Sealed(Model):
    """A value that the Deployment holds in the clear, but that is a secret: the stack keeps it, encrypted.

    Found by ``adopt``; better made a key of a Secret one day, which restarts the pods once.
    """

    sealed: Literal[True]


EnvValue = str | SecretKey | ConfigMapKey | FieldPath | Sealed


class Source(Model):
    """A whole ConfigMap or Secret, for ``envFrom`` or a volume: exactly one of the two."""

    config_map: DnsName | None = None
    secret: DnsName | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.config_map is None) == (self.secret is None):
            raise ConfigError(
                "a source names one object",
                "found both or neither of configMap and secret",
                "write either configMap: NAME or secret: NAME",
            )
        return self


class Volume(Model):
    """A directory mounted into the service's container: exactly one of the four sources."""

    mount_path: Annotated[str, Field(pattern=r"^/")]
    config_map: DnsName | None = None
    secret: DnsName | None = None
    host_path: Annotated[str, Field(pattern=r"^/")] | None = None
    empty_dir: Quantity | bool | None = None
    """``true``, or the size limit of a scratch directory that lives as long as the pod."""
    read_only: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [n for n in ("config_map", "secret", "host_path", "empty_dir") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ConfigError(
                f"the volume at {self.mount_path} has {len(given)} sources",
                "a volume comes from one place: configMap, secret, hostPath or emptyDir",
            )
        return self


class Probe(Model):
    """How the kubelet asks a service whether it is well: a TCP connection to its port, or an HTTP path."""

    http: Annotated[str, Field(pattern=r"^/")] | None = None
    """The path to GET on the service's port; a TCP connection where there is none."""
    port: Port | Name | None = None
    """Another port than the service's own, by number or name."""
    initial_delay: Annotated[int, Field(ge=0)] | None = None
    """Seconds."""
    period: Annotated[int, Field(ge=1)] | None = None
    """Seconds."""
    timeout: Annotated[int, Field(ge=1)] | None = None
    """Seconds."""
    failures: Annotated[int, Field(ge=1)] | None = None
    """Failures in a row before the container counts as not ready (readiness) or is restarted (liveness)."""


class Probes(Model):
    """The probes of one service; one that is left out is not made."""

    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None


class Resources(Model):
    """Requests and limits, written out, where the rule of the conventions does not fit."""

    requests: Mapping[Literal["cpu", "memory", "ephemeral-storage"], Quantity] = {}
    limits: Mapping[Literal["cpu", "memory", "ephemeral-storage"], Quantity] = {}

    @model_validator(mode="after")
    def _limit_above_request(self) -> Self:
        for name, limit in self.limits.items():
            request = self.requests.get(name)
            if request and quantity_value(request) > quantity_value(limit):
                raise ConfigError(
                    f"the {name} request {request} is above its limit {limit}",
                    "Kubernetes refuses such a pod",
                    f"raise limits.{name} or lower requests.{name}",
                )
        return self


class Conventions(Model):
    """How the body of a service is made from its entry. The catalogue sets them once; a service may differ."""

    labels: Literal["recommended", "app"] = "recommended"
    """``recommended``: app.kubernetes.io/*; ``app``: the one label ``app: NAME``, as on many a server."""
    probes: Literal["tcp", "none"] = "tcp"
    """What a service without probes of its own gets: readiness and liveness by a TCP connection, or none."""
    resources: Literal["memory", "none"] = "memory"
    """``memory``: the catalogue's memory as the request and :func:`memory_limit` of it as the limit."""
    security: Literal["restricted", "none"] = "restricted"
    """``restricted``: no privilege escalation, no capabilities, the runtime's seccomp profile, no API token."""
    port_name: Name | Literal[""] = "http"
    """The name of each service's own port; ``""``: it has none."""
    strategy: Literal["surge", "default"] = "surge"
    """``surge``: never fewer ready pods than replicas during an update; ``default``: as Kubernetes has it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = "Always"
    """``null``: Kubernetes decides by the tag."""


class ServicePort(Model):
    """A port of the Kubernetes Service besides, or other than, the service's own port."""

    name: Name | None = None
    port: Port
    target: Port | Name | None = None
    """The container's port by number or name; the same number where left out."""
    node_port: Port | None = None


class Service(Model):
    """One service of FlowMaster: one Deployment and, where it listens, one Kubernetes Service."""

    image: Repository | None = None
    """The image's repository; ``REGISTRY/NAME`` of the catalogue where left out."""
    port: Port | None = None
    """Where the container listens; left out only where nobody knows: then there is no Service and no probe."""
    extra_ports: tuple[ServicePort, ...] = ()
    port_name: Name | Literal[""] | None = None
    """The name of the port in the pod and the Service, where it is not that of the conventions; ``""`` for none."""
    node_port: Port | None = None
    """Also served on this port of every node."""
    memory: Quantity | None = None
    """What it used when last seen: the memory request."""
    resources: Resources | None = None
    """Requests and limits written out; overrides ``memory``."""
    env: Mapping[EnvName, EnvValue] = {}
    env_from: tuple[Source, ...] | None = None
    """ConfigMaps and Secrets whose every key becomes a variable; the catalogue's ``envFrom`` where left out."""
    volumes: Mapping[Name, Volume] = {}
    probes: Probes | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    selector: Mapping[str, str] | None = None
    """The labels by which Deployment and Service find the pods, where the conventions do not give them."""
    pod_labels: Mapping[str, str] = {}
    """Labels of the pod besides the selector."""
    labels: Mapping[str, str] = {}
    """Labels of the Deployment besides those of the conventions."""
    annotations: Mapping[str, str] = {}
    """Annotations of the Deployment."""
    pod_annotations: Mapping[str, str] = {}
    conventions: Mapping[str, str | None] = {}
    """Where this service differs from the catalogue's conventions."""
    config_baseline: str | None = None
    """Checksum of its configuration when it was taken over: pods are rolled only once it differs (see ``adopt``)."""
    expose: bool = True
    """Whether there is a Kubernetes Service of the same name before it."""
    container: Name | None = None
    """The container's name; the service's own where left out."""
    override: Mapping[Literal["deployment", "service"], Body] = {}
    """A JSON merge patch of what the typed fields above cannot say; lists of named things merge by name."""
    gaps: tuple[str, ...] = ()
    """What the snapshot of the server does not tell about this service, in words."""

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        targets = [self.port, *(p.target if p.target is not None else p.port for p in self.extra_ports)]
        seen: set[object] = set()
        for port in (p for p in targets if p is not None):
            if port in seen:
                raise ConfigError(
                    f"port {port} is given twice within one pod",
                    "two listeners cannot share a port: the second one's container would crash at start",
                    "give each of port and extraPorts a number of its own",
                )
            seen.add(port)
        return self

    def conventions_over(self, common: Conventions) -> Conventions:
        """The conventions in force for this service."""
        return Conventions.model_validate({**common.model_dump(by_alias=True), **self.conventions})

    @property
    def config_sources(self) -> tuple[Source | SecretKey | ConfigMapKey, ...]:
        """Every reference to a ConfigMap or Secret of its own entry (without the catalogue's ``envFrom``)."""
        keys = tuple(v for v in self.env.values() if isinstance(v, (SecretKey, ConfigMapKey)))
        volumes = tuple(
            Source(config_map=v.config_map, secret=v.secret)
            for v in self.volumes.values()
            if v.config_map is not None or v.secret is not None
        )
        return (*(self.env_from or ()), *keys, *volumes)


class SecretObject(Model):
    """A Secret of the namespace: which keys it has. Their values come from the stack, encrypted, or the environment."""

    keys: tuple[str, ...] = ()
    binary_keys: tuple[str, ...] = ()
    """Keys whose values are not text: the stack has them in base64."""
    type: str = "Opaque"
    immutable: bool | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class ConfigMapObject(Model):
    """A ConfigMap of the namespace."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, str] = {}
    """Values that are not text, in base64."""
    immutable: bool | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class NamespaceObject(Model):
    """The namespace itself."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Catalogue(Model):
    """Every service, and what they share."""

    registry: Repository
    """Where the images of the services are kept, unless a service says otherwise."""
    conventions: Conventions = Conventions()
    namespace: NamespaceObject = NamespaceObject()
    env_from: tuple[Source, ...] = ()
    """What every service gets in its environment, unless it says otherwise."""
    config_maps: Mapping[DnsName, ConfigMapObject] = {}
    secrets: Mapping[DnsName, SecretObject] = {}
    external_services: Mapping[Name, DnsName] = {}
    """ExternalName services: a name inside the namespace for a host outside of it."""
    raw_services: Mapping[Name, Body] = {}
    """Kubernetes Services that belong to no single Deployment, as they are: ``metadata`` and ``spec``."""
    objects: str | None = None
    """A folder beside the catalogue with further objects of the namespace, of any kind: one YAML file an object, as a
    manifest has it."""
    services: Mapping[Name, Service]
    gaps: tuple[str, ...] = ()
    """What the snapshot of the server does not tell about any service, in words."""

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        exposed = {name for name, service in self.services.items() if service.expose}
        both = exposed & set(self.external_services) or (exposed | set(self.external_services)) & set(self.raw_services)
        if both:
            raise ConfigError(
                f"{sorted(both)[0]!r} is both a service and an external service or a raw one",
                "one name is one Service of the namespace: the second would take the first one's place",
                "rename one of them",
            )
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        for name, service in self.services.items():
            for source in (*service.config_sources, *self.env_from):
                self._check_source(name, source)
        return self

    def _check_source(self, service: str, source: Source | SecretKey | ConfigMapKey) -> None:
        secret = getattr(source, "secret", None)
        kind, name = ("secrets", secret) if secret else ("configMaps", getattr(source, "config_map", None))
        known: Mapping[str, Any] = self.secrets if secret else self.config_maps
        if name not in known:
            raise ConfigError(
                f"services.{service} uses {name!r}, which is not among {kind}",
                f"its pods could not start; known: {', '.join(known) or 'none'}",
                f"add {name} to {kind} of the catalogue, or correct the name",
            )

    def image_of(self, name: str) -> str:
        """The image repository of a service."""
        return self.services[name].image or f"{self.registry}/{name}"

    def env_from_of(self, name: str) -> tuple[Source, ...]:
        """The whole ConfigMaps and Secrets in a service's environment."""
        own = self.services[name].env_from
        return self.env_from if own is None else own
