"""What a translation takes besides the project itself, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a project goes to."""

    namespace: str
    registry: str
    """The registry of the cluster's images, without a path: ``localhost:30500``."""
    external_hosts: Mapping[str, str] = field(default_factory=dict)
    """ExternalName services of the namespace, by the ClusterIP of what they stand for; besides the source's own."""
    node_address: str = ""
    """The node's address, where it is another one than the source says."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of every object."""
    selector: str = "app.kubernetes.io/name"
    """The label by which Deployment and Service find their pods."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Data that is copied: a docker volume, or what was mounted from the server's own file system."""

    name: str
    """Of the claim, without the project: `<project>-<name>` is the PersistentVolumeClaim."""
    source_path: str
    """Where it is in docker: the volume's mountpoint, or the path of the bind mount."""
    target_path: str
    """Where it goes on this node; empty where a storage class decides."""
    services: tuple[str, ...]
    read_only: bool
    """Whether no service writes to it."""
    kind: Literal["directory", "file"] = "directory"
    claim: str = ""
    """The PersistentVolumeClaim."""


@dataclass(frozen=True, kw_only=True, order=True)
class Port:
    """A port of the server that docker published, and what is behind it."""

    host_port: int
    service: str
    container_port: int
    host_ip: str = ""
    """The only address of the server that it is published on; empty for all."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One service's image, in docker and in the cluster's registry."""

    docker: str
    """What the compose file calls it."""
    id: str
    """Docker's id of what runs."""
    registry: str
    """What it is pushed as: repository and tag, in the cluster's registry."""
    digest: str | None
    """What the registry calls it; None until it was pushed there."""

    @property
    def repository(self) -> str:
        """Without its tag."""
        return self.registry.rpartition(":")[0]

    @property
    def reference(self) -> str:
        """What the pods run: by digest where that is known."""
        return f"{self.repository}@{self.digest}" if self.digest else self.registry


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A key that has no counterpart in the cluster."""

    key: str
    """Its path, such as ``services.backend.devices``."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Became:
    """A key, and what became of it."""

    key: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A compose project as objects of the cluster. With refusals it is not whole, and nothing is to be made of it."""

    project: str
    bodies: tuple[Body, ...] = field(repr=False)
    """Manifests, but for the addresses of ``aliases`` and digests that only a push tells: :func:`finished`."""
    aliases: Mapping[str, tuple[str, ...]]
    """By service, every name by which others reached it."""
    peers: Mapping[str, Mapping[str, str]]
    """By service, the names that it knew, each with the service behind it."""
    volumes: tuple[Volume, ...]
    ports: tuple[Port, ...]
    images: Mapping[str, Image]
    containers: Mapping[str, tuple[str, ...]]
    """By service, the names of its containers in docker."""
    objects: Mapping[str, str]
    """By service, the name of its Deployment and Service."""
    became: tuple[Became, ...]
    """Every key that was translated."""
    told: tuple[str, ...]
    """What is not quite as it was."""
    refusals: tuple[Refusal, ...]


def finished(
    translation: Translation, addresses: Mapping[str, str], digests: Mapping[str, str] | None = None
) -> tuple[Body, ...]:
    """The manifests with everything in them.

    :param addresses: ClusterIPs by service; those without a Service are left out.
    :param digests: by service, what the registry calls an image that was pushed to it.
    """
    services = {name: service for service, name in translation.objects.items()}
    return tuple(
        with_names(
            body,
            translation.peers.get(services.get(body["metadata"]["name"], ""), {}),
            addresses,
            translation.images.get(services.get(body["metadata"]["name"], "")),
            (digests or {}).get(services.get(body["metadata"]["name"], "")),
        )
        if body["kind"] == "Deployment"
        else body
        for body in translation.bodies
    )


def with_names(
    body: Body, peers: Mapping[str, str], addresses: Mapping[str, str], image: Image | None, digest: str | None
) -> Body:
    """A Deployment with the names of its peers at their addresses, and its image by digest."""
    pod = dict(body["spec"]["template"]["spec"])
    own = list(pod.get("hostAliases", ()))
    taken = {name for entry in own for name in entry["hostnames"]}
    found: dict[str, list[str]] = {}
    for name, service in peers.items():
        if service in addresses and name not in taken:
            found.setdefault(addresses[service], []).append(name)
    own += [{"ip": address, "hostnames": sorted(names)} for address, names in sorted(found.items())]
    if own:
        pod["hostAliases"] = own
    if image is not None and digest is not None:
        first, *rest = pod["containers"]
        pod["containers"] = [{**first, "image": f"{image.repository}@{digest}"}, *rest]
    template = {**body["spec"]["template"], "spec": pod}
    return {**body, "spec": {**body["spec"], "template": template}}
