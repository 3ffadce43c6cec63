"""Objects that are odd in one way each: taken over with proof, or left alone with a reason, the others unhindered."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowmaster.cluster.field_managers import moment
from flowmaster.drift.health import STARTUP_TIME
from lab.twin import Twin
from tests.lab.batch import until
from tests.lab.elsewhere import another_namespace
from tests.lab.odd_objects import ODD, OPERATED, Odd
from tests.lab.operate import Operator, named
from tests.lab.test_adoption import running

NAMESPACE = "oddities"
STACK = ("--stack", NAMESPACE)
HERE = ("kubectl", "--namespace", NAMESPACE)
Json = dict[str, Any]


@dataclass(frozen=True)
class Adopted:
    """The namespace before and after it was taken over, and what was said meanwhile."""

    operator: Operator
    before: dict[str, Json]
    pods: dict[str, tuple[str, int]]
    strict: str
    diff: str
    said: str
    preview: str
    up: str


def objects(operator: Operator) -> dict[str, Json]:
    """All objects of the kinds that the program declares, by `Kind/name`."""
    text = operator.run(*HERE, "get", "deployments,services,configmaps,secrets", "--output", "json").stdout
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in json.loads(text)["items"]}


def files(operator: Operator) -> dict[str, str]:
    folder = Path(operator.environ["FLOWMASTER_CATALOGUE"]).parent
    return {path.name: path.read_text() for path in folder.glob("*.yaml")}


@pytest.fixture(scope="module")
def adopted(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    bodies = [body for odd in ODD.values() for body in odd.bodies]
    with another_namespace(twin, NAMESPACE, tmp_path_factory.mktemp("odd"), bodies) as operator:
        applied = ("apply", "--server-side", "--field-manager=widget-operator", "--filename", "-")
        operator.run(*HERE, *applied, text=json.dumps(OPERATED))
        until(lambda: _settled(operator), "all pods but one", 90)
        before, pods, written = objects(operator), running(operator, NAMESPACE), files(operator)
        strict = operator.run("flowmaster", "adopt", "--strict", *STACK, code=1).stderr
        diff = operator.run("flowmaster", "adopt", "--dry-run", *STACK).stdout
        assert files(operator) == written
        said = operator.run("flowmaster", "adopt", *STACK).stdout
        preview = operator.run("pulumi", "preview", "--suppress-outputs", *STACK)
        up = operator.run("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", *STACK)
        yield Adopted(
            operator, before, pods, strict, diff, said, preview.stdout + preview.stderr, up.stdout + up.stderr
        )


def _settled(operator: Operator) -> bool:
    """Whether all pods have started, the one that never becomes ready for so long that it counts as ill."""
    items = json.loads(operator.run(*HERE, "get", "pods", "--output", "json").stdout)["items"]
    if any(pod["status"]["phase"] != "Running" for pod in items):
        return False
    unready = [c for pod in items for c in pod["status"]["containerStatuses"] if not c["ready"]]
    started = [moment(container["state"]["running"]["startedAt"]) for container in unready]
    return all(at is not None and datetime.now(UTC) - at > STARTUP_TIME for at in started)


def state(operator: Operator) -> set[str]:
    """The objects that the stack's state has."""
    deployment = json.loads(operator.run("pulumi", "stack", "export", *STACK).stdout)["deployment"]
    resources = [r for r in deployment["resources"] if r["type"].startswith("kubernetes:")]
    return {f"{r['type'].rpartition(':')[2]}/{r['urn'].rpartition('::')[2]}" for r in resources}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_each_is_taken_over_or_left_with_its_reason(adopted: Adopted, odd: Odd) -> None:
    left = dict(odd.left)
    rules = yaml.safe_load(files(adopted.operator)[f"Pulumi.{NAMESPACE}.yaml"])["config"]["flowmaster:rules"]
    ignored = {f"{rule['kind']}/{rule['name']}" for rule in rules}
    taken = state(adopted.operator)
    for name in odd.names:
        assert (name in taken, name in ignored) == (name not in left, name in left), name
    for name, words in left.items():
        assert any(name in line and words in line for line in adopted.said.splitlines()), (name, adopted.said)


def test_what_a_controller_writes_that_nobody_knows_is_left(adopted: Adopted) -> None:
    assert "ConfigMap/operated: kept by widget-operator" in adopted.said
    assert "ConfigMap/operated" not in state(adopted.operator)


def test_strict_tells_all_reasons_at_once(adopted: Adopted) -> None:
    for name in ("variable-twice", "host-ports", "two-names", "alias-twice", "pull-twice"):
        assert f"Deployment/{name}" in adopted.strict
    assert len(adopted.strict.splitlines()) <= 3


def test_a_dry_run_shows_what_would_be_written_as_a_diff(adopted: Adopted) -> None:
    assert "+++ " in adopted.diff
    assert "+  flowmaster:services:" in adopted.diff
    assert "nothing was written" in adopted.diff


