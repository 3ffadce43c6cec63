"""Tags that moved, images that are gone, and a registry that does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowmaster.cluster.connection import Response
from flowmaster.cluster.errors import ApiError
from flowmaster.compare.finding import FindingClass, ObjectRef
from flowmaster.drift import registry
from flowmaster.drift.coverage import Coverage

WEB = ObjectRef("Deployment", "flowmaster", "web")
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@dataclass
class Registry:
    """Answers with the digests it was given; an integer is the status of a refusal."""

    digests: Mapping[str, str | int]
    asked: list[str] = field(default_factory=list)

    def request(
        self, method: str, path: str, parameters: None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.asked.append(f"{method} {path}")
        answer = self.digests[path.rpartition("/v2/")[2]]
        if isinstance(answer, int):
            raise ApiError("the registry refuses", status=answer)
        return Response(200, {"docker-content-digest": answer}, b"")


def pod(image: str, digest: str) -> dict[str, Any]:
    status = {"containerStatuses": [{"name": "web", "imageID": f"{image.rpartition(':')[0]}@{digest}"}]}
    return {"spec": {"nodeName": "demo", "containers": [{"name": "web", "image": image}]}, "status": status}


def found(image: str, running: str, answer: str | int) -> tuple[list[Any], Registry]:
    images = registry.running_images([WEB], {WEB: [pod(image, running)]})
    asker = Registry({"web/manifests/latest": answer, f"web/manifests/{OLD}": answer})
    return registry.findings(images, registry.look_up_digests(asker, images)), asker


def test_a_tag_that_moved() -> None:
    ((finding,), asker) = found("localhost:30500/web:latest", OLD, NEW)
    assert (finding.cls, finding.object, finding.path) == (FindingClass.STALE, WEB, "pods.containers[web].image")
    assert (finding.live, finding.declared) == (OLD, NEW)
    assert asker.asked == ["HEAD /api/v1/nodes/demo:30500/proxy/v2/web/manifests/latest"]


def test_a_tag_that_did_not_move() -> None:
    assert found("localhost:30500/web:latest", OLD, OLD)[0] == []


def test_a_tag_that_is_gone() -> None:
    ((finding,), _) = found("localhost:30500/web:latest", OLD, 404)
    assert finding.cls is FindingClass.STALE
    assert finding.live == "localhost:30500/web:latest is not in the registry"


def test_a_registry_that_is_down_is_unknown_and_not_clean() -> None:
    ((finding,), _) = found("localhost:30500/web:latest", OLD, 503)
    assert (finding.cls, str(finding.object)) == (FindingClass.UNKNOWN, "Registry/localhost:30500")


def test_a_registry_that_only_nodes_reach_is_not_asked() -> None:
    images = registry.running_images([WEB], {WEB: [pod("ghcr.io/flowmaster/web:latest", OLD)]})
    digests = registry.look_up_digests(Registry({}), images)
    assert digests.unreachable == {"ghcr.io"}
    assert registry.findings(images, digests) == []
    left = registry.coverage(digests, looked_up=True)
    assert left == Coverage(not_looked_at=("tags of ghcr.io (only the nodes can reach it)",))


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("localhost:30500/flowmaster/web:r1", ("localhost:30500", "flowmaster/web", "r1")),
        ("localhost:30500/web", ("localhost:30500", "web", "latest")),
        ("ghcr.io/a/b/c", ("ghcr.io", "a/b/c", "latest")),
        ("nginx:1.2", ("docker.io", "nginx", "1.2")),
        ("library/nginx", ("docker.io", "library/nginx", "latest")),
        (f"localhost:30500/web:r1@{OLD}", ("localhost:30500", "web", OLD)),
        (f"localhost:30500/web@{OLD}", ("localhost:30500", "web", OLD)),
    ],
)
def test_the_parts_of_a_reference(image: str, parts: tuple[str, str, str]) -> None:
    assert registry.split_image(image) == registry.Image(*parts)
