"""Where traffic goes, what holds an object, and what pods really are, on a real server: a row a change by hand.

All rows are injected at once on one server; one report, one preview and one update are for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin
from tests.lab import batch as table
from tests.lab.batch import about, agrees, told, until, until_told
from tests.lab.operate import Operator, Preview, named
from tests.lab.row import HEAL, REPORT, Row
from tests.lab.traffic_rows import (
    ALONE,
    REPEATED,
    ROWS,
    RULES,
    SCALED,
    UNREAD,
    Placeholders,
    declare,
    inject,
    of_another_namespace,
)

OUTSIDE = "elsewhere"


@dataclass(frozen=True)
class Seen:
    """What was said before and after an update."""

    known: Placeholders
    found: dict[str, Any]
    preview: Preview
    left: dict[str, Any]
    again: Preview


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody who has just brought FlowMaster up on a fresh server."""
    operator = Operator.of(empty_twin)
    operator.edit_catalogue(declare)
    operator.edit_stack(lambda settings: settings.update(rules=RULES))
    operator.up()
    until_told(operator, [])
    return operator


@pytest.fixture(scope="module")
def seen(operator: Operator) -> Seen:
    """All rows at once, from the changes by hand to the preview after the update."""
    known = Placeholders(operator)
    operator.kubectl("create", "configmap", "stray", "--from-literal=a=b")
    for row in ROWS.values():
        inject(operator, row, known)
    for body in of_another_namespace(OUTSIDE):
        operator.run("kubectl", "apply", "--filename", "-", text=json.dumps(body))
    operator.kubectl("wait", "--for=condition=Available", "deployment", "--all", "--timeout=120s")
    found, preview = operator.report(), operator.preview()
    operator.up()
    return Seen(known, found, preview, operator.report(), operator.preview("--expect-no-changes", code=None))


@pytest.fixture(scope="module")
def healthy(operator: Operator, seen: Seen) -> Operator:
    """The same server, once people have undone what up leaves to them."""
    for row in ROWS.values():
        for command in row.undo:
            operator.kubectl(*map(seen.known, command))
    operator.kubectl("delete", "configmap", "stray", "--ignore-not-found")
    operator.run("kubectl", "delete", "namespace", OUTSIDE)
    until_told(operator, [])
    return operator


# -- a test a row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_the_report_has_exactly_this_finding(seen: Seen, row: Row) -> None:
    [finding] = about(seen.found, seen.known(row.object))
    [expected] = row.findings
    assert (finding["class"], finding["path"]) == (expected.cls, seen.known(expected.path))
    assert agrees(finding.get("live"), expected.live), finding
    assert agrees(finding.get("declared"), expected.declared), finding
    assert (finding["manager"], finding["action"]) == (expected.manager, expected.action)
    assert seen.known(expected.note) in finding["note"]


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_preview_shows_it_in_one_readable_line(seen: Seen, row: Row) -> None:
    resource, [expected] = seen.known(row.object), row.findings
    [line] = seen.preview.about(resource)
    assert line.startswith(f"{expected.cls}: {f'{resource} {seen.known(expected.path)}'.strip()}: ")
    assert len(line) < 400
    assert seen.known(expected.note) in line
    assert not expected.manager or f"(by {expected.manager}" in line
    assert ("reported only" in line) == (expected.action == REPORT)


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_up_heals_it_or_keeps_it(seen: Seen, row: Row) -> None:
    kept = [(e.cls, seen.known(e.path)) for e in row.findings if e.action == REPORT]
    assert [(f["class"], f["path"]) for f in about(seen.left, seen.known(row.object))] == kept


def test_there_are_no_findings_but_those(seen: Seen) -> None:
    known = {seen.known(row.object) for row in ROWS.values()} | {"ConfigMap/stray"}
    assert {named(finding) for finding in seen.found["findings"]} == known
    assert (seen.found["exitCode"], seen.left["exitCode"]) == (2, 4)


def test_the_next_preview_is_empty(seen: Seen) -> None:
    assert (seen.again.code, seen.again.changes) == (0, {})


def test_ports_of_the_host_that_another_namespace_wants_are_notes(operator: Operator, seen: Seen) -> None:
    of_it = f"balancer of namespace {OUTSIDE}"
    assert f"Service/{of_it} (LoadBalancer) wants port 80 of the server, too" in seen.found["notes"]
    assert f"Ingress/{of_it}, for shop.example.com, would be served there" in seen.found["notes"]


