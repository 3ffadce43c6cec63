"""The overview, its picture and the smoke test's answers, from made-up servers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from config.settings import Settings
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import Finding, FindingClass, ObjectRef
from flowmaster.drift import smoke
from flowmaster.drift.engine import Report
from flowmaster.drift.overview import Inputs, Overview, memory, overview
from flowmaster.host.nginx import Container, HostState, Nginx
from flowmaster.report import overview as terminal
from flowmaster.report import topology
from lab import screens

NOW = datetime(2026, 2, 8, 7, 0, tzinfo=UTC)
NAMESPACE = "flowmaster"


def container(name: str, project: str, **how: str) -> Container:
    base = {"id": "0" * 64, "image": "x", "state": "running", "health": "", "started": "2026", "project": project}
    return Container(name=name, restarts=0, **{**base, **how})


def live(demo: Settings, **ready: int) -> LiveState:
    state = LiveState("https://10.0.0.1:6443", NAMESPACE)
    for name in demo.services:
        replicas = demo.release(name).replicas
        spec = {
            "replicas": replicas,
            "template": {
                "spec": {"containers": [{"image": demo.image(name), "resources": {"requests": {"memory": "56Mi"}}}]}
            },
        }
        status = {"readyReplicas": ready.get(name.replace("-", "_"), replicas)}
        metadata = {"name": name, "namespace": NAMESPACE}
        state.objects[ObjectRef("Deployment", NAMESPACE, name)] = {"metadata": metadata, "spec": spec, "status": status}
    for name in demo.catalogue.external_services:
        state.objects[ObjectRef("Service", NAMESPACE, name)] = {"metadata": {"name": name}}
    return state


def report(*findings: Finding) -> Report:
    return Report(
        findings=list(findings), ignored=0, namespace=NAMESPACE, server="https://10.0.0.1:6443", stack="demo",
        taken=NOW, seconds=0.1, declared=66,
    )  # fmt: skip


def host(*containers: Container, **nginx: Any) -> HostState:
    return HostState("10.0.0.1", "demo", Nginx(**{"installed": True, "running": True, **nginx}), {}, containers)


def drift_of(kind: str, name: str) -> Finding:
    return Finding(FindingClass.DRIFT, ObjectRef(kind, NAMESPACE, name), "spec.x", live=1, declared=2)


@pytest.fixture
def whole(demo: Settings) -> Overview:
    plane = [container(f"plane-{n}", "plane") for n in range(12)] + [
        container("plane-space-1", "plane", health="unhealthy")
    ]
    sdx = [container(f"sdx-{n}", "sdx") for n in range(3)]
    known = Inputs(host=host(*plane, *sdx), updated=NOW, tested={"frontend": (NOW, True)})
    return overview(demo, live(demo, frontend=0), report(drift_of("Deployment", "frontend")), known)


def lines_of(whole: Overview) -> dict[str, tuple[str, bool | None]]:
    return {line.what: (line.words, line.well) for line in whole.lines}


def test_a_row_for_each_service_and_a_line_for_everything_else(whole: Overview) -> None:
    assert len(whole.services) == 30
    assert whole.untested == 28
    row = next(row for row in whole.services if row.name == "frontend")
    assert (row.ready, row.wanted, row.version, row.request, row.worst) == (
        0,
        1,
        "ea2a29b",
        56 << 20,
        FindingClass.DRIFT,
    )
    assert lines_of(whole)["nginx"] == ("running; sites: flowmaster, as declared", True)
    assert lines_of(whole)["SDX"] == ("3 of 3 containers run", True)
    words = "13 of 13 containers run; unhealthy: plane-space-1; protected, never changed"
    assert lines_of(whole)["Plane"] == (words, False)
    assert lines_of(whole)["last update"] == ("2026-02-08 07:00 UTC", True)


def test_a_machine_that_was_not_read_is_not_called_well(demo: Settings) -> None:
    seen = overview(demo, live(demo), report(), Inputs(host_problem="10.0.0.1 does not answer"))
    for what in ("nginx", "SDX", "Plane"):
        assert lines_of(seen)[what] == ("10.0.0.1 does not answer", None)


def screen_of(whole: Overview) -> str:
    stream = io.StringIO()
    terminal.show(whole, stream)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_screen_keeps_to_its_width_and_loses_nothing(
    demo: Settings, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = {name: (NOW, name != "frontend") for name in demo.services}
    drifted = report(drift_of("NginxSite", "flowmaster"))
    whole = overview(demo, live(demo), drifted, Inputs(host=host(), tested=tested))
    wide = screen_of(whole)
    monkeypatch.setenv("COLUMNS", str(width))
    text = screen_of(whole)
    assert max(map(len, text.splitlines())) <= width
    assert sorted("".join(text.split())) == sorted("".join(wide.split()))
    if width >= 80:
        assert "✗ 0 s" in next(line for line in text.splitlines() if line.startswith("frontend "))
        assert all(any(line.startswith(f"{name} ") for line in text.splitlines()) for name in demo.services)


def test_the_screen_is_readable(whole: Overview) -> None:
    text = screen_of(whole)
    assert max(map(len, text.splitlines())) <= 160
    assert "\x1b" not in text
    assert "28 of 29 services are ready, 1 at 0, 28 never tested (flowmaster smoke)." in text
    assert "UNTESTED" in text


def test_one_finding_is_one_and_what_failed_is_no_more_than_tested(demo: Settings) -> None:
    tested = {name: (NOW, name != "frontend") for name in demo.services}
    drifted = report(drift_of("NginxSite", "flowmaster"))
    whole = overview(demo, live(demo), drifted, Inputs(host=host(), tested=tested))
    assert lines_of(whole)["nginx"] == ("running; sites: flowmaster; 1 finding", False)
    assert "all tested, 1 failed." in screen_of(whole)


def test_the_picture_is_an_svg_with_every_service_once(demo: Settings, whole: Overview) -> None:
    picture = topology.svg(demo, whole)
    root = ElementTree.fromstring(picture)  # noqa: S314  made here
    titles = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}title")]
    for name in (*demo.services, "nginx", "arangodb", "postgres", "redis", "SDX", "Plane", "registry"):
        assert sum(title.startswith(f"{name}: ") for title in titles) == 1, name
    assert topology.COLOURS[FindingClass.DRIFT] in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "").replace("https://10.0.0.1:6443", "")
    assert "<script" not in picture


class Api:
    """Answers by path; what it has no answer for is refused."""

    def __init__(self, answers: Mapping[str, Any], status: int = 503) -> None:
        self.answers, self.status = answers, status
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        raise ApiError(f"refuses {path}", status=self.status)


def test_memory_from_the_metrics_or_from_the_nodes() -> None:
    metrics = {"items": [{"metadata": {"name": "p"}, "containers": [{"usage": {"memory": "2Mi"}}] * 2}]}
    assert memory(Api({"/apis/metrics.k8s.io/v1beta1/namespaces/flowmaster/pods": metrics}), NAMESPACE) == {
        "p": 4 << 20
    }
    summary = {"pods": [{"podRef": {"name": "p", "namespace": NAMESPACE}, "memory": {"workingSetBytes": 7}}]}
    path = "/api/v1/nodes/n/proxy/stats/summary?only_cpu_and_memory=true"
    assert memory(Api({"/api/v1/nodes": {"items": [{"metadata": {"name": "n"}}]}, path: summary}), NAMESPACE) == {
        "p": 7
    }
    assert memory(Api({}), NAMESPACE) == {}


def test_every_service_is_asked_once_and_a_refusal_of_its_own_is_an_answer(demo: Settings) -> None:
    api = Api({}, status=404)
    answers = smoke.check_all(demo, api, "127.0.0.1")
    asked = [answer for answer in answers if answer.way == "API server"]
    assert len(asked) == 30
    assert [answer.service for answer in asked if answer.skipped] == ["data-intelligence"]
    assert all(answer.ok for answer in asked if not answer.skipped)
    assert len(api.asked) == len(set(api.asked)) == 29


def test_a_service_that_does_not_answer_is_a_failure_in_junit(demo: Settings) -> None:
    answers = smoke.check_all(demo, Api({}, status=503), "127.0.0.1")
    suite = ElementTree.fromstring(smoke.junit(answers, "demo")).find("testsuite")  # noqa: S314  made here
    assert suite is not None
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert "frontend through API server" in failed
    assert int(suite.get("failures", "")) == len(failed) >= 29
    assert len(suite.findall("testcase/skipped")) == int(suite.get("skipped", ""))
    when, ok = smoke.by_service(answers)["frontend"]
    assert not ok
    assert when.tzinfo is not None


def test_the_picture_and_the_screen_in_the_documentation_are_what_the_commands_make_today(
    demo: Settings, whole: Overview
) -> None:
    """They are taken by `python -m lab.screens`; the report beside them is held by the test of the tour, on a twin."""
    kept = ElementTree.parse(screens.PICTURE).getroot()  # noqa: S314  our own
    made = ElementTree.fromstring(topology.svg(demo, whole))  # noqa: S314  made here
    assert {element.text for element in kept.iter()} >= set(demo.services)
    assert {(e.tag, *sorted(e.keys())) for e in kept.iter()} == {(e.tag, *sorted(e.keys())) for e in made.iter()}
    screen = screens.block(screens.README.read_text(), "status").splitlines()
    today = screen_of(whole).splitlines()
    assert screen[1].split() == today[1].split()
    assert [line.split()[0] for line in screen[2:32]] == [line.split()[0] for line in today[2:32]]
    assert [line[3:].split("  ")[0] for line in screen[33:39]] == [line[3:].split("  ")[0] for line in today[33:39]]
