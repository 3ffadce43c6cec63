"""`flowmaster compose` from its options to what is written, with a server that is only said to be."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import load, secrets_file
from config.compose import ComposeProject, Phase
from config.errors import MAX_LINES
from config.settings import Settings
from flowmaster.cli import compose as verb
from flowmaster.cli.main import EXIT_ERROR, main
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.external_services import external_hosts
from flowmaster.compose.target import target_of
from flowmaster.migrate import record
from tests.unit.compose.projects import DATABASE, ID, IMAGE, NODE, Json, config, container, listed, one

SERVICES = one(environment={"API_KEY": "hush-hush", "URL": f"http://{DATABASE}:8529"})


class Services:
    """An API server that has one Service."""

    def get(self, path: str) -> Any:
        if path == "/api/v1/namespaces/databases/services/arangodb":
            return {"spec": {"clusterIP": DATABASE}}
        raise ApiError("no such thing", "", "", status=404, reason="NotFound")


def answer(services: Json) -> Json:
    whole = config(services)
    containers = [container(name, keys, whole) for name, keys in services.items()]
    return {
        "config": whole,
        "containers": containers,
        "images": {ID: IMAGE},
        "volumes": listed(containers),
        "files": {"/opt/shop/docker-compose.yml": "0" * 64},
        "node_address": NODE,
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, demo: Settings) -> Json:
    """What the server answers, to be changed by a test; and what was written."""
    state: Json = {"services": SERVICES, "written": [], "settings": demo}
    monkeypatch.setattr(load, "from_file", lambda _: state["settings"])
    monkeypatch.setattr("flowmaster.cluster.connection.connect", lambda _: nullcontext(Services()))
    monkeypatch.setattr("flowmaster.drift.preflight.check_identity", lambda *_: None)
    monkeypatch.setattr("flowmaster.host.access.access", lambda _: None)
    monkeypatch.setattr(verb, "_read", lambda *_: answer(state["services"]))

    def write_source(*what: Any) -> Path:
        state["written"].append(what)
        return Path("Pulumi.demo.yaml")

    monkeypatch.setattr(record, "write_source", write_source)
    return state


def test_a_project_is_shown_and_written(server: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "shop", "--folder", "/opt/shop"]) == 0
    ((stack, name, folder, source, secrets, *_),) = server["written"]
    assert (stack, name, folder) == ("demo", "shop", "/opt/shop")
    assert secrets == {"backend.API_KEY": "hush-hush"}
    assert source.external_hosts == {DATABASE: "arangodb"}
    shown = capsys.readouterr().out
    assert "hush-hush" not in shown
    assert "services.backend.image" in shown
    assert f"{DATABASE} is now arangodb" in " ".join(shown.split())
    assert "phase to shadow" in shown


def test_a_dry_run_writes_nothing(server: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "shop", "--folder", "/opt/shop", "--dry-run", "--all"]) == 0
    assert server["written"] == []
    assert "services.backend.command" in capsys.readouterr().out


def test_a_refusal_writes_nothing(server: Json, capsys: pytest.CaptureFixture[str]) -> None:
    server["services"] = one(devices=["/dev/x"], ulimits={"nofile": 5})
    assert main(["compose", "shop", "--folder", "/opt/shop"]) == EXIT_ERROR
    assert server["written"] == []
    out, err = capsys.readouterr()
    assert "services.backend.devices" in out
    assert "(and 1 more, see above)" in err
    assert len(err.splitlines()) <= MAX_LINES


def test_what_is_written_already_is_not_written_again(server: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "shop", "--folder", "/opt/shop"]) == 0
    ((*_, source, secrets, _, _),) = server["written"]
    server["settings"] = with_project(server["settings"], source=source, sealed=secrets)
    assert main(["compose", "shop"]) == 0
    assert len(server["written"]) == 1
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("phase", [Phase.CLUSTER, Phase.RETIRED])
def test_a_project_whose_containers_are_stopped_cannot_be_read(
    server: Json, capsys: pytest.CaptureFixture[str], phase: Phase
) -> None:
    assert main(["compose", "shop", "--folder", "/opt/shop"]) == 0
    source = server["written"][0][3]
    server["settings"] = with_project(server["settings"], source=source, phase=phase)
    assert main(["compose", "shop"]) == EXIT_ERROR
    assert "stopped or gone" in capsys.readouterr().err


def test_a_project_that_nobody_knows(server: Json, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compose", "shop"]) == EXIT_ERROR
    assert "--folder /opt/shop" in capsys.readouterr().err


def with_project(settings: Settings, **values: Any) -> Settings:
    from dataclasses import replace

    project = ComposeProject.model_validate({"folder": "/opt/shop", **values})
    return replace(settings, stack=settings.stack.model_copy(update={"compose": {"shop": project}}))


def test_the_databases_addresses(demo: Settings) -> None:
    assert external_hosts(Services(), demo) == {DATABASE: "arangodb"}
    around = target_of(demo, {DATABASE: "arangodb"})
    assert (around.registry, around.namespace) == ("localhost:30500", "flowmaster")
    assert around.labels["app.kubernetes.io/part-of"] == "flowmaster"


def test_the_stacks_file_keeps_everything_else() -> None:
    original = (load.ROOT / "Pulumi.demo.yaml").read_text()
    text = record.stack_text(original, "shop", "/opt/shop")
    assert [line for line in original.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    before, after = yaml.safe_load(original)["config"], yaml.safe_load(text)["config"]
    assert after["flowmaster:compose"].pop("shop") == {"folder": "/opt/shop"}
    assert before == after
    old = text.replace("folder: /opt/shop\n", "folder: /opt/shop\n      sealed: {k: v}\n      source: {a: b}\n", 1)
    assert old != text
    assert yaml.safe_load(record.stack_text(old, "shop", "/x")) == yaml.safe_load(text)


ODD = ["on", "y", "10:20", "010", "1e3", "null", "~", "true", "0x1f", "2026-01-01", "", " a", "a: b", "a\nb"]


def test_odd_words_are_read_as_they_were_written(tmp_path: Path) -> None:
    keys = {"image": "x", "command": ODD, "environment": dict.fromkeys(ODD[:-1], "on")}
    project = ComposeProject.model_validate(
        {"folder": "/opt/shop", "source": {"files": {}, "services": {"a": {"keys": keys}}}, "sealed": {"a.K": "v"}}
    )
    assert project.source is not None
    key, path = secrets_file.new_key(), tmp_path / "Pulumi.shop.secrets.yaml"
    path.write_text(secrets_file.text(record.secret_values("shop", project.source, {"a.K": "v"}), key))
    values = {"compose": {"shop": {"folder": "/opt/shop"}}, "secretsKey": key}
    assert ComposeProject.model_validate(secrets_file.merged(values, path)["compose"]["shop"]) == project
