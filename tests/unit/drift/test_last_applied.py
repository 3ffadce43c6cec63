"""The state of the stack, wherever the backend keeps it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flowmaster.compare.finding import OPAQUE, FindingClass, ObjectRef
from flowmaster.drift.last_applied import Applied, backend, from_stack
from tests.unit.drift.server import Server, ref

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "flowmaster"}}
    return {"type": f"kubernetes:core/v1:{kind}", "inputs": {**body, **more}}


STATE = {
    "version": 3,
    "checkpoint": {
        "latest": {
            "resources": [
                {"type": "pulumi:pulumi:Stack", "urn": "x"},
                resource("ConfigMap", "settings", data={"a": "b"}),
                resource("Secret", "keys", stringData={"a": SECRET}),
                {**resource("ConfigMap", "old"), "delete": True},
                {"type": "pulumi:providers:kubernetes", "inputs": {"context": "demo"}},
            ]
        }
    },
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    return tmp_path


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["flowmaster/demo.json", "demo.json", "flowmaster/demo.json.gz"])
def test_each_layout_of_a_file_backend(home: Path, name: str) -> None:
    content = json.dumps(STATE).encode()
    put(home / ".pulumi/stacks" / name, gzip.compress(content) if name.endswith("gz") else content)
    applied = from_stack("flowmaster", "demo", home)
    assert applied.problem == ""
    assert set(map(str, applied.bodies)) == {"ConfigMap/settings", "Secret/keys"}
    assert applied.bodies[ObjectRef("Secret", "flowmaster", "keys")]["stringData"] == {"a": OPAQUE}


def test_a_stack_that_was_never_updated_has_applied_nothing(home: Path) -> None:
    assert from_stack("flowmaster", "demo", home) == Applied()


def test_a_state_that_cannot_be_read_is_a_problem_and_not_nothing(home: Path) -> None:
    put(home / ".pulumi/stacks/flowmaster/demo.json", b"{")
    assert "state of stack demo cannot be read" in from_stack("flowmaster", "demo", home).problem


def test_a_backend_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/gone")
    assert "is not a folder" in from_stack("flowmaster", "demo", tmp_path).problem


def test_where_the_backend_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert backend(tmp_path) == ""
    put(tmp_path / "credentials.json", b'{"current": "file:///state"}')
    assert backend(tmp_path) == "file:///state"
    put(tmp_path / "Pulumi.yaml", b"name: x\nbackend:\n  url: s3://bucket\n")
    assert backend(tmp_path) == "s3://bucket"


def test_an_unreadable_state_is_told_and_managers_tell_drift_from_pending() -> None:
    from flowmaster.drift.engine import build_report

    server = Server()
    server.set("Deployment/web", ("spec", "replicas"), 0, "kubectl")
    server.set("Deployment/web", ("metadata", "labels", "app"), "other", "kubectl-label")
    server.program("ConfigMap/settings", ("data", "LOG_LEVEL"), "warn")
    report = build_report(None, server.live, server.declared, Applied(problem="no such backend"))
    told = {(finding.cls, str(finding.object)) for finding in report.findings}
    assert (FindingClass.UNKNOWN, "Stack/") in told
    assert (FindingClass.DRIFT, "Deployment/web") in told
    assert (FindingClass.PENDING, "ConfigMap/settings") in told


def test_encrypted_values_are_told_apart_by_their_managers() -> None:
    server = Server()
    server.applied[ref("Secret/keys")]["data"] = OPAQUE
    server.set("Secret/keys", ("data", "API_KEY"), "aGFuZA==", "kubectl-patch")
    server.program("Secret/keys", ("stringData", "JWT_SECRET"), "another one")
    assert {(finding.cls, finding.path) for finding in server.findings()} == {
        (FindingClass.DRIFT, "data[API_KEY]"),
        (FindingClass.PENDING, "data[JWT_SECRET]"),
    }
