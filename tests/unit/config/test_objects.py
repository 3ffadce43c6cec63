"""Objects of any kind, one manifest a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from config.errors import MAX_LINES, ConfigError
from config.objects import read_objects
from config.settings import Settings
from flowmaster.render.manifests import manifests
from flowmaster.render.names import PROVIDER

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {example.com/size: "1"}
spec:
  ingressClassName: ""
  rules: []
"""


def test_each_file_is_an_object_and_a_file_may_have_several(tmp_path: Path) -> None:
    (tmp_path / "ingress-web.yaml").write_text(INGRESS)
    (tmp_path / "two.yml").write_text(
        "---\n" + INGRESS.replace("web", "one") + "---\n---\n" + INGRESS.replace("web", "b")
    )
    (tmp_path / "README.md").write_text("no object")
    found = read_objects(tmp_path)
    assert list(found) == ["ingress-web.yaml", "two.yml #1", "two.yml #2"]
    assert found["two.yml #1"]["metadata"]["name"] == "one"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "is no manifest"),
        ("kind: Ingress", "is no manifest"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "is no manifest"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: Yg==}", "in the clear"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: b}", "in the clear"),
        ("a: 1\na: 2", "occurs twice"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_no_object_is_refused_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_objects(tmp_path)
    assert "bad.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= MAX_LINES


def test_one_object_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(INGRESS)
    (tmp_path / "b.yaml").write_text(INGRESS)
    with pytest.raises(ConfigError, match=r"Ingress/web stands in a\.yaml and in b\.yaml"):
        read_objects(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_objects(tmp_path / "objects")


def test_a_manifest_is_rendered_as_it_stands(demo: Settings, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(INGRESS)
    outside: dict[str, Any] = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}}
    settings = dataclasses.replace(demo, objects={**read_objects(tmp_path), "disk.yaml": outside})
    web, disk = (cast(dict[str, Any], body) for body in manifests(settings)[-2:])
    assert web["metadata"]["namespace"] == demo.namespace
    assert web["metadata"]["annotations"] == {**PROVIDER, "example.com/size": "1"}
    assert web["spec"] == {"ingressClassName": "", "rules": []}
    assert "namespace" not in disk["metadata"]
    assert "annotations" not in outside["metadata"], "the manifest itself stays as it was read"


@pytest.mark.parametrize(
    ("kind", "name"), [("Deployment", "frontend"), ("Service", "redis"), ("Namespace", "flowmaster")]
)
def test_what_the_catalogue_declares_is_not_declared_twice(demo: Settings, kind: str, name: str) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    with pytest.raises(ConfigError, match=f"{kind}/{name}, which the catalogue declares already"):
        dataclasses.replace(demo, objects={"x.yaml": body})


def test_a_custom_resource_may_be_called_like_a_built_in_kind(demo: Settings) -> None:
    body = {"apiVersion": "serving.example.dev/v1", "kind": "Service", "metadata": {"name": "redis"}}
    assert dataclasses.replace(demo, objects={"x.yaml": body}).objects
