"""Projects of docker compose that move into the cluster: where each is to be, and what ran when it was read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.base import Model
from config.errors import ConfigError, closest
from config.types import AbsolutePath, Digest, IPv4, Name, Quantity

SEALED = "sealed"
"""In the source, ``{sealed: KEY}`` stands for a value that the project's ``sealed`` keeps, encrypted, under KEY."""
UrlPath = Annotated[str, Field(pattern=r"^/")]
Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Phase(StrEnum):
    """Where a project is."""

    DOCKER = "docker"
    """In docker, as before; nothing of it is in the cluster."""
    SHADOW = "shadow"
    """Docker serves; the cluster has a copy that is ready and serves nobody."""
    CLUSTER = "cluster"
    """The cluster serves; the containers are stopped and kept."""
    RETIRED = "retired"
    """The cluster serves; the containers are gone, the compose file and backups of the volumes are kept."""


class ComposeService(Model):
    """One service of the compose file, with what really runs in place of what the file says."""

    keys: Mapping[str, Any]
    """Every key as `docker compose config` gives it; a value ``{sealed: KEY}`` is in the project's ``sealed``."""
    containers: tuple[str, ...] = ()
    """The names of its containers."""
    running: bool = True
    """Whether they ran when they were read."""
    image: str | None = None
    """Docker's id of the image that runs."""
    digest: Digest | None = None
    """What the stack's registry calls that image, where it has it."""


class ComposeVolume(Model):
    """A named volume, an anonymous one or a bind mount: where its data lies on the server."""

    path: AbsolutePath
    kind: Literal["directory", "file", "socket", "other"] = "directory"
    bytes: int | None = None
    """How much there was in it when it was read."""
    keys: Mapping[str, Any] = {}
    """Its keys in the compose file."""


class ComposeSource(Model):
    """What ran when it was read. Written by `flowmaster compose`, never by hand."""

    files: Mapping[str, Checksum]
    """The SHA-256 of the compose file and its env files."""
    node_address: IPv4 | None = None
    """The node's own address: what containers call ``host-gateway``."""
    external_hosts: Mapping[IPv4, Name] = {}
    """ExternalName services of the namespace, by the ClusterIP of what they stand for."""
    services: Mapping[str, ComposeService]
    volumes: Mapping[str, ComposeVolume] = {}
    """By what the services call them: the volume's name, or the bind mount's path."""
    networks: Mapping[str, Mapping[str, Any]] = {}
    configs: Mapping[str, Mapping[str, Any]] = {}
    secrets: Mapping[str, Mapping[str, Any]] = {}
    other: tuple[str, ...] = ()
    """Every other key at the top of the file, by name only."""


class ComposeStorage(Model):
    """Where the volumes' data lies once it is in the cluster."""

    path: AbsolutePath = "/var/lib/flowmaster/volumes"
    """The folder on this node, for volumes of no storage class."""
    storage_class: Name | None = None
    """A storage class that makes the volumes, in place of the folder."""
    size: Quantity = "1Gi"
    """What each volume asks for. A folder on the node holds nobody to it; a storage class may."""


class ComposeProject(Model):
    """One project of docker compose, and where it is to be."""

    folder: AbsolutePath
    """Where its compose file lies on the server."""
    phase: Phase = Phase.DOCKER
    skip: bool = False
    """Whether a phase may be skipped on the way forwards."""
    source: ComposeSource | None = None
    """What ran when it was read. Written by `flowmaster compose`, never by hand."""
    sealed: Mapping[str, SecretStr] = Field(default={}, repr=False)
    """The secret values of the source, encrypted."""
    checks: Mapping[str, UrlPath] = {}
    """By service, a path that must be answered before the project is moved; else ``/`` of each published port."""
    storage: ComposeStorage = ComposeStorage()

    @model_validator(mode="after")
    def _source_for_phase(self) -> Self:
        if self.source is None and self.phase is not Phase.DOCKER:
            raise ConfigError(
                f"phase {self.phase} with no source",
                "there is nothing to say what is to run in the cluster",
                "let `flowmaster compose PROJECT` read the server and write it",
            )
        return self

    @model_validator(mode="after")
    def _checks_of_services(self) -> Self:
        for name in self.checks if self.source else ():
            known = self.source.services if self.source else {}
            if name not in known:
                raise ConfigError(
                    f"checks.{name}: no such service in the source{closest(name, known)}",
                    f"services: {', '.join(known)}",
                    "correct the name",
                )
        return self
