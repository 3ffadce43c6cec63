"""One bad configuration, one message: at most three lines that name the value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import load
from config.catalogue import Catalogue
from config.errors import MAX_LINES, ConfigError
from config.read_yaml import read_yaml
from config.settings import Settings
from config.stack import Stack

Values = dict[str, Any]
Spoil = Callable[[Values], object]


def _message(stack: Values, catalogue: Values) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings(
            name="demo",
            stack=load.validate(Stack, stack, "Pulumi.demo.yaml"),
            catalogue=load.validate(Catalogue, catalogue, "config/catalogue.yaml"),
            environ={},
        )
    return str(caught.value)


STACK: dict[str, tuple[Spoil, list[str]]] = {
    "unknown key": (
        lambda s: s["services"]["frontend"].update(tga="r1"),
        [
            "services.frontend",
            "unknown key 'tga' (did you mean 'tag'?)",
            "assumed, clusterIP, digest, replicas, seen, tag",
        ],
    ),
    "misspelt key that is needed": (
        lambda s: s["services"].update(frontend={"tga": "r1"}),
        ["services.frontend", "unknown key 'tga' (did you mean 'tag'?) (1 more)"],
    ),
    "unknown key at the top": (lambda s: s.update(servises={}), ["top level", "'servises'", "services"]),
    "tag range": (
        lambda s: s["services"]["agent-service"].update(tag="r36-r38"),
        ["'r36-r38' is a range of tags", "candidates: r36, r37, r38", "tag: r38", "flowmaster adopt"],
    ),
    "tag outside of what is assumed": (
        lambda s: s["services"]["agent-service"].update(tag="r99"),
        ["'r99'", "r36-r47", "r36, r37"],
    ),
    "bad tag": (lambda s: s["services"]["frontend"].update(tag="a b"), ["services.frontend.tag", "'a b'", "image tag"]),
    "tag that lost its text": (
        lambda s: s["services"]["frontend"].update(tag=1.1),
        ["services.frontend.tag: 1.1 is not text", "1.10 is another tag than 1.1", "in quotes", 'tag: "1.10"'],
    ),
    "bad digest": (lambda s: s["services"]["frontend"].update(digest="sha256:1"), ["'sha256:1'", "64 hexadecimal"]),
    "missing tag": (lambda s: s["services"].update(frontend={}), ["frontend.tag", "a value is needed", "add tag"]),
    "negative replicas": (lambda s: s["services"]["frontend"].update(replicas=-1), ["frontend.replicas", "-1"]),
    "one address twice": (
        lambda s: s["services"]["scheduling"].update(clusterIP="10.43.185.219"),
        ["10.43.185.219", "frontend", "scheduling", "belongs to one Service"],
    ),
    "no such service": (
        lambda s: s["services"].update({"front-end": {"tag": "r1"}}),
        ["front-end", "did you mean 'frontend'?", "config/catalogue.yaml"],
    ),
    "service without a release": (
        lambda s: s["services"].pop("scheduling"),
        ["scheduling is in the catalogue", "would delete it"],
    ),
    "secret nobody knows": (
        lambda s: s.update(secrets={"flowmaster-secrets": {"JWT_SECRT": "x"}}),
        ["JWT_SECRT", "did you mean 'JWT_SECRET'?"],
    ),
    "no cluster": (lambda s: s.pop("cluster"), ["cluster", "a value is needed"]),
    "port as a word": (lambda s: s["host"]["ports"].update(ssh="sshd"), ["host.ports", "'ssh'"]),
}

CATALOGUE: dict[str, tuple[Spoil, list[str]]] = {
    "unknown key": (
        lambda c: c["services"]["frontend"].update(prot=3000),
        ["services.frontend", "'prot' (did you mean 'port'?)"],
    ),
    "port out of range": (lambda c: c["services"]["frontend"].update(port=70000), ["frontend.port", "70000"]),
    "ports clash in a pod": (
        lambda c: c["services"]["frontend"].update(extraPorts=[{"port": 3000}]),
        ["port 3000 is given twice", "extraPorts"],
    ),
    "port of the host is taken": (
        lambda c: c["services"]["frontend"].update(nodePort=30500),
        ["frontend", "30500", "the image registry"],
    ),
    "two services on one port of the host": (
        lambda c: (c["services"]["frontend"].update(nodePort=30001), c["services"]["ai-agent"].update(nodePort=30001)),
        ["30001", "taken by service ai-agent"],
    ),
    "bad quantity": (lambda c: c["services"]["frontend"].update(memory="57MB"), ["'57MB'", "56Mi"]),
    "request above limit": (
        lambda c: c["services"]["frontend"].update(
            resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
        ),
        ["2Gi", "1Gi", "limits.memory"],
    ),
    "bad name": (lambda c: c["services"].update({"Front_End": {"port": 1}}), ["'Front_End'", "DNS label"]),
    "bad image": (lambda c: c["services"]["frontend"].update(image="nginx:1.2:3"), ["'nginx:1.2:3'", "without a tag"]),
    "name of an external service": (
        lambda c: c["externalServices"].update(frontend="example.com"),
        ["'frontend' is both a service and an external service"],
    ),
    "unknown ConfigMap": (
        lambda c: c["services"]["frontend"].update(envFrom=[{"configMap": "flowmaster-env"}]),
        ["frontend", "'flowmaster-env'", "flowmaster-environment"],
    ),
    "source of two kinds": (
        lambda c: c["services"]["frontend"].update(envFrom=[{"configMap": "a", "secret": "b"}]),
        ["both or neither"],
    ),
    "volume without a source": (
        lambda c: c["services"]["frontend"].update(volumes={"data": {"mountPath": "/data"}}),
        ["/data has 0 sources"],
    ),
}


@pytest.mark.parametrize("case", STACK)
def test_a_bad_stack_is_refused_in_three_lines(case: str, demo_values: Values, catalogue_values: Values) -> None:
    spoil, expected = STACK[case]
    spoil(demo_values)
    message = _message(demo_values, catalogue_values)
    assert len(message.splitlines()) <= MAX_LINES
    for words in expected:
        assert words in message


@pytest.mark.parametrize("case", CATALOGUE)
def test_a_bad_catalogue_is_refused_in_three_lines(case: str, demo_values: Values, catalogue_values: Values) -> None:
    spoil, expected = CATALOGUE[case]
    spoil(catalogue_values)
    message = _message(demo_values, catalogue_values)
    assert len(message.splitlines()) <= MAX_LINES
    for words in expected:
        assert words in message


def test_the_untouched_configuration_is_accepted(demo_values: Values, catalogue_values: Values) -> None:
    settings = Settings(
        name="demo",
        stack=load.validate(Stack, demo_values, "stack"),
        catalogue=load.validate(Catalogue, catalogue_values, "catalogue"),
        environ={},
    )
    assert len(settings.services) == 30


def test_a_name_given_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text("services:\n  frontend: {port: 1}\n  frontend: {port: 2}\n")
    with pytest.raises(ConfigError, match=r"'frontend' occurs twice, in lines 2 and 3"):
        read_yaml(path)


def test_text_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text("services: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(path)


def test_a_missing_secret_says_how_to_set_it(demo_values: Values, catalogue_values: Values) -> None:
    settings = Settings(
        name="demo",
        stack=load.validate(Stack, demo_values, "stack"),
        catalogue=load.validate(Catalogue, catalogue_values, "catalogue"),
        environ={},
    )
    with pytest.raises(ConfigError) as caught:
        settings.secret_values("flowmaster-secrets")
    assert "ARANGO_PASSWORD" in str(caught.value)
    assert "FLOWMASTER_SECRET_ARANGO_PASSWORD" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= MAX_LINES


def test_a_missing_stack_names_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.demo.yaml").write_text("config: {}\n")
    (tmp_path / "Pulumi.demo.eu.yaml").write_text("config: {}\n")
    with pytest.raises(ConfigError, match=r"(?s)there is no stack 'dem' \(did you mean 'demo'.*: demo, demo.eu"):
        load.from_file("dem", tmp_path)


@pytest.fixture
def another_file(tmp_path: Path, demo: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file that Pulumi is told to use, and a Pulumi that knows the stacks demo and live."""
    path = tmp_path / "other.yaml"
    path.write_text((load.ROOT / "Pulumi.demo.yaml").read_text())
    monkeypatch.setenv(load.CONFIG_FILE_VARIABLE, str(path))
    pulumi = tmp_path / "bin/pulumi"
    pulumi.parent.mkdir()
    pulumi.write_text('#!/bin/sh\n[ "$1 $2" = \'stack ls\' ] && echo \'[{"name": "live"}, {"name": "demo"}]\'\n')
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", str(pulumi.parent), prepend=":")
    return path


