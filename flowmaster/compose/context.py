"""State of a translation in progress: the project, and one service of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.compose import SEALED, ComposeProject, ComposeService, ComposeSource
from flowmaster.compose.coverage import Coverage, Keys
from flowmaster.compose.result import Body, Image, Port, Target, Volume
from flowmaster.compose.units import replace_addresses, slug

PROJECT_LABEL = "flowmaster.ai/compose-project"
"""Label on every object: the compose project that it comes from."""


@dataclass
class Context:
    """A project being translated."""

    project: str
    settings: ComposeProject
    source: ComposeSource
    target: Target
    coverage: Coverage
    objects: dict[str, str] = field(default_factory=dict)
    """Name of Deployment and Service, by compose service."""
    secret_data: dict[str, str] = field(default_factory=dict)
    """Data of the project's Secret."""
    config_maps: dict[str, str] = field(default_factory=dict)
    """Inline configs in use: text by name."""
    volumes: dict[str, Volume] = field(default_factory=dict)
    ports: list[Port] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    hosts: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = {**self.source.external_hosts, **self.target.external_hosts}
        self.objects = {name: slug(f"{self.project}-{name}") for name in self.source.services}

    @property
    def secret_name(self) -> str:
        """Name of the project's Secret."""
        return slug(f"{self.project}-secrets")

    @property
    def configs_name(self) -> str:
        """The name of the project's ConfigMap."""
        return slug(f"{self.project}-configs")

    @property
    def node_address(self) -> str:
        """Address of the node; empty if unknown."""
        return self.target.node_address or self.source.node_address or ""

    def metadata(self, name: str, provider: Mapping[str, str], namespaced: bool = True) -> Body:
        """Name, labels and annotations of an object."""
        found: Body = {"name": name}
        if namespaced:
            found["namespace"] = self.target.namespace
        found["labels"] = {**self.target.labels, PROJECT_LABEL: self.project}
        found["annotations"] = dict(provider)
        return found

    def replace_addresses(self, path: str, text: str, secret: bool = False) -> str:
        """Replace addresses by the names of ExternalName services that stand for them."""
        result = replace_addresses(text, self.hosts)
        if result != text:
            changed = ", ".join(f"{ip} is now {name}" for ip, name in self.hosts.items() if ip in text)
            self.coverage.note(f"{path}: {changed}" + (" (within a secret)" if secret else ""))
        return result

    def secret(self, path: str, value: Any) -> str | None:
        """Return the key in the project's Secret of a sealed value; None, and a refusal, if the stack has none."""
        key = str(value[SEALED])
        given = self.settings.sealed.get(key)
        if given is None:
            self.coverage.refuse(
                path,
                "is sealed, but the stack has no value for it",
                f"flowmaster secret set compose/{self.project}/{key}",
            )
            return None
        self.secret_data[key] = self.replace_addresses(path, given.get_secret_value(), secret=True)
        return key


@dataclass
class ServiceBuilder:
    """A service being translated: the pod as built so far."""

    context: Context
    name: str
    entry: ComposeService
    keys: Keys
    pod: Body = field(default_factory=dict)
    container: Body = field(default_factory=dict)
    security: Body = field(default_factory=dict)
    """The container's security context."""
    pod_security: Body = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    volumes: list[Body] = field(default_factory=list)
    mounts: list[Body] = field(default_factory=list)
    env: list[Body] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    """Of the pod."""
    service_ports: dict[tuple[int, str], Body] = field(default_factory=dict)
    """Ports of the Service, by number and protocol."""
    replicas: int = 1
    writes: bool = False
    """Whether the service writes to a volume."""
    uses_secrets: bool = False

    @property
    def coverage(self) -> Coverage:
        """The project's record of translated and refused keys."""
        return self.context.coverage

    @property
    def object(self) -> str:
        """The name of its Deployment and Service."""
        return self.context.objects[self.name]

    def record(self, key: str, what: str) -> None:
        """Record what a key of the service was translated to."""
        self.coverage.record(self.keys.path_of(key), what)

    def refuse(self, key: str, reason: str, remedy: str) -> None:
        """Refuse a key of the service that has no counterpart in Kubernetes."""
        self.coverage.refuse(self.keys.path_of(key), reason, remedy)

    def note(self, text: str) -> None:
        """Note a difference between the service in docker and in the cluster."""
        self.coverage.note(f"{self.name}: {text}")


def is_sealed(value: object) -> bool:
    """Return whether a value is a reference to an encrypted one."""
    return isinstance(value, Mapping) and set(value) == {SEALED}
