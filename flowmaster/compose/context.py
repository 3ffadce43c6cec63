"""What the translation of one project works on: the project as a whole, and one service of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.compose import SEALED, ComposeProject, ComposeService, ComposeSource
from flowmaster.compose.coverage import Account, Keys
from flowmaster.compose.result import Body, Image, Port, Surroundings, Volume
from flowmaster.compose.units import readdressed, slug

PROJECT_LABEL = "flowmaster.ai/compose-project"
"""On every object, the compose project that it comes from."""


@dataclass
class Context:
    """A project while it is translated."""

    project: str
    settings: ComposeProject
    source: ComposeSource
    surroundings: Surroundings
    account: Account
    objects: dict[str, str] = field(default_factory=dict)
    """Deployment and Service by compose service."""
    secret_data: dict[str, str] = field(default_factory=dict)
    """What goes into the project's Secret."""
    config_maps: dict[str, str] = field(default_factory=dict)
    """Inline configs that are used: their text by name."""
    volumes: dict[str, Volume] = field(default_factory=dict)
    ports: list[Port] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    hosts: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = {**self.source.external_hosts, **self.surroundings.external_hosts}
        self.objects = {name: slug(f"{self.project}-{name}") for name in self.source.services}

    @property
    def secret_name(self) -> str:
        """The project's Secret."""
        return f"{self.project}-secrets"

    @property
    def node_address(self) -> str:
        """The node's own address; empty where nobody knows it."""
        return self.surroundings.node_address or self.source.node_address or ""

    def metadata(self, name: str, provider: Mapping[str, str], namespaced: bool = True) -> Body:
        """Name, labels and annotations of an object."""
        found: Body = {"name": name}
        if namespaced:
            found["namespace"] = self.surroundings.namespace
        found["labels"] = {**self.surroundings.labels, PROJECT_LABEL: self.project}
        found["annotations"] = dict(provider)
        return found

    def readdressed(self, path: str, text: str, secret: bool = False) -> str:
        """A text with names for the addresses that ExternalName services stand for, and told so."""
        result = readdressed(text, self.hosts)
        if result != text:
            changed = ", ".join(f"{ip} is now {name}" for ip, name in self.hosts.items() if ip in text)
            self.account.tell(f"{path}: {changed}" + (" (within a secret)" if secret else ""))
        return result

    def secret(self, path: str, value: Any) -> str | None:
        """The key of the project's Secret for a sealed value; None where it cannot be had, which is then refused."""
        key = str(value[SEALED])
        given = self.settings.sealed.get(key)
        if given is None:
            self.account.refuse(
                path,
                "is sealed, and the stack has no value for it",
                f"pulumi config set --secret --path 'flowmaster:compose.{self.project}.sealed[\"{key}\"]'",
            )
            return None
        self.secret_data[key] = self.readdressed(path, given.get_secret_value(), secret=True)
        return key


@dataclass
class Work:
    """One service while it is translated: the pod as far as it is made."""

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
    """Whether it writes to a volume."""
    uses_secrets: bool = False

    @property
    def account(self) -> Account:
        """The project's account."""
        return self.context.account

    @property
    def object(self) -> str:
        """The name of its Deployment and Service."""
        return self.context.objects[self.name]

    def become(self, key: str, what: str) -> None:
        """A key of the service was translated."""
        self.account.become(self.keys.at(key), what)

    def refuse(self, key: str, reason: str, remedy: str) -> None:
        """A key of the service has no counterpart."""
        self.account.refuse(self.keys.at(key), reason, remedy)

    def tell(self, text: str) -> None:
        """Something about the service is not quite as it was."""
        self.account.tell(f"{self.name}: {text}")


def is_sealed(value: object) -> bool:
    """Whether a value stands for one that is kept encrypted."""
    return isinstance(value, Mapping) and set(value) == {SEALED}
