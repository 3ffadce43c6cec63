"""Docker Compose projects that move into the cluster: the desired phase of each, and what ran when it was read."""

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
    """Phases of a project's migration."""

    DOCKER = "docker"
    """Docker serves, as before; the cluster has nothing of it."""
    SHADOW = "shadow"
    """Docker serves; the cluster has a ready copy without traffic."""
    CLUSTER = "cluster"
    """The cluster serves; the containers are stopped and kept."""
    RETIRED = "retired"
    """The cluster serves; the containers are gone, the compose file and backups of the volumes are kept."""


class ComposeService(Model):
    """One service of the compose file, as it runs."""

    keys: Mapping[str, Any]
    """All keys as `docker compose config` prints them. A value ``{sealed: KEY}`` refers to the project's ``sealed``."""
    containers: tuple[str, ...] = ()
    """The names of its containers."""
    running: bool = True
    """Whether the containers ran when they were read."""
    image: str | None = None
    """Docker's ID of the running image."""
    digest: Digest | None = None
    """Digest of that image in the stack's registry, if it is there."""


class ComposeVolume(Model):
    """A named volume, an anonymous volume or a bind mount, with the path of its data on the server."""

    path: AbsolutePath
    kind: Literal["directory", "file", "socket", "other"] = "directory"
    bytes: int | None = None
    """Size in bytes when it was read."""
    keys: Mapping[str, Any] = {}
    """Keys of the volume in the compose file."""


class ComposeSource(Model):
    """The project as it ran when it was read. Written by `flowmaster compose`, never by hand."""

    files: Mapping[str, Checksum]
    """SHA-256 of the compose file and its env files, by path."""
    node_address: IPv4 | None = None
    """The address of the node, which containers know as ``host-gateway``."""
    external_hosts: Mapping[IPv4, Name] = {}
    """ExternalName services of the namespace, by the ClusterIP of the Service that they refer to."""
    services: Mapping[str, ComposeService]
    volumes: Mapping[str, ComposeVolume] = {}
    """Volumes by the name that services use: the volume's name, or the path of a bind mount."""
    networks: Mapping[str, Mapping[str, Any]] = {}
    configs: Mapping[str, Mapping[str, Any]] = {}
    secrets: Mapping[str, Mapping[str, Any]] = {}
    other: tuple[str, ...] = ()
    """Names of all other top-level keys of the file."""


class ComposeStorage(Model):
    """Storage of the volumes in the cluster."""

    path: AbsolutePath = "/var/lib/flowmaster/volumes"
    """The folder on the node for volumes without a storage class."""
    storage_class: Name | None = None
    """The storage class that provisions the volumes, instead of the folder."""
    size: Quantity = "1Gi"
    """Requested size of each volume. A folder on the node does not enforce it; a storage class may."""


class ComposeProject(Model):
    """One Docker Compose project, and its desired phase."""

    folder: AbsolutePath
    """The folder of the compose file on the server."""
    phase: Phase = Phase.DOCKER
    skip: bool = False
    """Whether the project may skip a phase on the way forward."""
    source: ComposeSource | None = None
    """The project as it ran when it was read. Written by `flowmaster compose`, never by hand."""
    sealed: Mapping[str, SecretStr] = Field(default={}, repr=False)
    """The secret values of the source, encrypted."""
    checks: Mapping[str, UrlPath] = {}
    """By service, a path that must answer before the project moves. Default: ``/`` of each published port."""
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
