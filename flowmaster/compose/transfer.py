"""What is moved, in plain words: everything that a move needs to know of a translation, and nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from config.compose import ComposeProject
from config.errors import UserError
from flowmaster.compose.result import Translation

BESIDE = 10000
"""How far from its own nginx listens while docker holds a port."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A port of the server, and what answers there."""

    port: int
    service: str
    target: int
    """The service's own port, in its container and at its ClusterIP."""

    @property
    def beside(self) -> int:
        """Where nginx listens while docker holds the port."""
        return self.port + BESIDE if self.port + BESIDE < 65536 else self.port - BESIDE


@dataclass(frozen=True, kw_only=True)
class Data:
    """A volume, and where it lies on either side."""

    name: str
    docker: str
    cluster: str
    services: tuple[str, ...]
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A compose project as far as moving it goes."""

    project: str
    folder: str
    ports: tuple[Published, ...]
    data: tuple[Data, ...]
    objects: Mapping[str, str]
    """By service, the name of its Deployment and Service."""
    images: Mapping[str, Mapping[str, str]]
    """By service: `id`, `name` in the registry, `digest` where it is known."""
    checks: Mapping[str, str]
    files: Mapping[str, str]
    """The compose file and its env files as they were translated, by hash."""
    bytes: int = 0
    """How much the volumes held when they were read."""
    site: str = field(init=False)
    """The site of nginx that serves the ports."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", site_name(self.project))

    @property
    def writers(self) -> tuple[str, ...]:
        """Services that write into volumes: no two of one may run at once."""
        return tuple(sorted({service for entry in self.data if not entry.read_only for service in entry.services}))

    @property
    def copied(self) -> tuple[Data, ...]:
        """The volumes that go back and forth; what nobody writes to stays what it is in docker."""
        return tuple(entry for entry in self.data if not entry.read_only)

    def plain(self) -> dict[str, Any]:
        """As properties of a resource."""
        found = asdict(self)
        del found["site"]
        return found

    @classmethod
    def of_plain(cls, data: Mapping[str, Any]) -> Moved:
        """From the properties of a resource; numbers may have become floats on the way."""
        ports = [Published(port=int(p["port"]), service=p["service"], target=int(p["target"])) for p in data["ports"]]
        volumes = [Data(**{**entry, "services": tuple(entry["services"])}) for entry in data["data"]]
        return cls(**{**data, "ports": tuple(ports), "data": tuple(volumes), "bytes": int(data["bytes"])})


def site_name(project: str) -> str:
    """The file of nginx that serves a project's ports."""
    return f"compose-{project.replace('_', '-')}"


def moved(translation: Translation, settings: ComposeProject) -> Moved:
    """What a move needs to know.

    :raises UserError: where something of the project cannot be moved.
    """
    elsewhere = [volume.name for volume in translation.volumes if not volume.target_path and not volume.read_only]
    if elsewhere:
        raise UserError(
            f"{translation.project}: {', '.join(elsewhere)} would be kept by the storage class "
            f"{settings.storage.storage_class}",
            "data is copied from folder to folder on the server, and nobody knows where such a class puts it",
            "leave storage.storageClass out, or give the volume that class's folder with storage.path",
        )
    source = settings.source
    kept = source.volumes if source else {}
    return Moved(
        project=translation.project,
        folder=settings.folder,
        ports=tuple(Published(port=p.host_port, service=p.service, target=p.container_port) for p in translation.ports),
        data=tuple(
            Data(name=v.name, docker=v.source_path, cluster=v.target_path, services=v.services, read_only=v.read_only)
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
