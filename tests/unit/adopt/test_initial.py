"""A stack for a namespace that runs already: nothing is overwritten, and what is wrong is said in time."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import load
from config.errors import ConfigError
from flowmaster.adopt.initial import NewStack, check_free, file_texts, write

PULUMI = """#!/bin/sh
case "$2" in
  init) {init} ;;
  ls) echo '[{{"name": "shop", "resourceCount": {resources}}}]' ;;
esac
"""


class Api:
    """An API server that has two namespaces and some Deployments."""

    server = "https://shop.example.com:6443"

    def __init__(self, *images: str) -> None:
        self.images = images

    def get(self, path: str) -> Any:
        if path == "/api/v1/namespaces":
            return {"items": [{"metadata": {"name": name}} for name in ("default", "shop")]}
        if path.endswith("kube-system"):
            return {"metadata": {"uid": "6f2d"}}
        pods = [{"spec": {"template": {"spec": {"containers": [{"image": image}]}}}} for image in self.images]
        return {"items": pods}


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewStack:
    for name in (load.CONFIG_FILE_VARIABLE, load.CATALOGUE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return NewStack(name="shop", context="c", namespace="shop", host=None, root=tmp_path)


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def made(init: str, resources: int = 0) -> None:
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "pulumi"
        program.write_text(PULUMI.format(init=init, resources=resources))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    return made


def test_the_files_say_where_and_nothing_runs_yet(first: NewStack, pulumi: Callable[..., None]) -> None:
    pulumi("echo 'encryptionsalt: v1:x' > Pulumi.shop.yaml")
    config, catalogue = file_texts(first, Api("r.io/shop/a:1", "r.io/shop/b@sha256:0", "redis"))  # type: ignore[arg-type]
    write(first, config, catalogue, None)
    written = yaml.safe_load(first.stack_file.read_text())
    assert written == {
        "config": {
            "flowmaster:cluster": {"context": "c", "namespace": "shop", "uid": "6f2d"},
            "flowmaster:host": {"address": "shop.example.com"},
            "flowmaster:catalogue": "config/shop.yaml",
            "flowmaster:services": {},
        },
        "encryptionsalt": "v1:x",
    }
    assert yaml.safe_load((first.root / "config/shop.yaml").read_text()) == {"registry": "r.io/shop", "services": {}}
    settings = load.from_file("shop", first.root)
    assert (settings.namespace, dict(settings.services)) == ("shop", {})
    with pytest.raises(ConfigError, match="exists, with the configuration of a stack"):
        check_free(first)


def test_a_stack_that_pulumi_made_before_is_taken(first: NewStack, pulumi: Callable[..., None]) -> None:
    pulumi("echo 'error: stack already exists' >&2; exit 1")
    first.stack_file.write_text("encryptionsalt: v1:y\n")
    check_free(first)
    write(first, *file_texts(first, Api()), None)  # type: ignore[arg-type]
    assert yaml.safe_load(first.stack_file.read_text())["encryptionsalt"] == "v1:y"


@pytest.mark.parametrize(("init", "resources"), [("echo no >&2; exit 1", 7), ("echo passphrase >&2; exit 255", 3)])
def test_what_pulumi_refuses_leaves_nothing(
    first: NewStack, pulumi: Callable[..., None], init: str, resources: int
) -> None:
    pulumi(init, resources)
    with pytest.raises(ConfigError, match="pulumi does not make the stack shop"):
        write(first, *file_texts(first, Api()), None)  # type: ignore[arg-type]
    assert not first.stack_file.exists()
    assert not first.catalogue_file.exists()


def test_a_namespace_that_is_not_there_is_refused_with_the_closest(first: NewStack) -> None:
    other = NewStack(name="shop", context="c", namespace="shops", host=None, root=first.root)
    with pytest.raises(ConfigError, match="did you mean 'shop'"):
        file_texts(other, Api())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "demo.secrets"])
def test_a_name_that_is_none_is_refused(first: NewStack, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a stack"):
        check_free(NewStack(name=name, context="c", namespace="shop", host=None, root=first.root))


def test_a_catalogue_that_is_there_is_not_overwritten(first: NewStack) -> None:
    first.catalogue_file.parent.mkdir()
    first.catalogue_file.write_text(json.dumps({"registry": "x", "services": {}}))
    with pytest.raises(ConfigError, match="the catalogue would be overwritten"):
        check_free(first)


@pytest.mark.parametrize(
    ("images", "registry"),
    [((), "docker.io/library"), (("redis", "nginx:1"), "docker.io/library"), (("UPPER/x", "r:5/a/x:1"), "r:5/a")],
)
def test_the_registry_is_that_of_most_images(first: NewStack, images: tuple[str, ...], registry: str) -> None:
    assert file_texts(first, Api(*images))[1]["registry"] == registry  # type: ignore[arg-type]
