"""The table of drift on a real server, a test a row: found word for word, shown by preview, healed or kept by up.

All rows of a batch are injected at once on objects of their own; there is one report, one preview and one update for
all of them, and each row looks at its part of what was said. The tests run in their order, on one server.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from config import load
from flowmaster.cluster import reader
from flowmaster.cluster.connection import connect
from flowmaster.cluster.writes import ChangedError, Way, carry_out
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.last_applied import from_stack
from flowmaster.heal.plan import plan
from lab.twin import Twin, images, service
from lab.twin.layout import REGISTRY_PORT
from lab.twin.patience import patience
from lab.twin.registry import Registry
from tests.lab import batch as table
from tests.lab.batch import Batch, about, agrees, by_path, env_of, meant, told, until, until_told
from tests.lab.operate import NAMESPACE, Operator, encoded, named
from tests.lab.row import REPORT, Row
from tests.lab.rows import ENV_SECRET, FOREIGN_SECRET, HAND_SECRET, ROWS, SEALED, TLS_KEY, declare, settle

AUTOSCALED = "process-versioning"
MANY = ["ai-agent", "dxg-service", "event-bus", "frontend", "knowledge-hub", "mcp-server", "notification",
        "process-design", "process-views", "scheduling"]  # fmt: skip


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody who has just brought FlowMaster up on a fresh server, where one service scales by itself."""
    operator = Operator.of(empty_twin).knowing(FLOWMASTER_SECRET_TLS_KEY=TLS_KEY)
    operator.edit_catalogue(declare)
    operator.edit_stack(settle)
    operator.run("pulumi", "config", "set", "--secret", "--path", "flowmaster:sealed.data-intelligence.TOKEN", SEALED)
    operator.up()
    operator.kubectl("autoscale", f"deployment/{AUTOSCALED}", "--min=2", "--max=4", "--cpu-percent=80")
    until(lambda: replicas(operator) == 2, "scaled by its autoscaler", 60)
    until_told(operator, [])
    return operator


@pytest.fixture(scope="module")
def batch(operator: Operator) -> Batch:
    """All rows at once, from the changes by hand to the preview after the update."""
    return table.run(operator)


@pytest.fixture(scope="module")
def healthy(operator: Operator, batch: Batch) -> Operator:
    """The same server, once people have undone what up leaves to them."""
    assert operator.get("Service/execution-engine")["metadata"]["finalizers"] == ["example.com/hold"]
    table.set_finalizers(operator, None)
    operator.kubectl_all([command for row in ROWS.values() if row.undo for command in row.undo if not row.healed])
    until_told(operator, [])
    return operator


def replicas(operator: Operator) -> int:
    return int(operator.get(f"Deployment/{AUTOSCALED}")["spec"]["replicas"])


# -- a test a row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_the_report_has_exactly_this_finding(batch: Batch, row: Row) -> None:
    found = about(batch.found, row.object)
    assert [(f["class"], f["path"]) for f in found] == [(e.cls, e.path) for e in by_path(row)]
    for finding, expected in zip(found, by_path(row), strict=True):
        assert agrees(finding.get("live"), expected.live), finding
        assert agrees(finding.get("declared"), expected.declared), finding
        assert (finding["manager"], finding["action"]) == (expected.manager, expected.action)
        # of whoever scales, the API keeps no time
        assert bool(finding["when"]) == bool(expected.manager and expected.path != "spec.replicas")


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_preview_shows_it_in_one_readable_line(batch: Batch, row: Row) -> None:
    lines = batch.preview.about(row.object)
    assert len(lines) == len(row.findings)
    for expected in row.findings:
        where = f"{row.object} {expected.path}".strip()
        [line] = [line for line in lines if line.startswith(f"{expected.cls}: {where}: ")]
        assert len(line) < 400
        assert not expected.manager or f"(by {expected.manager}" in line
        assert expected.action == REPORT or re.search(r"up (sets|removes|adds|creates|deletes|records)", line)
    heals = any(expected.action != REPORT for expected in row.findings)
    declared = named_so(row) not in ("intruder", "leftover-1")
    assert batch.preview.changes.get(row.object) == ({"update"} if heals and declared else None)


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_up_heals_it_or_keeps_it(batch: Batch, row: Row) -> None:
    kept = [(e.cls, e.path) for e in by_path(row) if e.action == REPORT]
    assert [(f["class"], f["path"]) for f in about(batch.left, row.object)] == kept
    before, after = batch.before.get(row.object), batch.after.get(row.object)
    if row.object == "Deployment/process-design":
        assert after
        assert env_of(after) == {"LOG_LEVEL": "warn"}
    elif row.object == "Deployment/scheduling":
        assert before
        assert after
        assert meant(after) == {**meant(before), "spec": {**meant(before)["spec"], "replicas": 2}}
    elif all(finding.action == REPORT for finding in row.findings):
        assert after == batch.injected.get(row.object)
    elif before:
        assert after
        again = row.object in ("Service/ai-agent", "Service/business-rules-engine")
        assert meant(after, allocated=not again) == meant(before, allocated=not again)
    else:
        assert after is None


