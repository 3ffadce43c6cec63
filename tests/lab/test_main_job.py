"""The main job on a fresh server: everything is made, answers, and stays as it is until something is changed."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config import load
from lab.twin import Twin, keys
from lab.twin.base import DATABASES
from tests.lab.clients import get
from tests.lab.clone import DECLARED, NAMESPACE, STACK_FILE, Clone, Run, command_lines, repeated

RUNNING = 29
PINNED = {"frontend": "10.43.185.219", "api-gateway": "10.43.193.134", "websocket-gateway": "10.43.43.253"}
SECRET, CONFIG = "billing", "frontend-settings"


def call_from_a_pod(clone: Clone, url: str) -> dict[str, Any]:
    """What the agent-service gets when it calls the URL: cluster DNS, and the network between pods."""
    address = clone.objects()["Service/agent-service"]["spec"]["clusterIP"]
    status, answer = clone.twin.in_network(lambda: get(address, 9016, f"/call?url={url}"))
    assert status == 200, answer
    assert isinstance(answer, dict)
    return answer


def outputs(clone: Clone) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(clone.succeeds(clone.pulumi("stack", "output", "--json")).output)
    return found


def written_down(twin: Twin) -> dict[Path, bytes]:
    """Every file in which Pulumi or this project keeps something of the stack."""
    folders = (twin.layout.pulumi, twin.layout.state / "stack")
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_one_command_makes_everything(main_job: Run) -> None:
    assert "Traceback" not in main_job.output
    steps = re.findall(r"^== (.*)$", main_job.output, re.MULTILINE)
    assert len(steps) == 5
    assert steps[-1] == "done"
    created = [int(number) for number in re.findall(r"\+ (\d+) created", main_job.output)]
    unchanged = [int(number) for number in re.findall(r"^    (\d+) unchanged", main_job.output, re.MULTILINE)]
    assert created == unchanged
    assert created[0] > DECLARED


def test_everything_that_is_declared_is_there_and_nothing_else(deployed: Clone) -> None:
    kinds = Counter(name.partition("/")[0] for name in deployed.own())
    assert kinds == {"ConfigMap": 1, "Secret": 1, "Service": 32, "Deployment": 30}


def test_every_service_answers_through_the_cluster_under_its_name_and_version(deployed: Clone) -> None:
    found = outputs(deployed)
    assert len(found["addresses"]) == RUNNING
    for name, address in found["addresses"].items():
        host, _, port = address.partition(":")
        status, answer = deployed.twin.in_network(partial(get, host, int(port), "/health"))
        assert (status, answer["service"], answer["status"]) == (200, name, "ok")
        assert answer["version"] == found["versions"][name].rpartition(":")[2]


def test_services_find_each_other_by_name_from_inside_a_pod(deployed: Clone) -> None:
    for name, address in outputs(deployed)["addresses"].items():
        answer = call_from_a_pod(deployed, f"http://{name}:{address.partition(':')[2]}/health")
        assert json.loads(answer["body"])["service"] == name


def test_addresses_that_the_stack_fixes_are_those(deployed: Clone) -> None:
    objects = deployed.objects()
    assert {name: objects[f"Service/{name}"]["spec"]["clusterIP"] for name in PINNED} == PINNED


def test_data_intelligence_is_there_and_at_0(deployed: Clone) -> None:
    assert deployed.objects()["Deployment/data-intelligence"]["spec"]["replicas"] == 0
    pods = deployed.pods()
    assert len(pods) == RUNNING
    assert "data-intelligence" not in pods


@pytest.mark.parametrize("name", DATABASES)
def test_external_names_resolve_and_connect_from_inside_a_pod(deployed: Clone, name: str) -> None:
    service = deployed.objects()[f"Service/{name}"]
    assert service["spec"]["externalName"] == f"{name}.databases.svc.cluster.local"
    port = DATABASES[name][1]
    answer = call_from_a_pod(deployed, f"tcp://{name}:{port}")
    assert (answer["ok"], answer["remote"]) == (True, f"{DATABASES[name][2]}:{port}")


def test_outputs_say_what_people_need(deployed: Clone) -> None:
    found = outputs(deployed)
    settings = load.from_file("demo")
    assert found["versions"] == {name: settings.image(name) for name in settings.services}
    assert found["addresses"].items() >= {"frontend": "10.43.185.219:3000"}.items()
    assert found["externalServices"]["redis"] == "redis.databases.svc.cluster.local"
    assert found["ready"] == "29 services run, 1 at 0"


def test_a_second_update_changes_nothing(deployed: Clone) -> None:
    pods, before = deployed.settled(), deployed.versions()
    run = deployed.succeeds(deployed.up())
    assert re.search(r"^    \d+ unchanged$", run.output, re.MULTILINE)
    deployed.succeeds(deployed.pulumi("preview", "--expect-no-changes"))
    assert deployed.versions() == before
    deployed.keeps(pods)


def test_no_secret_is_written_down_or_shown(deployed: Clone, main_job: Run) -> None:
    values = {**keys.load_secrets(deployed.twin.layout), "passphrase": deployed.environment["PULUMI_CONFIG_PASSPHRASE"]}
    assert len(values) == 10
    shown = deployed.succeeds(deployed.pulumi("stack", "--show-urns")).output + main_job.output
    exported = deployed.succeeds(deployed.pulumi("stack", "export")).output
    texts = {"outputs": json.dumps(outputs(deployed)), "log": shown, "export": exported}
    files = {str(path): content.decode(errors="replace") for path, content in written_down(deployed.twin).items()}
    assert any(path.endswith(".checkpoint.json") or "stacks" in path for path in files)
    for name, value in values.items():
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert not [place for place, text in (texts | files).items() if form in text], name


def add_a_secret_and_a_setting(values: dict[str, Any]) -> None:
    values["secrets"][SECRET] = {"keys": ["STRIPE_KEY"]}
    values["configMaps"][CONFIG] = {"data": {"GREETING": "hello"}}
    values["services"]["frontend"]["env"] = {
        "STRIPE_KEY": {"secret": SECRET, "key": "STRIPE_KEY"},
        "GREETING": {"configMap": CONFIG, "key": "GREETING"},
    }


def change_the_setting(values: dict[str, Any]) -> None:
    add_a_secret_and_a_setting(values)
    values["configMaps"][CONFIG]["data"]["GREETING"] = "salām"


def older_manager_app(values: dict[str, Any]) -> None:
    values["config"]["flowmaster:services"]["manager-app"] = {"tag": "r29", "replicas": 2}


def processes_with(twin: Twin, variable: str) -> int:
    """How many processes on the server have exactly this in their environment."""
    script = f"grep -lzx -- '{variable}' /proc/[0-9]*/environ 2>/dev/null | wc -l"
    return int(twin.exec(["sh", "-c", script]).stdout)


def test_what_changes_rolls_the_pods_that_read_it_and_never_leaves_fewer_than_replicas(
    deployed: Clone, tmp_path: Path
) -> None:
    first, second = "first-value-of-stripe", "second-value-of-stripe"
    environment = deployed.altered(tmp_path, stack=older_manager_app, catalogue=add_a_secret_and_a_setting)
    set_secret = ("config", "set", "--secret", "--path", f"flowmaster:secrets.{SECRET}.STRIPE_KEY")
    deployed.succeeds(deployed.pulumi(*set_secret, text=first, env=environment))
    assert first not in Path(str(environment[STACK_FILE])).read_text()
    deployed.succeeds(deployed.up(environment))
    assert processes_with(deployed.twin, f"STRIPE_KEY={first}") == 1
    pods, objects = deployed.settled(), deployed.objects()

    deployed.succeeds(deployed.pulumi(*set_secret, text=second, env=environment))
    text = Path(str(environment[STACK_FILE])).read_text().replace("tag: r29", "tag: r30")
    environment = deployed.altered(tmp_path, catalogue=change_the_setting) | {STACK_FILE: environment[STACK_FILE]}
    Path(str(environment[STACK_FILE])).write_text(text)
    lines: set[str] = set()
    fewest = {"frontend": 1, "manager-app": 2}

    def watch() -> None:
        lines.update(command_lines())
        now = deployed.pods()
        for name, least in fewest.items():
            assert len(now.get(name, ())) >= least, f"{name} has {len(now.get(name, ()))} ready pods"

    with repeated(watch):
        run = deployed.succeeds(deployed.up(environment))

    pods_after, after = deployed.settled(), deployed.objects()
    for name in (f"Secret/{SECRET}", f"ConfigMap/{CONFIG}"):
        assert after[name]["metadata"]["uid"] == objects[name]["metadata"]["uid"]
        assert after[name]["data"] != objects[name]["data"]
    assert {name for name in pods if pods_after[name] != pods[name]} == {"frontend", "manager-app"}
    assert processes_with(deployed.twin, f"STRIPE_KEY={second}") == 1
    assert processes_with(deployed.twin, "GREETING=salām") == 1
    everything = {run.output, *lines, *(text.decode(errors="replace") for text in written_down(deployed.twin).values())}
    secrets = (first, second, *keys.load_secrets(deployed.twin.layout).values())
    assert not [text for text in everything if any(secret in text for secret in secrets)]
    assert any("pulumi up" in line for line in lines), "the processes were looked at while the update ran"


def test_destroy_leaves_nothing_and_up_makes_the_same_again(deployed: Clone) -> None:
    """With the original configuration, so that what the test before changed is gone with it."""
    deployed.succeeds(deployed.pulumi("destroy", "--yes", "--skip-preview"))
    assert f"Namespace/{NAMESPACE}" not in deployed.objects()
    assert [name for name in deployed.objects() if not name.startswith("Namespace/")] == []
    deployed.succeeds(deployed.up())
    found = outputs(deployed)
    assert found["versions"] == {name: load.from_file("demo").image(name) for name in found["versions"]}
    assert {name: found["addresses"][name].partition(":")[0] for name in PINNED} == PINNED
    test_everything_that_is_declared_is_there_and_nothing_else(deployed)
    test_every_service_answers_through_the_cluster_under_its_name_and_version(deployed)
    deployed.succeeds(deployed.pulumi("preview", "--expect-no-changes"))