def test_no_pod_restarts_and_no_spec_changes(adopted: Adopted) -> None:
    assert running(adopted.operator, NAMESPACE) == adopted.pods
    after = objects(adopted.operator)
    assert set(after) == set(adopted.before)
    for name, body in adopted.before.items():
        for part in ("spec", "data", "type"):
            assert after[name].get(part) == body.get(part), name
        assert after[name]["metadata"]["uid"] == body["metadata"]["uid"]


def test_preview_says_what_was_proved(adopted: Adopted) -> None:
    assert "are taken over as they are: no pod restarts, no address changes" in adopted.preview
    assert "is taken over, and" not in adopted.preview


def test_what_was_ill_before_is_a_warning_of_the_update(adopted: Adopted) -> None:
    assert "did not run before this update, which did not touch it" in adopted.up
    assert "does not run after" not in adopted.up


def test_the_report_tells_of_ill_health_alone_and_the_preview_is_empty(adopted: Adopted) -> None:
    found = adopted.operator.report(*STACK)["findings"]
    assert [(named(f), f["class"]) for f in found] == [("Deployment/never-ready", "unhealthy")]
    adopted.operator.run("pulumi", "preview", "--expect-no-changes", "--suppress-outputs", *STACK)


def test_adopting_twice_is_no_operation(adopted: Adopted) -> None:
    before = files(adopted.operator)
    assert "nothing to do" in adopted.operator.run("flowmaster", "adopt", *STACK).stdout
    assert files(adopted.operator) == before


def test_one_more_object_is_added_and_the_rest_stays_as_it_is_written(adopted: Adopted) -> None:
    operator, image = adopted.operator, adopted.before["Deployment/headless"]["spec"]["template"]["spec"]["containers"]
    operator.run(*HERE, "create", "configmap", "later", "--from-literal=a=b")
    operator.run(*HERE, "create", "secret", "generic", "later", f"--from-literal=WORD={secrets.token_hex()}")
    operator.run(*HERE, "create", "deployment", "later", f"--image={image[0]['image']}")
    before, pods = files(operator), running(operator, NAMESPACE)
    operator.run("flowmaster", "adopt", "--only", "*/later", *STACK)
    after = files(operator)
    for name in ("catalogue.yaml", f"Pulumi.{NAMESPACE}.yaml"):
        assert set(before[name].splitlines()) <= set(after[name].splitlines()), name
    operator.up(*STACK)
    assert {"ConfigMap/later", "Deployment/later", "Secret/later", "Secret/words"} <= state(operator)
    # the secret values of before are still known
    assert {f["class"] for f in operator.report(*STACK)["findings"]} == {"unhealthy"}
    assert objects(operator)["Secret/words"]["data"] == adopted.before["Secret/words"]["data"]
    assert pods.items() <= running(operator, NAMESPACE).items()
    assert "adopted already" in operator.run("flowmaster", "adopt", "--only", "*/later", *STACK).stdout


PATCHES = (
    ("service/families", {"spec": {"ipFamilyPolicy": "SingleStack"}}, "spec.ipFamilyPolicy"),
    ("service/balanced", {"spec": {"ipFamilyPolicy": "PreferDualStack"}}, "spec.ipFamilyPolicy"),
    (
        "deployment/every-pod",
        {"spec": {"template": {"spec": {"topologySpreadConstraints": None}}}},
        "spec.template.spec.topologySpreadConstraints[kubernetes.io/hostname/ScheduleAnyway]",
    ),
)


def test_what_is_patched_later_is_told_and_healed(adopted: Adopted) -> None:
    operator = adopted.operator
    for resource, patch, _ in PATCHES:
        operator.run(*HERE, "patch", resource, "--type=merge", "--patch", json.dumps(patch))
    found = {(named(f).lower(), f["path"]) for f in operator.report(*STACK)["findings"] if f["class"] != "unhealthy"}
    assert found == {(resource, path) for resource, _, path in PATCHES}
    operator.up(*STACK)
    assert {f["class"] for f in operator.report(*STACK)["findings"]} == {"unhealthy"}
    for name in ("Service/families", "Service/balanced", "Deployment/every-pod"):
        assert objects(operator)[name]["spec"] == adopted.before[name]["spec"], name


def test_what_is_deleted_is_made_again_as_it_was(adopted: Adopted) -> None:
    operator = adopted.operator
    services = [name for name in adopted.before if name.startswith("Service/")]
    operator.run(*HERE, "delete", *services, "deployment/every-pod", "deployment/empty-parts")
    operator.up(*STACK)
    after = objects(operator)
    for name in (*services, "Deployment/every-pod", "Deployment/empty-parts"):
        assert after[name]["spec"] == adopted.before[name]["spec"], name


def test_what_is_named_is_taken_over_all_the_same(adopted: Adopted) -> None:
    operator = adopted.operator
    said = operator.run("flowmaster", "adopt", "--again", "--take", "ConfigMap/operated", *STACK).stdout
    assert "ConfigMap/operated: kept by" not in said
    operator.up(*STACK)
    assert "ConfigMap/operated" in state(operator)