def named_so(row: Row) -> str:
    return row.object.partition("/")[2]


# -- the reverse, and what holds for all of them together ----------------------------------------------------------


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param("Deployment/process-views", id="rollout restart"),
        pytest.param("HorizontalPodAutoscaler/process-versioning", id="foreign, but ignored by a rule"),
        pytest.param("Deployment/prompt-engineering", id="quantities and times written in another way"),
        pytest.param("Deployment/websocket-gateway", id="order of env and ports"),
        pytest.param("Service/websocket-gateway", id="order of a Service's ports"),
        pytest.param("Deployment/process-linking", id="controller-set and defaulted fields"),
        pytest.param("Service/execution-engine", id="a controller's finalizer"),
    ],
)
def test_what_a_healthy_server_does_is_no_finding(batch: Batch, resource: str) -> None:
    assert about(batch.found, resource) == []
    assert batch.preview.about(resource) == []
    assert resource not in batch.preview.changes
    assert about(batch.left, resource) == []


def test_an_autoscaler_keeps_its_replicas_while_the_same_deployment_is_updated(batch: Batch) -> None:
    resource = f"Deployment/{AUTOSCALED}"
    assert [(f["class"], f["path"]) for f in about(batch.found, resource)] == [
        ("pending", f"spec.template.spec.containers[{AUTOSCALED}].env[ADDED_BY_PROGRAM]")
    ]
    assert batch.preview.changes[resource] == {"update"}
    assert env_of(batch.after[resource]) == {"ADDED_BY_PROGRAM": "yes"}
    assert batch.after[resource]["spec"]["replicas"] == 2
    assert about(batch.left, resource) == []


def test_there_are_no_findings_but_those(batch: Batch) -> None:
    known = {row.object for row in ROWS.values()} | {f"Deployment/{AUTOSCALED}"}
    assert {named(finding) for finding in batch.found["findings"]} == known
    assert batch.found["exitCode"] == 2


def test_nothing_else_is_touched(batch: Batch) -> None:
    known = {row.object for row in ROWS.values()} | {f"Deployment/{AUTOSCALED}"}
    others = batch.injected.keys() - known
    assert len(others) > 20
    for resource in others:
        before, after = (objects[resource]["metadata"] for objects in (batch.injected, batch.after))
        assert (after["uid"], after.get("generation")) == (before["uid"], before.get("generation"))


def test_the_next_preview_is_empty(batch: Batch) -> None:
    assert (batch.again.code, batch.again.changes) == (0, {})


def test_the_outputs_know_the_addresses_of_services_that_were_made_again(operator: Operator, batch: Batch) -> None:
    addresses = json.loads(operator.run("pulumi", "stack", "output", "addresses", "--json").stdout)
    for name in ("ai-agent", "business-rules-engine", "human-task"):
        assert addresses[name].partition(":")[0] == batch.after[f"Service/{name}"]["spec"]["clusterIP"]


def test_no_secret_is_shown_or_kept_anywhere(operator: Operator, batch: Batch) -> None:
    operator.run("flowmaster", "drift", code=None)
    operator.run("flowmaster", "drift", "--format", "markdown", code=None)
    said, kept = "\n".join(operator.said), operator.state()
    own = [value for name, value in operator.environ.items() if name.startswith("FLOWMASTER_SECRET_")]
    assert len(own) > 9
    assert "(secret, " in said
    for secret in (*own, HAND_SECRET, FOREIGN_SECRET, ENV_SECRET, SEALED):
        for text in (secret.strip(), encoded(secret)):
            assert text not in kept
            assert text not in said


def test_once_people_have_undone_the_rest_the_server_is_clean(healthy: Operator) -> None:
    assert healthy.report()["exitCode"] == 0
    assert healthy.preview("--expect-no-changes").changes == {}


# -- rows that need the server for themselves ----------------------------------------------------------------------


