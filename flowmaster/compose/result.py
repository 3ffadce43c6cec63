"""Inputs of a translation besides the project, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The cluster that a project moves to."""

    namespace: str
    registry: str
    """The registry of the cluster's images, without a path: ``localhost:30500``."""
    external_hosts: Mapping[str, str] = field(default_factory=dict)
    """ExternalName services of the namespace, by the ClusterIP that they stand for; added to those of the source."""
    node_address: str = ""
    """The node's address, if it differs from the one in the source."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every object gets."""
    selector: str = "app.kubernetes.io/name"
    """The label by which Deployment and Service select their pods."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Data to copy: a docker volume, or a bind mount of the server's file system."""

    name: str
    """Name without the project: the PersistentVolumeClaim is `<project>-<name>`."""
    source_path: str
    """Path in docker: the volume's mountpoint, or the path of the bind mount."""
    target_path: str
    """Path on the node; empty if a storage class decides."""
    services: tuple[str, ...]
    read_only: bool
    """Whether every service mounts it read-only."""
    kind: Literal["directory", "file"] = "directory"
    claim: str = ""
    """Name of the PersistentVolumeClaim."""


@dataclass(frozen=True, kw_only=True, order=True)
class Port:
    """A port that docker published on the server, and the service behind it."""

    host_port: int
    service: str
    container_port: int
    host_ip: str = ""
    """The address of the server that it is published on; empty for all."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One service's image, in docker and in the cluster's registry."""

    docker: str
    """Reference in the compose file."""
    id: str
    """Docker's id of the running image."""
    registry: str
    """Repository and tag that it is pushed to in the cluster's registry."""
    digest: str | None
    """Digest in the registry; None until it is pushed."""

    @property
    def repository(self) -> str:
        """The registry reference without its tag."""
        return self.registry.rpartition(":")[0]

    @property
    def reference(self) -> str:
        """The image of the pods: by digest if it is known, else by tag."""
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
class KeyResult:
    """What a key was translated to."""

    key: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A compose project as Kubernetes objects. With refusals it is incomplete and must not be applied."""

    project: str
    bodies: tuple[Body, ...] = field(repr=False)
    """Manifests without addresses of peers and digests of images still to push (:func:`final_bodies` adds both)."""
    aliases: Mapping[str, tuple[str, ...]]
    """By service, every name by which other services reached it."""
    peers: Mapping[str, Mapping[str, str]]
    """By service, the names that it could resolve, each with the service behind it."""
    volumes: tuple[Volume, ...]
    ports: tuple[Port, ...]
    images: Mapping[str, Image]
    containers: Mapping[str, tuple[str, ...]]
    """By service, the names of its containers in docker."""
    objects: Mapping[str, str]
    """By service, the name of its Deployment and Service."""
    results: tuple[KeyResult, ...]
    """One entry for each translated key."""
    notes: tuple[str, ...]
    """Differences between docker and the cluster, for the user."""
    refusals: tuple[Refusal, ...]


def final_bodies(
    translation: Translation, addresses: Mapping[str, str], digests: Mapping[str, str] | None = None
) -> tuple[Body, ...]:
    """Return the manifests with peer addresses and image digests filled in.

    :param addresses: ClusterIPs by compose service; compose services without a Service are left out.
    :param digests: digests of pushed images, by compose service.
    """
    services = {name: service for service, name in translation.objects.items()}
    return tuple(
        _with_host_aliases(
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


def _with_host_aliases(
    body: Body, peers: Mapping[str, str], addresses: Mapping[str, str], image: Image | None, digest: str | None
) -> Body:
    """Return a Deployment with host aliases for its peers, and its image by digest."""
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
