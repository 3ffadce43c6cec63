"""The catalogue: what each service is, independent of the server that it runs on."""

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
    """A secret value that the Deployment holds in plain text. The stack keeps it encrypted.

    ``adopt`` finds these. A key of a Secret is better; the change restarts the pods once.
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
    """``true``, or a size limit: a scratch directory that is deleted with the pod."""
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
    """A probe of the kubelet: a TCP connection to the service's port, or an HTTP GET."""

    http: Annotated[str, Field(pattern=r"^/")] | None = None
    """The path of an HTTP GET. Without it, the probe is a TCP connection."""
    port: Port | Name | None = None
    """Number or name of the port. Default: the service's own port."""
    initial_delay: Annotated[int, Field(ge=0)] | None = None
    """Seconds."""
    period: Annotated[int, Field(ge=1)] | None = None
    """Seconds."""
    timeout: Annotated[int, Field(ge=1)] | None = None
    """Seconds."""
    failures: Annotated[int, Field(ge=1)] | None = None
    """Consecutive failures until the container is not ready (readiness) or is restarted (liveness)."""


class Probes(Model):
    """The probes of one service. A probe that is not given does not exist."""

    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None


class Resources(Model):
    """Explicit requests and limits, for services to which the convention does not apply."""

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
    """Conventions by which a service's manifest is rendered. Set once in the catalogue; a service may override them."""

    labels: Literal["recommended", "app"] = "recommended"
    """``recommended``: app.kubernetes.io/*; ``app``: the single label ``app: NAME``."""
    probes: Literal["tcp", "none"] = "tcp"
    """Default probes: ``tcp`` is readiness and liveness by a TCP connection."""
    resources: Literal["memory", "none"] = "memory"
    """``memory``: the catalogue's memory as the request and :func:`memory_limit` of it as the limit."""
    security: Literal["restricted", "none"] = "restricted"
    """``restricted``: no privilege escalation, no capabilities, the runtime's seccomp profile, no API token."""
    port_name: Name | Literal[""] = "http"
    """The name of each service's own port; ``""`` for a port without a name."""
    strategy: Literal["surge", "default"] = "surge"
    """``surge``: never fewer ready pods than replicas during a rollout; ``default``: the default of Kubernetes."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = "Always"
    """``null``: Kubernetes decides by the tag."""


class ServicePort(Model):
    """A port of the Kubernetes Service in addition to, or instead of, the service's own port."""

    name: Name | None = None
    port: Port
    target: Port | Name | None = None
    """Number or name of the container port. Default: the same number as ``port``."""
    node_port: Port | None = None


class Service(Model):
    """One service of FlowMaster: one Deployment and, where it listens, one Kubernetes Service."""

    image: Repository | None = None
    """The image repository. Default: ``REGISTRY/NAME`` with the catalogue's registry."""
    port: Port | None = None
    """The port on which the container listens. If it is unknown, there is no Service and no probe."""
    extra_ports: tuple[ServicePort, ...] = ()
    port_name: Name | Literal[""] | None = None
    """The name of the port in the pod and the Service; ``""`` for no name. Default: the convention."""
    node_port: Port | None = None
    """The port of every node on which the Service is also served."""
    memory: Quantity | None = None
    """The memory request: what the service used when it was last measured."""
    resources: Resources | None = None
    """Explicit requests and limits; overrides ``memory``."""
    env: Mapping[EnvName, EnvValue] = {}
    env_from: tuple[Source, ...] | None = None
    """ConfigMaps and Secrets of which every key becomes a variable. Default: the catalogue's ``envFrom``."""
    volumes: Mapping[Name, Volume] = {}
    probes: Probes | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    selector: Mapping[str, str] | None = None
    """The labels by which Deployment and Service select the pods. Default: the convention."""
    pod_labels: Mapping[str, str] = {}
    """Labels of the pod in addition to the selector."""
    labels: Mapping[str, str] = {}
    """Labels of the Deployment in addition to those of the conventions."""
    annotations: Mapping[str, str] = {}
    """Annotations of the Deployment."""
    pod_annotations: Mapping[str, str] = {}
    conventions: Mapping[str, str | None] = {}
    """Conventions that this service overrides."""
    config_baseline: str | None = None
    """Checksum of the configuration at adoption. The pods are restarted only after it changes (see ``adopt``)."""
    expose: bool = True
    """Whether the service has a Kubernetes Service of the same name."""
    container: Name | None = None
    """The container's name. Default: the service's name."""
    override: Mapping[Literal["deployment", "service"], Body] = {}
    """A JSON merge patch for what the typed fields cannot express. Lists of named elements merge by name."""
    gaps: tuple[str, ...] = ()
    """Open questions: what the server snapshot does not say about this service."""

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
        """Return the conventions that apply to this service."""
        return Conventions.model_validate({**common.model_dump(by_alias=True), **self.conventions})

    @property
    def config_sources(self) -> tuple[Source | SecretKey | ConfigMapKey, ...]:
        """References to ConfigMaps and Secrets in the service's own entry (without the catalogue's ``envFrom``)."""
        keys = tuple(v for v in self.env.values() if isinstance(v, (SecretKey, ConfigMapKey)))
        volumes = tuple(
            Source(config_map=v.config_map, secret=v.secret)
            for v in self.volumes.values()
            if v.config_map is not None or v.secret is not None
        )
        return (*(self.env_from or ()), *keys, *volumes)


class SecretObject(Model):
    """A Secret of the namespace, by its keys. The values are encrypted in the stack, or come from the environment."""

    keys: tuple[str, ...] = ()
    binary_keys: tuple[str, ...] = ()
    """Keys with binary values, which the stack keeps in base64."""
    type: str = "Opaque"
    immutable: bool | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class ConfigMapObject(Model):
    """A ConfigMap of the namespace."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, str] = {}
    """Binary values, in base64."""
    immutable: bool | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class NamespaceObject(Model):
    """Labels and annotations of the namespace."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Catalogue(Model):
    """All services, and what they share."""

    registry: Repository
    """The default registry and repository prefix of images."""
    conventions: Conventions = Conventions()
    namespace: NamespaceObject = NamespaceObject()
    env_from: tuple[Source, ...] = ()
    """Default ``envFrom`` of every service."""
    config_maps: Mapping[DnsName, ConfigMapObject] = {}
    secrets: Mapping[DnsName, SecretObject] = {}
    external_services: Mapping[Name, DnsName] = {}
    """ExternalName services: a name in the namespace, and the host outside that it refers to."""
    raw_services: Mapping[Name, Body] = {}
    """Kubernetes Services that belong to no single Deployment, as manifests: ``metadata`` and ``spec``."""
    objects: str | None = None
    """A folder beside the catalogue with manifests of further objects of the namespace, of any kind."""
    services: Mapping[Name, Service]
    gaps: tuple[str, ...] = ()
    """Open questions: what the server snapshot does not say about the services in general."""

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
        """Return the image repository of a service."""
        return self.services[name].image or f"{self.registry}/{name}"

    def env_from_of(self, name: str) -> tuple[Source, ...]:
        """Return the ConfigMaps and Secrets that a service gets as a whole in its environment."""
        own = self.services[name].env_from
        return self.env_from if own is None else own
