"""What tags stand for now, asked of the registry on the server through the API server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from flowmaster.cluster.defaults import Body
from flowmaster.cluster.errors import ApiError
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef

MANIFEST_TYPES = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_AT_ONCE = 8
_NODE_LOCAL = "localhost:"


class Answer(Protocol):
    """What is needed of a response."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by name in lower case."""


class Asker(Protocol):
    """What is needed of a connection."""

    def request(
        self, method: str, path: str, parameters: None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """An answer that is no error."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image reference, taken apart. `reference` is the tag, or the digest where one is given."""

    registry: str
    repository: str
    reference: str

    def __str__(self) -> str:
        separator = "@" if self.reference.startswith("sha256:") else ":"
        return f"{self.registry}/{self.repository}{separator}{self.reference}"


def split_image(image: str) -> Image:
    """The parts of a reference; what names no registry is Docker Hub's."""
    first, _, rest = image.partition("/")
    if not rest or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "docker.io", image
    repository, _, digest = rest.partition("@")
    name, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        return Image(first, name, digest or tag)
    return Image(first, repository, digest or "latest")


def registry_path(node: str, registry: str) -> str:
    """The API server's path to a registry that is `localhost:PORT` to the node (its node proxy)."""
    return f"/api/v1/nodes/{node}:{registry.partition(':')[2]}/proxy/v2"


def manifest_path(node: str, image: Image) -> str:
    """The API server's path to an image's manifest."""
    return f"{registry_path(node, image.registry)}/{image.repository}/manifests/{image.reference}"


@dataclass
class Digests:
    """What the registry says: the digest of each image it has, None for one it has not; or why it cannot be asked."""

    found: dict[Image, str | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    not_asked: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Running:
    """An image that a container runs: under which name it was asked for, and what it was when it was pulled."""

    owner: ObjectRef
    container: str
    image: Image
    digest: str
    node: str


def running(refs: Iterable[ObjectRef], pods: Mapping[ObjectRef, list[Body]]) -> list[Running]:
    """What the containers of these workloads run, as far as their node says it by digest."""
    return [image for ref in refs for pod in pods.get(ref, ()) for image in _of_pod(ref, pod)]


def _of_pod(ref: ObjectRef, pod: Body) -> Iterable[Running]:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    asked = {part["name"]: part.get("image", "") for part in (*(spec.get("initContainers") or ()), *spec["containers"])}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        _, at, digest = str(container.get("imageID") or "").rpartition("@")
        name = container["name"]
        if at and name in asked and spec.get("nodeName"):
            yield Running(ref, name, split_image(asked[name]), digest, spec["nodeName"])


def look_up(api: Asker, images: Iterable[Running]) -> Digests:
    """Ask for every image once. Registries that only the nodes can reach are not asked. Never raises."""
    digests = Digests()
    nodes: dict[Image, str] = {}
    for run in images:
        if run.image.registry.startswith(_NODE_LOCAL):
            nodes.setdefault(run.image, run.node)
        else:
            digests.not_asked.add(run.image.registry)
    if not nodes:
        return digests
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = {image: pool.submit(digest_of, api, node, image) for image, node in nodes.items()}
    for image, task in tasks.items():
        try:
            digests.found[image] = task.result()
        except ApiError as err:
            digests.problems[image.registry] = f"asked through the API server's node proxy: {err.reason}"
    return digests


def digest_of(api: Asker, node: str, image: Image) -> str | None:
    """The digest that the registry has for an image, or None where it has no such image.

    :raises ApiError: where the registry cannot be asked.
    """
    try:
        answer = api.request("HEAD", manifest_path(node, image), headers={"Accept": MANIFEST_TYPES})
    except ApiError as err:
        if err.status == 404:
            return None
        raise
    return answer.headers.get("docker-content-digest", "")


def findings(images: Iterable[Running], digests: Digests) -> list[Finding]:
    """Containers that run something else than their tag stands for now, and images that are not there any more."""
    found: dict[tuple[ObjectRef, str], Finding] = {}
    for run in images:
        if run.image not in digests.found:
            continue
        now, key = digests.found[run.image], (run.owner, run.container)
        path = f"pods.containers[{run.container}].image"
        if now is None:
            note = "a pod that has to pull it again cannot start"
            missing = f"{run.image} is not in the registry"
            found[key] = Finding(FindingClass.STALE, run.owner, path, Change.STATE, missing, str(run.image), note=note)
        elif now and now != run.digest:
            note = f"{run.image.reference} was pushed again; a pod that is started again runs the new one"
            found[key] = Finding(FindingClass.STALE, run.owner, path, Change.STATE, run.digest, now, note=note)
    unasked = [
        Finding(
            FindingClass.UNKNOWN, ObjectRef("Registry", "", registry), change=Change.STATE, live=reason,
            note="whether tags were pushed again cannot be told",
        )
        for registry, reason in digests.problems.items()
    ]  # fmt: skip
    return [*unasked, *found.values()]