def test_a_former_owner_takes_nothing_with_it(operator: Operator, seen: Seen) -> None:
    before = operator.get("Deployment/auth-service")["metadata"]
    assert "ownerReferences" not in before
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "stray", "uid": seen.known("{uid:configmap/stray}")}
    still_owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [owner]}}
    operator.kubectl("create", "--filename", "-", text=json.dumps(still_owned))
    operator.kubectl("delete", "configmap", "stray")
    until(lambda: operator.kubectl("get", "configmap", "owned", code=None) == "", "the owned one is collected", 60)
    assert operator.get("Deployment/auth-service")["metadata"]["uid"] == before["uid"]


def test_once_people_have_undone_the_rest_the_server_is_clean(healthy: Operator) -> None:
    report = healthy.report()
    assert report["exitCode"] == 0
    assert OUTSIDE not in "".join(report["notes"])
    assert healthy.preview("--expect-no-changes").changes == {}


# -- rows that need the server for themselves ----------------------------------------------------------------------


@contextmanager
def without_controllers(operator: Operator) -> Iterator[None]:
    """A while in which no controller of Kubernetes writes anything."""
    operator.twin.pause_process("kube-controller-manager")
    try:
        yield
    finally:
        operator.twin.start_process("kube-controller-manager")


def is_told(report: dict[str, Any], row: Row, known: Placeholders, action: str = REPORT) -> None:
    """The report has the one finding of a row, and no other."""
    [finding], [expected] = report["findings"], row.findings
    assert (finding["class"], named(finding), finding["path"], finding["manager"], finding["action"]) == (
        expected.cls, row.object, known(expected.path), expected.manager, action
    )  # fmt: skip
    assert agrees(finding.get("live"), expected.live), finding
    assert agrees(finding.get("declared"), expected.declared), finding
    assert action != REPORT or expected.note in finding["note"]


def test_a_replica_set_scaled_past_its_deployment_is_told_until_the_controller_sets_it_back(healthy: Operator) -> None:
    known = Placeholders(healthy)
    with without_controllers(healthy):
        inject(healthy, ALONE[SCALED], known)
        is_told(healthy.report(), ALONE[SCALED], known)
    until_told(healthy, [])


def test_a_program_that_sets_a_field_again_is_named_and_pods_do_not_roll_for_ever(healthy: Operator) -> None:
    known, row = Placeholders(healthy), ALONE[REPEATED]
    inject(healthy, row, known)
    is_told(healthy.report(), row, known, HEAL)
    healthy.up()
    assert told(healthy.report()) == []
    inject(healthy, row, known)
    healthy.kubectl("rollout", "status", "deployment/dxg-service", "--timeout=60s")
    is_told(healthy.report(), row, known)
    before = healthy.get("Deployment/dxg-service")["metadata"]["generation"]
    for _ in range(2):
        preview = healthy.preview("--expect-no-changes")
        [line] = preview.about("Deployment/dxg-service")
        assert "meddler has set it again" in line
        assert healthy.up().changes == {}
    assert healthy.get("Deployment/dxg-service")["metadata"]["generation"] == before
    healthy.edit_stack(lambda settings: settings["rules"].append({"manager": "meddler", "action": "heal"}))
    healthy.up()
    healthy.edit_stack(lambda settings: settings["rules"].pop())
    until_told(healthy, [])


# -- what cannot be looked at is unknown, never clean --------------------------------------------------------------


@pytest.mark.parametrize("row", UNREAD.values(), ids=list(UNREAD))
def test_what_kubernetes_makes_that_may_not_be_read_is_unknown(healthy: Operator, tmp_path: Path, row: Row) -> None:
    kind = row.object.partition("/")[0]
    auditor = healthy.knowing(KUBECONFIG=str(table.kubeconfig_without(healthy, f"{kind.lower()}s", tmp_path)))
    report = auditor.report()
    is_told(report, row, Placeholders(healthy))
    assert report["exitCode"] == 5
    assert any(entry.startswith(f"{kind} (") for entry in report["coverage"]["notLookedAt"])


def test_other_namespaces_that_may_not_be_read_are_not_looked_at(healthy: Operator, tmp_path: Path) -> None:
    auditor = healthy.knowing(KUBECONFIG=str(table.kubeconfig_within(healthy, tmp_path)))
    try:
        report = auditor.report("--no-registry")
    finally:
        healthy.kubectl("delete", "rolebinding", "tenant")
    assert told(report) == [("foreign", "RoleBinding/tenant", "")]
    left = [entry.partition(" (")[0] for entry in report["coverage"]["notLookedAt"]]
    assert "kind Service of other namespaces" in left
    assert "kind Ingress of other namespaces" in left
