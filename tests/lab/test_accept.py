"""What was changed by hand is accepted: it is declared then, nothing on the server changes, and updates keep it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin
from tests.lab.batch import about, told, until_told
from tests.lab.operate import Operator
from tests.lab.rows import (
    ENV_SECRET,
    HAND_SECRET,
    OF_CONFIGURATION,
    OF_DEPLOYMENTS,
    OF_SERVICES,
    SEALED,
    TLS_KEY,
    declare,
    settle,
)

DELETED = ("Deployment deleted", "Service deleted", "Secret deleted", "ConfigMap with a rare character deleted")
"""There is no live value to declare."""
MADE_AGAIN = ("Service made again with another ClusterIP", "Service without an address of its own made again")
"""What a Service is called by is no field that somebody set."""
OF_THE_PROGRAM = (
    "metadata.labels[app.kubernetes.io/managed-by]:",
    "metadata.labels[app.kubernetes.io/part-of]:",
)
"""Labels that all objects of the program have, and that were not on a Secret that somebody made again."""
READ_BY_ALL = ("ConfigMap data", "Secret data")
"""What all services read: they restart once it is declared, which `accept` says."""
OF_ANOTHER_PART = "ExternalName into ClusterIP"
"""It would be another resource of the program."""
NOT_ACCEPTED = (
    OF_ANOTHER_PART,
    *READ_BY_ALL,
    *DELETED,
    *MADE_AGAIN,
    "conflict",
    "kept by a rule while another field is healed",
)
REMADE = "immutable Secret made again with other data"
FIELDS = {
    name: row for name, row in {**OF_DEPLOYMENTS, **OF_SERVICES, **OF_CONFIGURATION}.items() if name not in NOT_ACCEPTED
}
FOREIGN = {
    "CronJob/intruder": ("cronjob", "intruder", "--image=localhost:30500/flowmaster/agent-service:r40",
                         "--schedule=0 3 1 1 *"),
    "ConfigMap/intruder": ("configmap", "intruder", "--from-literal=a=b"),
}  # fmt: skip


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody whose server was just brought up, and whose stack counts as adopted."""
    operator = Operator.of(empty_twin).knowing(FLOWMASTER_SECRET_TLS_KEY=TLS_KEY)
    operator.edit_catalogue(declare)
    operator.edit_stack(settle)
    operator.run("pulumi", "config", "set", "--secret", "--path", "flowmaster:sealed.data-intelligence.TOKEN", SEALED)
    operator.up()
    uid = json.loads(operator.run("kubectl", "get", "namespace", "kube-system", "--output", "json").stdout)
    operator.edit_stack(lambda stack: stack.update(adopted={"at": "now", "uid": uid["metadata"]["uid"]}))
    until_told(operator, [])
    return operator


@pytest.fixture(scope="module")
def injected(operator: Operator) -> dict[str, dict[str, Any]]:
    """All rows at once; the objects as they then are."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: [operator.kubectl(*command) for command in row.commands], FIELDS.values()))
    for words in FOREIGN.values():
        operator.kubectl("create", *words)
    return operator.objects()


@pytest.fixture(scope="module")
def accepted(operator: Operator, injected: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The report once all of it is accepted; nothing was written to the server by that."""
    assert {name for name, row in FIELDS.items() if not about(operator.report(), row.object)} == set()
    dry = operator.run("flowmaster", "accept", "--all", "--dry-run").stdout
    assert "+      tag: r40" in dry.splitlines()
    assert "nothing was written (--dry-run)" in dry
    operator.run("flowmaster", "accept", "Deployment/agent-service")
    said = operator.run("flowmaster", "accept", "--all").stdout
    assert {line.split()[2] for line in said.splitlines() if line.startswith("left: ")} == set(OF_THE_PROGRAM)
    for name in FOREIGN:
        operator.run("flowmaster", "accept", name)
    assert spec_of(operator.objects()) == spec_of(injected)
    report: dict[str, Any] = operator.report()
    return report


def spec_of(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What people can set, by object: what controllers count and note is left out."""
    return {
        name: {key: part for key, part in body.items() if key not in ("metadata", "status")}
        | {key: body["metadata"].get(key) for key in ("labels", "uid")}
        for name, body in objects.items()
        if not name.startswith(("Pod/", "Job/"))
    }


@pytest.mark.parametrize("name", FIELDS)
def test_nothing_is_told_of_it_any_more(accepted: dict[str, Any], name: str) -> None:
    left = [f["path"] for f in about(accepted, FIELDS[name].object) if f["class"] != "unhealthy"]
    assert left == ([path.removesuffix(":") for path in OF_THE_PROGRAM] if name == REMADE else [])


def test_objects_that_nobody_declared_are_declared(accepted: dict[str, Any]) -> None:
    assert {name: about(accepted, name) for name in FOREIGN} == {name: [] for name in FOREIGN}


def test_an_update_keeps_all_of_it(
    operator: Operator, injected: dict[str, dict[str, Any]], accepted: dict[str, Any]
) -> None:
    assert {entry[1] for entry in told(accepted) if entry[0] != "unhealthy"} == {"Secret/seal"}
    operator.up()
    after = spec_of(operator.objects())
    before = spec_of(injected)
    assert {name for name in before if before[name] != after.get(name)} == {"Secret/seal"}
    operator.preview("--expect-no-changes")


def test_no_secret_is_in_a_file_or_was_shown(operator: Operator, accepted: dict[str, Any]) -> None:
    assert accepted
    files = [Path(operator.environ[name]).read_text() for name in ("FLOWMASTER_CATALOGUE", "PULUMI_OPTION_CONFIG_FILE")]
    for secret in (ENV_SECRET, HAND_SECRET):
        assert not any(secret in text for text in (*files, *operator.said))


def test_what_services_read_is_accepted_and_their_restart_is_told(operator: Operator, accepted: dict[str, Any]) -> None:
    assert accepted
    for name in READ_BY_ALL:
        row = OF_CONFIGURATION[name]
        for command in row.commands:
            operator.kubectl(*command)
        said = operator.run("flowmaster", "accept", row.object).stdout
        assert f"accepted: {row.object} {row.findings[0].path}" in said
        assert "the next update restarts agent-service, ai-agent" in said
        assert about(operator.report(), row.object) == []


def test_what_is_not_there_is_refused(operator: Operator, accepted: dict[str, Any]) -> None:
    assert accepted
    done = operator.run("flowmaster", "accept", "Deployment/nobody", code=1)
    assert done.stderr.startswith("error: no difference on the server is chosen")
    assert "nothing is named to accept" in operator.run("flowmaster", "accept", code=1).stderr


def test_doctor_finds_everything_in_place_and_names_what_is_not(operator: Operator, tmp_path: Path) -> None:
    said = operator.run("flowmaster", "doctor").stdout
    assert len(said.splitlines()) == 12
    assert all(line.startswith("✓") for line in said.splitlines())
    broken = operator.knowing(KUBECONFIG=str(tmp_path / "none")).run("flowmaster", "doctor", code=1).stdout
    assert [line.split()[1] for line in broken.splitlines() if line.startswith("✗")] == ["kubeconfig"]
    assert "not checked: the API server cannot be asked" in broken
