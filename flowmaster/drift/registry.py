"""Looks up the digests that tags refer to now, in the server's registry through the API server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from flowmaster.cluster.defaults import Body
from flowmaster.cluster.errors import ApiError
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.coverage import Coverage

MANIFEST_TYPES = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_PARALLEL_REQUESTS = 8
_NODE_LOCAL = "localhost:"


class Response(Protocol):
    """The properties used of a response."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, by lower-case name."""


class Client(Protocol):
    """The methods used of a connection."""

    def request(
        self, method: str, path: str, parameters: None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request; raises ApiError on failure."""


@dataclass(frozen=True, slots=True)
class Image:
    """A parsed image reference. `reference` is the tag, or the digest if there is one."""

    registry: str
    repository: str
    reference: str

    def __str__(self) -> str:
        separator = "@" if self.reference.startswith("sha256:") else ":"
        return f"{self.registry}/{self.repository}{separator}{self.reference}"


def split_image(image: str) -> Image:
    """Parse an image reference; the default registry is Docker Hub."""
    first, _, rest = image.partition("/")
    if not rest or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "docker.io", image
    repository, _, digest = rest.partition("@")
    name, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        return Image(first, name, digest or tag)
    return Image(first, repository, digest or "latest")


def registry_path(node: str, registry: str) -> str:
    """Return the node proxy's path to a registry at `localhost:PORT` on the node."""
    return f"/api/v1/nodes/{node}:{registry.partition(':')[2]}/proxy/v2"


def manifest_path(node: str, image: Image) -> str:
    """Return the node proxy's path to an image's manifest."""
    return f"{registry_path(node, image.registry)}/{image.repository}/manifests/{image.reference}"


@dataclass
class Digests:
    """Digests by image (None for an image not in the registry), and registries that could not be queried."""

    found: dict[Image, str | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image of a running container: the reference in its spec, and the digest that was pulled."""

    owner: ObjectRef
    container: str
    image: Image
    digest: str
    node: str


def running_images(refs: Iterable[ObjectRef], pods: Mapping[ObjectRef, list[Body]]) -> list[RunningImage]:
    """Return the images of these workloads' containers, if the node reports a digest."""
    return [image for ref in refs for pod in pods.get(ref, ()) for image in _of_pod(ref, pod)]


def _of_pod(ref: ObjectRef, pod: Body) -> Iterable[RunningImage]:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    asked = {part["name"]: part.get("image", "") for part in (*(spec.get("initContainers") or ()), *spec["containers"])}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        _, at, digest = str(container.get("imageID") or "").rpartition("@")
        name = container["name"]
        if at and name in asked and spec.get("nodeName"):
            yield RunningImage(ref, name, split_image(asked[name]), digest, spec["nodeName"])


def look_up_digests(api: Client, images: Iterable[RunningImage]) -> Digests:
    """Look up every image once. Only registries on the node are queried. Never raises."""
    digests = Digests()
    nodes: dict[Image, str] = {}
    for run in images:
        if run.image.registry.startswith(_NODE_LOCAL):
            nodes.setdefault(run.image, run.node)
        else:
            digests.unreachable.add(run.image.registry)
    if not nodes:
        return digests
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        tasks = {image: pool.submit(digest_of, api, node, image) for image, node in nodes.items()}
    for image, task in tasks.items():
        try:
            digests.found[image] = task.result()
        except ApiError as err:
            digests.problems[image.registry] = f"asked through the API server's node proxy: {err.reason}"
    return digests


def digest_of(api: Client, node: str, image: Image) -> str | None:
    """Return the digest of an image in its registry; None if the registry does not have it.

    :raises ApiError: if the registry cannot be queried.
    """
    try:
        answer = api.request("HEAD", manifest_path(node, image), headers={"Accept": MANIFEST_TYPES})
    except ApiError as err:
        if err.status == 404:
            return None
        raise
    return answer.headers.get("docker-content-digest", "")


def coverage(digests: Digests, *, looked_up: bool) -> Coverage:
    """Return how many tags were looked up, and the registries that were not asked or did not answer."""
    if not looked_up:
        return Coverage(not_looked_at=("tags (--no-registry)",))
    left = [f"tags of {name} (only the nodes can reach it)" for name in sorted(digests.unreachable)]
    left += [f"tags of {name} (it does not answer)" for name in sorted(digests.problems)]
    return Coverage(tags=len(digests.found), not_looked_at=tuple(left))


def findings(images: Iterable[RunningImage], digests: Digests) -> list[Finding]:
    """Return findings for containers whose tag moved since, and for images missing in the registry."""
    found: dict[tuple[ObjectRef, str], Finding] = {}
    for run in images:
        if run.image not in digests.found:
            continue
        now, key = digests.found[run.image], (run.owner, run.container)
        path = f"pods.containers[{run.container}].image"
        if now is None:
            note = "a pod that has to pull it cannot start"
            missing = f"{run.image} is not in the registry"
            found[key] = Finding(FindingClass.STALE, run.owner, path, Change.STATE, missing, str(run.image), note=note)
        elif now and now != run.digest:
            note = f"{run.image.reference} was pushed again; a restarted pod runs the new image"
            found[key] = Finding(FindingClass.STALE, run.owner, path, Change.STATE, run.digest, now, note=note)
    unasked = [
        Finding(
            FindingClass.UNKNOWN, ObjectRef("Registry", "", registry), change=Change.STATE, live=reason,
            note="tags may have been pushed again unnoticed",
        )
        for registry, reason in digests.problems.items()
    ]  # fmt: skip
    return [*unasked, *found.values()]
