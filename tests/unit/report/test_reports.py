"""The report on a terminal, as Markdown and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flowmaster.drift.coverage import Coverage
from flowmaster.drift.engine import Report
from flowmaster.heal.approval import changes_since
from flowmaster.report import as_json, markdown, screen, summary, terminal
from flowmaster.report.values import brief, line
from tests.unit.drift.server import CONTAINER, NOW, Server, named

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs/drift-report.schema.json").read_text())
WEB = "Deployment/web"


@pytest.fixture
def server() -> Server:
    server = Server()
    server.set(WEB, (*CONTAINER, "image"), "localhost:30500/flowmaster/api-gateway:hand", "kubectl-set")
    server.set(WEB, (*CONTAINER, "env", named("A|B")), {"name": "A|B", "value": "`x`\n| y"}, "alice")
    server.set("Secret/keys", ("data", "JWT_SECRET"), "YQ==")
    server.delete("Service/web")
    server.create({"kind": "ConfigMap", "metadata": {"name": "intruder"}, "data": {"a": "b"}})
    return server


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, width: int = 140) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    terminal.show(report, stream)
    return stream.getvalue()


def test_the_terminal_shows_all_that_matters(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(server.report(), monkeypatch)
    row = next(row for row in text.splitlines() if "api-gateway:hand" in row)
    for part in ("drift", "image", "api-gateway:hand ← api-gateway:latest", "kubectl-set, 1 h ago", "up sets it back"):
        assert part in row
    assert "(secret, 1 bytes, changed) ← (secret, 28 bytes)" in text
    assert text.splitlines()[-2] == "5 findings: 3 drift, 2 foreign. The next up settles 4 of them."
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 99, 100, 200])
def test_the_terminal_keeps_to_its_width(server: Server, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = shown(server.report(), monkeypatch, width)
    assert max(len(row.rstrip()) for row in text.splitlines()) <= width
    assert "kubectl-set" in text


def test_a_row_that_fits_is_laid_out_as_one_that_does_not() -> None:
    row: list[screen.Cell] = [[("a", "")], [("日本", "dim"), (" b", "")], [], [("c", "")]]
    for cells in (row, row[:2]):
        shown = []
        for part in ([screen.table([cells], (3, 9, 2, 4))], screen.rows([cells], (3, 9, 2, 4))):
            stream = io.StringIO()
            screen.show(screen.console(stream), part)
            shown.append(stream.getvalue())
        assert shown[0] == shown[1]


def test_an_object_with_several_findings_is_named_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(server.report(), monkeypatch).count(WEB) == 1


def test_a_clean_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Server().report(), monkeypatch)
    assert "No drift: all 14 declared objects are as declared" in text
    assert len(text.splitlines()) == 4


def test_each_report_ends_with_what_it_rests_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    covered = Coverage(
        objects=65, kinds=19, sites=1, ports=3, tags=26, not_looked_at=("tags of ghcr.io (only the nodes reach it)",)
    )
    report = replace(server.report(), coverage=covered)
    words = "65 objects, 19 kinds, 1 site, 3 ports answered, 26 tags; not looked at: tags of ghcr.io (only the nodes"
    assert shown(report, monkeypatch, 200).splitlines()[-1].startswith(f"Looked at: {words}")
    assert words in markdown.text(report)
    document = json.loads(as_json.text(report))
    jsonschema.validate(document, SCHEMA)
    assert document["coverage"] == {
        "objects": 65, "kinds": 19, "sites": 1, "projects": 0, "ports": 3, "certificates": 0, "tags": 26,
        "notLookedAt": ["tags of ghcr.io (only the nodes reach it)"],
    }  # fmt: skip


def test_a_report_on_nothing_says_so() -> None:
    report = replace(Server().report(), coverage=Coverage(not_looked_at=("the cluster (it does not answer)",)))
    assert summary.basis(report) == "Looked at: nothing; not looked at: the cluster (it does not answer)."


def test_two_hundred_findings_are_shown_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    for number in range(200):
        server.set(WEB, (*CONTAINER, "env", named(f"V{number}")), {"name": f"V{number}", "value": "x" * 500})
    report = server.report()
    assert shown(report, monkeypatch).count("foreign  ") == 200
    short = markdown.text(report, limit=5000)
    assert len(short) <= 5000
    assert "200 findings" in short
    assert f"and {200 - short.count('**foreign** |')} more findings" in short
    assert len(json.loads(as_json.text(report))["findings"]) == 200


def test_markdown_cannot_be_broken_by_a_value(server: Server) -> None:
    text = markdown.text(server.report())
    rows = [row for row in text.splitlines() if row.startswith("| **")]
    assert len(rows) == 5
    for row in rows:
        assert row.replace("\\|", "").count("|") == 8


def test_json_is_as_its_schema_says(server: Server) -> None:
    document = json.loads(as_json.text(server.report()))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert {finding["class"] for finding in document["findings"]} == {"drift", "foreign"}
    long = next(finding for finding in document["findings"] if finding["path"].endswith("env[A|B]"))
    assert long["live"] == {"name": "A|B", "value": "`x`\n| y"}
    assert "declared" not in long


def test_json_of_a_clean_server_is_too() -> None:
    jsonschema.validate(json.loads(as_json.text(Server().report())), SCHEMA)


def test_the_schema_refuses_what_it_does_not_know(server: Server) -> None:
    document = json.loads(as_json.text(server.report()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, SCHEMA)


def test_one_line_says_it_all(server: Server) -> None:
    lines = [line(finding, NOW) for finding in server.findings()]
    image = "spec.template.spec.containers[web].image"
    assert (
        f"drift: Deployment/web {image}: api-gateway:hand, declared api-gateway:latest (by kubectl-set, 1 h ago): "
        "up sets it back"
    ) in lines
    assert all("\n" not in text for text in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("info", "info"),
        ("", '""'),
        (3, "3"),
        (True, "true"),
        (["a", "b"], '["a", "b"]'),
        ("first\nsecond\nthird", "first … (3 lines)"),
        ("x" * 100, "x" * 42 + "… (100 characters)"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("ünïcödé \N{SNOWMAN}", "ünïcödé \N{SNOWMAN}"),
        ({"name": "x", "image": "a:1", "command": ["b"]}, 'image a:1, runs ["b"]'),
        ({"name": "x", "value": "y"}, "y"),
        ({"name": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, "from secret s/k"),
        ({"name": "x", "emptyDir": {}}, "emptyDir"),
        ({"name": "x", "hostPath": {"path": "/opt", "type": ""}}, "hostPath /opt"),
        ({"name": "x", "containerPort": 80, "protocol": "UDP"}, "80/UDP"),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, '{"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}'),
    ],
)
def test_values_in_brief(value: Any, text: str) -> None:
    assert brief(value) == text


def test_an_approval_holds_as_long_as_the_server_does_not_change(server: Server) -> None:
    approved = as_json.document(server.report())
    assert changes_since(approved, as_json.document(server.report())) == []
    server.set(WEB, (*CONTAINER, "image"), "localhost:30500/flowmaster/api-gateway:other", "kubectl-set")
    server.set("ConfigMap/settings", ("data", "LOG_LEVEL"), "trace")
    del server.live.objects[next(ref for ref in server.live.objects if ref.name == "intruder")]
    assert changes_since(approved, as_json.document(server.report())) == [
        "changed: drift Deployment/web spec.template.spec.containers[web].image: "
        "localhost:30500/flowmaster/api-gateway:other, it was localhost:30500/flowmaster/api-gateway:hand",
        "gone: foreign ConfigMap/intruder: 1 key: a",
        "new: drift ConfigMap/settings data[LOG_LEVEL]: trace",
    ]


def test_the_headline_of_a_server_that_could_not_be_read() -> None:
    server = Server()
    server.live.unreachable = "the API server does not answer"
    assert "may hide more" in summary.headline(server.report())
