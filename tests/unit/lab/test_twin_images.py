"""Images, and that the hand-made state runs only what the registry has."""

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.twin import handmade, images

LAYER = images.make_layer(b"program")
LISTED = yaml.safe_load(images.LIST.read_text())


def documents() -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted((handmade.SOURCE / "kubernetes").glob("*.yaml"))]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def deployments() -> dict[str, dict[str, Any]]:
    return {body["metadata"]["name"]: body for body in documents() if body["kind"] == "Deployment"}


@pytest.mark.parametrize(
    ("tags", "expanded"),
    [
        (["r34-r36"], ["r34", "r35", "r36"]),
        (["r08-r10"], ["r08", "r09", "r10"]),
        (["r69-fix", "latest", "ea2a29b"], ["r69-fix", "latest", "ea2a29b"]),
    ],
)
def test_ranges_are_written_out_and_other_tags_left_alone(tags: list[str], expanded: list[str]) -> None:
    assert images.expand(tags) == expanded


def test_each_tag_has_a_digest_of_its_own_and_always_the_same() -> None:
    first, again = images.registry_images(LAYER), images.registry_images(LAYER)
    assert [image.digest for image in first] == [image.digest for image in again]
    assert len({image.digest for image in first}) == len(first) > 100


def test_an_image_is_its_configuration_and_the_common_layer() -> None:
    image = images.make_image(LAYER, "flowmaster/agent-service", "r41", port=9016)
    manifest, config = json.loads(image.manifest), json.loads(image.config)
    assert manifest["config"]["digest"] == images.digest(image.config)
    assert [layer["digest"] for layer in manifest["layers"]] == [images.digest(LAYER.compressed)]
    assert config["rootfs"]["diff_ids"] == [images.digest(LAYER.tar)]
    assert {"SERVICE_NAME=agent-service", "VERSION=r41", "PORT=9016"} <= set(config["config"]["Env"])
    assert config["config"]["User"] == "10001:10001"


def test_docker_can_find_every_image_in_an_archive() -> None:
    wanted = images.plane_images(LAYER)
    with tarfile.open(fileobj=io.BytesIO(images.docker_archive(LAYER, wanted))) as archive:
        index = archive.extractfile("manifest.json")
        assert index
        entries = json.load(index)
        assert {name for entry in entries for name in [entry["Config"], *entry["Layers"]]} <= set(archive.getnames())
    assert [tag for entry in entries for tag in entry["RepoTags"]] == [f"{i.repository}:{i.tag}" for i in wanted]


def test_thirty_services_by_hand_as_in_the_list_of_images() -> None:
    found = deployments()
    assert len(found) == 30
    assert set(found) == set(handmade.running_images()) == set(LISTED["services"])
    services = {body["metadata"]["name"]: body for body in documents() if body["kind"] == "Service"}
    assert set(services) == set(found)
    for name, body in services.items():
        assert body["spec"]["ports"][0]["port"] == LISTED["services"][name]["port"]
        pod = found[name]["spec"]["template"]["metadata"]["labels"]
        assert body["spec"]["selector"].items() <= pod.items()


def test_the_registry_has_every_image_that_ran_or_runs() -> None:
    there = {f"{image.repository}:{image.tag}" for image in images.registry_images(LAYER)}
    compose = [path.read_text() for path in handmade.SOURCE.glob("opt/*/*.y*ml")]
    local = [match for text in compose for match in re.findall(r"image: localhost:30500/(\S+)", text)]
    ran = [
        container["image"].partition("/")[2]
        for body in deployments().values()
        for pod in [body["spec"]["template"]["spec"]]
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]
    runs = [image.partition("/")[2] for image in handmade.running_images().values()]
    assert {*local, *ran, *runs} <= there
    assert len(runs) == 30


def test_docker_has_every_image_of_plane() -> None:
    there = {f"{image.repository}:{image.tag}" for image in images.plane_images(LAYER)}
    plane = [
        handmade.SOURCE / "opt" / project / file for project, file in handmade.COMPOSE_PROJECTS if "plane" in project
    ]
    used = {match for path in plane for match in re.findall(r"image: (\S+)", path.read_text())}
    assert used
    assert used <= there


def test_secrets_are_placeholders_only() -> None:
    for path in (handmade.SOURCE / "shared/secrets.yaml", handmade.SOURCE / "opt/sdx/env"):
        text = Path(path).read_text()
        for match in re.findall(r"(?:PASSWORD|SECRET|KEY)\w*[:=]\s*(\S+)", text):
            assert match.startswith("${"), f"{path.name} states {match}"
