"""The part of a translation that moving a project needs, as plain data without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from config.compose import ComposeProject
from config.errors import UserError
from flowmaster.compose.result import Translation

SHADOW_PORT_OFFSET = 10000
"""Distance of a shadow port from the real port."""


@dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """A port published on the server, and the service behind it."""

    port: int
    service: str
    target: int
    """Port of the container, and of the Service."""
    address: str = ""
    """The loopback address that docker published it on; empty for every IPv4 address of the server."""

    @property
    def redirect(self) -> list[Any]:
        """The firewall rule for it: the real port, the shadow port, and the address unless that is any."""
        return [self.port, self.shadow_port, *([self.address] if self.address else [])]

    @property
    def shadow_port(self) -> int:
        """The port that nginx listens on while docker holds the real one."""
        return (
            self.port + SHADOW_PORT_OFFSET if self.port + SHADOW_PORT_OFFSET < 65536 else self.port - SHADOW_PORT_OFFSET
        )


@dataclass(frozen=True, kw_only=True)
class DataVolume:
    """A volume, and its path on either side."""

    name: str
    docker: str
    cluster: str
    services: tuple[str, ...]
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What has to be known to move a compose project."""

    project: str
    folder: str
    ports: tuple[PublishedPort, ...]
    data: tuple[DataVolume, ...]
    objects: Mapping[str, str]
    """By service, the name of its Deployment and Service."""
    images: Mapping[str, Mapping[str, str]]
    """By service: `id`, `name` in the registry, `digest` if known."""
    checks: Mapping[str, str]
    files: Mapping[str, str]
    """SHA-256 of the compose file and its env files at translation, by path."""
    bytes: int = 0
    """Size of the volumes when they were read."""
    site: str = field(init=False)
    """Name of the nginx site that serves the ports."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", site_name(self.project))

    @property
    def writers(self) -> tuple[str, ...]:
        """Services that write to volumes: only one replica at a time may run."""
        return tuple(sorted({service for entry in self.data if not entry.read_only for service in entry.services}))

    @property
    def copied(self) -> tuple[DataVolume, ...]:
        """The volumes that are copied in both directions: those that some service writes to."""
        return tuple(entry for entry in self.data if not entry.read_only)

    def to_properties(self) -> dict[str, Any]:
        """As properties of a resource."""
        found = asdict(self)
        del found["site"]
        # where there is none it is left out: a project that has none was moved before there were addresses
        found["ports"] = [{k: v for k, v in port.items() if k != "address" or v} for port in found["ports"]]
        return found

    @classmethod
    def from_properties(cls, data: Mapping[str, Any]) -> Transfer:
        """Build from a resource's properties, in which Pulumi stores numbers as floats."""
        ports = [
            PublishedPort(**{**port, "port": int(port["port"]), "target": int(port["target"])})
            for port in data["ports"]
        ]
        volumes = [DataVolume(**{**entry, "services": tuple(entry["services"])}) for entry in data["data"]]
        return cls(**{**data, "ports": tuple(ports), "data": tuple(volumes), "bytes": int(data["bytes"])})


def site_name(project: str) -> str:
    """Return the name of the nginx site that serves a project's ports."""
    return f"compose-{project.replace('_', '-')}"


def transfer_of(translation: Translation, settings: ComposeProject) -> Transfer:
    """Extract what moving the project needs.

    :raises UserError: if a volume cannot be copied back.
    """
    elsewhere = [volume.name for volume in translation.volumes if not volume.target_path and not volume.read_only]
    if elsewhere:
        raise UserError(
            f"{translation.project}: {', '.join(elsewhere)} would be stored by the storage class "
            f"{settings.storage.storage_class}",
            "data is copied between folders on the server, and the folder of such a volume is unknown",
            "leave out storage.storageClass, or set storage.path to the class's folder",
        )
    source = settings.source
    kept = source.volumes if source else {}
    return Transfer(
        project=translation.project,
        folder=settings.folder,
        ports=tuple(
            PublishedPort(port=p.host_port, service=p.service, target=p.container_port, address=p.host_ip)
            for p in translation.ports
        ),
        data=tuple(
            DataVolume(
                name=v.name, docker=v.source_path, cluster=v.target_path, services=v.services, read_only=v.read_only
            )
            for v in translation.volumes
            if v.target_path
        ),
        objects=dict(translation.objects),
        images={
            service: {"id": image.id, "name": image.registry, "digest": image.digest or ""}
            for service, image in translation.images.items()
        },
        checks=dict(settings.checks),
        files=dict(source.files) if source else {},
        bytes=sum(volume.bytes or 0 for volume in kept.values()),
    )
