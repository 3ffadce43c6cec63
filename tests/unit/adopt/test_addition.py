"""One more object is added to what was adopted: the rest of both files stays as it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.catalogue import Catalogue
from config.load import validate
from config.settings import Settings
from config.stack import Stack
from flowmaster.adopt import addition
from flowmaster.adopt.adoption import Adoption, drafts
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.provable import DEFAULTS
from flowmaster.cluster.connection import Response
from flowmaster.cluster.reader import LiveState
from tests.unit.adopt.bodies import NAMESPACE, REGISTRY, Body, config_map, deployment, state
from tests.unit.adopt.test_provable import Server

MARKS = {"at": "2026-11-25T00:00:00Z", "uid": "u"}
STACK: Body = {
    "cluster": {"context": "any", "namespace": NAMESPACE, "uid": "u"},
    "host": {"address": "h", "user": "u"},
    "services": {},
    "adopted": MARKS,
    "rules": [
        {
            "kind": "Deployment",
            "name": name,
            "path": "",
            "class": "foreign",
            "action": "ignore",
            "why": "was there when the namespace was taken over",
        }
        for name in ("web", "other")
    ],
}
CATALOGUE = f"""\
# written by hand
registry: {REGISTRY}
conventions: {{labels: app, probes: none, resources: none, security: none, strategy: default, portName: http}}
configMaps:
  texts:  # what the pages say
    data: {{a: b}}
services: {{}}
"""


class Cluster(Server):
    """With an identity."""

    def get(self, path: str) -> Body:
        """The identity of the cluster."""
        assert path == "/api/v1/namespaces/kube-system"
        return {"metadata": {"uid": "u"}}

    def request(self, method: str, path: str, *more: Any) -> Response:
        """No kinds besides those that are known."""
        if method == "GET":
            found: Body = {"groups": []} if path == "/apis" else {"resources": []}
            return Response(200, {}, json.dumps(found).encode())
        return super().request(method, path, *more)


@pytest.fixture
def live() -> LiveState:
    reads: Body = {"envFrom": [{"configMapRef": {"name": "texts"}}]}
    return state(config_map("texts", {"a": "b"}), deployment("web", **reads), deployment("other"))


def added(live: LiveState, folder: Path, *only: str, catalogue_text: str = CATALOGUE, **stack: Any) -> Adoption | None:
    (folder / "catalogue.yaml").write_text(catalogue_text)
    config = {f"flowmaster:{key}": value for key, value in STACK.items()}
    (folder / "Pulumi.shop.yaml").write_text(yaml.safe_dump({"config": config}, sort_keys=False))
    settings = Settings(
        name="shop",
        stack=validate(Stack, {**STACK, "catalogue": "catalogue.yaml", **stack}, "the test"),
        catalogue=validate(Catalogue, yaml.safe_load(catalogue_text), "the test"),
        environ={},
    )
    api: Any = Cluster(live)
    return addition.prepare(api, settings, live, frozenset(only), DEFAULTS, folder)


def test_it_is_described_with_the_references_to_what_is_there(live: LiveState, tmp_path: Path) -> None:
    adoption = added(live, tmp_path, "Deployment/web")
    assert adoption is not None
    assert [str(proof.ref) for proof in adoption.proofs] == ["Deployment/web"]
    entry = adoption.settings.services["web"]
    assert [source.config_map for source in entry.env_from or ()] == ["texts"]
    assert entry.config_baseline


def test_both_files_have_it_and_are_else_as_they_were(live: LiveState, tmp_path: Path) -> None:
    adoption = added(live, tmp_path, "Deployment/web")
    assert adoption is not None
    stack, catalogue, _ = drafts(adoption, tmp_path)
    old, new = (yaml.safe_load(text)["config"] for text in (stack.before, stack.after))
    assert new["flowmaster:services"] == {"web": {"tag": "r1"}}
    assert [rule["name"] for rule in new["flowmaster:rules"]] == ["other"]
    assert {k: v for k, v in new.items() if k not in ("flowmaster:services", "flowmaster:rules")} == {
        k: v for k, v in old.items() if k not in ("flowmaster:services", "flowmaster:rules")
    }
    assert "# written by hand" in catalogue.after
    assert "texts:  # what the pages say" in catalogue.after
    assert set(yaml.safe_load(catalogue.after)["services"]) == {"web"}


def test_what_is_declared_already_needs_nothing(live: LiveState, tmp_path: Path) -> None:
    assert added(live, tmp_path, "ConfigMap/texts") is None


@pytest.mark.parametrize(
    ("only", "stack", "words"),
    [
        ("Deployment/wbe", {}, "--only Deployment/wbe: there is no such object"),
        ("Deployment/web", {"adopted": None}, "was not adopted yet"),
    ],
)
def test_what_cannot_be_added_is_refused(
    live: LiveState, tmp_path: Path, only: str, stack: dict[str, Any], words: str
) -> None:
    with pytest.raises(AdoptionError, match=words):
        added(live, tmp_path, only, **stack)


def test_what_a_controller_keeps_is_refused_with_its_keeper(live: LiveState, tmp_path: Path) -> None:
    for _, body in live.of("Deployment"):
        body["metadata"]["annotations"] = {"meta.helm.sh/release-name": "shop"}
    with pytest.raises(AdoptionError, match="Deployment/web: kept by Helm"):
        added(live, tmp_path, "Deployment/web")


def test_an_object_that_an_entry_would_give_labels_is_added_as_a_manifest(live: LiveState, tmp_path: Path) -> None:
    usual = CATALOGUE.replace("labels: app", "labels: recommended")
    live.objects.update(state(config_map("notes", {"c": "d"})).objects)
    adoption = added(live, tmp_path, "ConfigMap/notes", catalogue_text=usual)
    assert adoption is not None
    [(where, body)] = adoption.settings.objects.items()
    assert where == "configmap-notes.yaml"
    assert body["data"] == {"c": "d"}
    assert "notes" not in adoption.settings.catalogue.config_maps