def test_200_findings_at_once_while_an_autoscaler_goes_on(healthy: Operator) -> None:
    healthy.kubectl("patch", "hpa", AUTOSCALED, "--patch", json.dumps({"spec": {"minReplicas": 3}}))
    notes = [f"example.com/note-{number:02}=by hand" for number in range(20)]
    healthy.kubectl("annotate", "service", *MANY, *notes)
    until(lambda: replicas(healthy) == 3, "scaled further by its autoscaler", 60)
    expected = sorted(
        ("foreign", f"Service/{name}", f"metadata.annotations[{note.partition('=')[0]}]")
        for name in MANY
        for note in notes
    )
    report, preview = healthy.report(), healthy.preview()
    assert len(expected) == 200
    assert told(report) == expected
    assert preview.changes == {f"Service/{name}": {"update"} for name in MANY}
    assert sum(len(preview.about(f"Service/{name}")) for name in MANY) == 200
    healthy.up()
    assert told(healthy.report()) == []
    assert healthy.preview("--expect-no-changes").changes == {}
    assert replicas(healthy) == 3


def test_an_object_that_changed_since_it_was_looked_at_is_left_alone(
    healthy: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in healthy.environ.items():
        monkeypatch.setenv(name, value)
    settings = load.from_file("demo")
    from flowmaster.render.manifests import manifests

    healthy.kubectl("label", "deployment/engage-app", "team=blue")
    healthy.kubectl("label", "service/human-task", "team=blue")
    healthy.kubectl("delete", "configmap", "texts")
    with connect(settings.stack.cluster) as api:
        declared = [dict(body) for body in manifests(settings)]
        applied = from_stack(load.PROJECT, settings.name, load.ROOT)
        todo = plan(declared, applied, reader.read(api, NAMESPACE))
        deployment, service_, texts = (
            todo.steps[ObjectRef(kind, NAMESPACE, name)]
            for kind, name in (("Deployment", "engage-app"), ("Service", "human-task"), ("ConfigMap", "texts"))
        )
        assert (deployment.way, service_.way, texts.way) == (Way.PATCH, Way.PATCH, Way.REMAKE)
        healthy.kubectl("label", "deployment/engage-app", "team=green", "--overwrite")
        healthy.kubectl("create", "configmap", "texts", "--from-literal=by=hand")
        for step in (deployment, texts):
            with pytest.raises(ChangedError, match=f"{step.ref} was changed again while this update ran"):
                carry_out(api, step)
        assert healthy.get("Deployment/engage-app")["metadata"]["labels"]["team"] == "green"
        assert healthy.get("ConfigMap/texts")["data"] == {"by": "hand"}
        carry_out(api, service_)
        assert "team" not in healthy.get("Service/human-task")["metadata"]["labels"]
    healthy.up()
    assert told(healthy.report()) == []


def test_tags_that_moved_or_went_and_pods_that_fail_are_reported_and_left(healthy: Operator) -> None:
    twin = healthy.twin
    registry = Registry("127.0.0.1", REGISTRY_PORT)
    layer = images.make_layer(service.program().read_bytes())
    moved = images.make_image(layer, "flowmaster/process-analytics", "latest", port=9014, MOVED="yes")
    was = twin.in_network(lambda: registry.digest_of(moved.repository, moved.tag))
    twin.in_network(lambda: registry.push(layer, [moved]))
    twin.in_network(lambda: registry.delete_tag("flowmaster/process-linking", "r63"))
    try:
        table.order(twin, "event-bus", 9013, "mode=health")
        for _ in range(3):
            table.order_exit(twin, "process-views", 8019)
        expected = {
            "Deployment/process-analytics": ("stale", "pods.containers[process-analytics].image", was, moved.digest),
            "Deployment/process-linking": (
                "stale", "pods.containers[process-linking].image",
                "localhost:30500/flowmaster/process-linking:r63 is not in the registry",
                "localhost:30500/flowmaster/process-linking:r63",
            ),
            "Deployment/process-views": (
                "unhealthy", "pods.containers[process-views]",
                re.compile(r"(CrashLoopBackOff|crashed|keeps crashing): exit code 3 \(Error\), [2-9] restarts"),
                "running",
            ),
            "Deployment/event-bus": (
                "unhealthy", "pods.containers[event-bus]", "not ready: its readiness probe fails", "running"
            ),
        }  # fmt: skip
        report = table.failing(healthy, expected)
        for finding in report["findings"]:
            cls, path, live, meant_to_be = expected[named(finding)]
            assert (finding["class"], finding["path"], finding["heals"]) == (cls, path, False)
            assert agrees(finding["live"], live), finding
            assert finding["declared"] == meant_to_be
        assert report["exitCode"] == 4
        preview = healthy.preview()
        assert preview.changes == {}
        for resource, (cls, *_) in expected.items():
            [line] = preview.about(resource)
            assert line.startswith(f"{cls}: {resource} ")
            assert "up does not change it" in line
    finally:
        twin.in_network(lambda: registry.push(layer, images.registry_images(layer)))
        table.order(twin, "event-bus", 9013, "mode=health&for=0s")
        healthy.kubectl("delete", "pod", "--selector=app.kubernetes.io/name=process-views")
    until_told(healthy, [])


# -- what cannot be looked at is unknown, never clean --------------------------------------------------------------


def test_a_registry_that_is_down_is_unknown(healthy: Operator) -> None:
    healthy.twin.kill_process("registry")
    try:
        report, preview = healthy.report(), healthy.preview()
    finally:
        healthy.twin.start_process("registry")
    assert told(report) == [("unknown", "Registry/localhost:30500", "")]
    assert report["exitCode"] == 5
    [line] = preview.about("Registry/localhost:30500")
    assert "tags may have been pushed again unnoticed" in line
    assert preview.changes == {}


def test_a_kind_that_may_not_be_read_is_unknown(healthy: Operator, tmp_path: Path) -> None:
    kubeconfig = table.kubeconfig_without(healthy, "secrets", tmp_path)
    auditor = healthy.knowing(KUBECONFIG=str(kubeconfig))
    healthy.kubectl("label", "service/human-task", "team=blue")
    report = auditor.report()
    assert told(report) == [
        ("foreign", "Service/human-task", "metadata.labels[team]"),
        ("unknown", "Secret/*", ""),
    ]
    assert "4 declared of this kind were not compared" in json.dumps(report)
    assert report["exitCode"] == 5
    healthy.kubectl("label", "service/human-task", "team-")
    assert auditor.report()["exitCode"] == 5


@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_an_api_server_that_is_down_is_unknown_and_nothing_is_done(healthy: Operator, fault: str) -> None:
    healthy.edit_stack(lambda settings: settings["cluster"].update(requestTimeout=2))
    stop = healthy.twin.kill_process if fault == "killed" else healthy.twin.pause_process
    before = healthy.state()
    stop("kube-apiserver")
    try:
        report = healthy.report()
        preview, update = healthy.preview(code=None), healthy.up(code=None)
    finally:
        healthy.twin.start_process("kube-apiserver")
        healthy.edit_stack(lambda settings: settings["cluster"].pop("requestTimeout"))
    [(cls, resource, path)] = told(report)
    assert (cls, resource.partition("/")[0], path, report["exitCode"]) == ("unknown", "Cluster", "", 5)
    for said in (preview, update):
        assert said.code != 0
        assert said.changes == {}
        assert "does not answer" in said.text
        assert "Traceback" not in said.text
    assert inputs(healthy.state()) == inputs(before)
    until_told(healthy, [])


def inputs(state: str) -> set[str]:
    return set(re.findall(r'"id": ?"(flowmaster/[^"]+)"', state))


def test_a_namespace_that_is_being_deleted_is_waited_for_and_then_made_again(healthy: Operator) -> None:
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    healthy.kubectl("create", "--filename", "-", text=json.dumps(held))
    healthy.run("kubectl", "delete", "namespace", NAMESPACE, "--wait=false")
    until(lambda: "Terminating" in healthy.run("kubectl", "get", "namespace", NAMESPACE).stdout, "ending", 30)
    report = healthy.report()
    assert ("unhealthy", f"Namespace/{NAMESPACE}", "status.phase") in told(report)
    refused = healthy.up(code=None)
    assert refused.code != 0
    assert "is being deleted" in refused.text
    healthy.kubectl("patch", "configmap", "held", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    healthy.run("kubectl", "wait", "--for=delete", f"namespace/{NAMESPACE}", f"--timeout={patience(120):.0f}s")

    report = healthy.report()
    [finding] = report["findings"]
    assert (finding["class"], named(finding), finding["change"]) == ("drift", f"Namespace/{NAMESPACE}", "missing")
    preview = healthy.preview()
    [line] = preview.about(f"Namespace/{NAMESPACE}")
    assert "deleted from the server, with" in line
    assert len(preview.changes) > 60
    healthy.up()
    assert told(healthy.report()) == []
    assert healthy.preview("--expect-no-changes").changes == {}