def test_a_stack_that_pulumi_does_not_know_is_missing_whatever_file_is_used(another_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)there is no stack 'nope'.*stacks of this project: demo, live"):
        load.from_file("nope")
    assert load.from_file("live").name == "live"


def test_a_file_is_used_where_pulumi_cannot_say_which_stacks_there_are(
    another_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert load.from_file("nope").name == "nope"


def test_a_file_that_pulumi_is_told_to_use_and_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(load.CONFIG_FILE_VARIABLE, "/nowhere/else.yaml")
    with pytest.raises(ConfigError, match=r"(?s)there is no file /nowhere/else.yaml.*PULUMI_OPTION_CONFIG_FILE"):
        load.from_file("demo")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the file is empty"),
        ("# nothing yet\n", "the file is empty"),
        ("demo\n", "the file is a single value, not a mapping"),
        ("encryptionsalt: v1:x\n", "there is nothing under `config`"),
        ("config:\n", "there is nothing under `config`"),
        ("config: [flowmaster:cluster]\n", "`config` is a list, not a mapping"),
        ("config: 5\n", "`config` is a single value, not a mapping"),
        ("config: {1: 2}\n", "cluster: a value is needed"),
    ],
)
def test_a_stack_file_that_holds_no_configuration(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "Pulumi.demo.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load.from_file("demo", tmp_path)
    assert found in str(caught.value)
    assert str(caught.value).startswith("Pulumi.demo.yaml: ")
    assert len(str(caught.value).splitlines()) <= MAX_LINES


LOOKS_LIKE_SOMETHING_ELSE = {
    "8202758": 8202758,
    "0123": 83,
    "1e5": 100000.0,
    "1.10": 1.1,
    "0x12": 18,
    "12345678901234567890123": 1.2345678901234568e22,
    "true": True,
    "2026-11-25": "2026-11-25 00:00:00 +0000 UTC",
}
"""Tags that YAML takes for something else when they have no quotes, and what Pulumi hands over for them."""


@pytest.mark.parametrize("tag", LOOKS_LIKE_SOMETHING_ELSE)
def test_a_tag_is_taken_as_it_is_written(
    tag: str, secrets: Values, demo_values: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load((load.ROOT / "Pulumi.demo.yaml").read_text())
    document["config"]["flowmaster:services"]["frontend"]["tag"] = "TAG"
    path = tmp_path / "Pulumi.demo.yaml"
    path.write_text(yaml.safe_dump(document).replace("tag: TAG", f"tag: {tag}"))
    monkeypatch.setenv(load.CONFIG_FILE_VARIABLE, str(path))
    assert load.from_file("demo").release("frontend").tag == tag
    demo_values["services"]["frontend"]["tag"] = LOOKS_LIKE_SOMETHING_ELSE[tag]
    assert load.settings("demo", demo_values, path.name).release("frontend").tag == tag


def test_a_number_that_is_in_no_file_is_the_tag_that_it_looks_like(secrets: Values, demo_values: Values) -> None:
    demo_values["services"]["frontend"]["tag"] = 8202758
    assert load.settings("demo", demo_values, "stack").release("frontend").tag == "8202758"


def test_every_gap_of_the_snapshot_is_marked(demo: Settings) -> None:
    spec_ranges = {"agent-service", "dxg-service", "engage-app", "execution-engine", "knowledge-hub"}
    assumed = {name for name in demo.services if demo.release(name).assumed}
    assert assumed == spec_ranges | {"data-intelligence"}
    assert {where for where, _ in demo.gaps()} >= assumed | {"catalogue", "auth-service", "service-registry"}


def test_the_stack_file_is_plain_yaml_without_a_secret() -> None:
    text = (load.ROOT / "Pulumi.demo.yaml").read_text()
    assert "secrets" not in yaml.safe_load(text)["config"]
