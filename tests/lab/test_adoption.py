"""Taking over what runs: nothing restarts, nothing moves, nothing is lost, and no secret is left lying about."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin, states
from tests.lab.batch import until
from tests.lab.clients import get
from tests.lab.operate import NAMESPACE, Operator, encoded


@dataclass
class Client:
    """Somebody who uses FlowMaster all the while, through nginx."""

    address: str
    answers: list[int] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Client:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set() and len(self.answers) < 20_000:
            for path in ("/", "/api/health"):
                self.answers.append(get(self.address, 80, path)[0])
            time.sleep(0.02)


@dataclass(frozen=True)
class Adopted:
    """The hand-made server before and after it was taken over."""

    operator: Operator
    before: dict[str, dict[str, Any]]
    pods: dict[str, tuple[str, int]]
    proof: str
    preview: str
    answers: list[int]


def running(operator: Operator, namespace: str = NAMESPACE) -> dict[str, tuple[str, int]]:
    """UID and restarts of each pod, by name."""
    text = operator.kubectl("get", "pods", "--namespace", namespace, "--output", "json")
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(state["restartCount"] for state in pod["status"].get("containerStatuses", ())),
        )
        for pod in json.loads(text)["items"]
    }


@pytest.fixture(scope="module")
def adopted(twin: Twin) -> Adopted:
    """The hand-made server, taken over with the two commands that a person uses, a client at work meanwhile."""
    states.hand_made(twin)
    operator = Operator.of(twin)
    settled = time.monotonic() + 60
    while len(running(operator)) != 29 and time.monotonic() < settled:
        # the pods from before the last `kubectl set image` are still going
        time.sleep(1)
    before, pods = operator.objects(), running(operator)
    proof = operator.run("flowmaster", "adopt")
    preview = operator.run("pulumi", "preview", "--suppress-outputs")
    with Client(operator.environ["FLOWMASTER_HOST_ADDRESS"]) as client:
        operator.up()
    return Adopted(operator, before, pods, proof.stdout, preview.stdout + preview.stderr, client.answers)


def test_no_pod_restarts(adopted: Adopted) -> None:
    assert running(adopted.operator) == adopted.pods
    assert len(adopted.pods) == 29


def test_every_object_is_the_same_one_with_the_same_spec(adopted: Adopted) -> None:
    after = adopted.operator.objects()
    assert set(after) == set(adopted.before)
    for name, body in adopted.before.items():
        assert after[name]["metadata"]["uid"] == body["metadata"]["uid"], name
        assert after[name].get("spec") == body.get("spec"), name
        assert after[name].get("data") == body.get("data"), name


def test_no_request_through_nginx_fails(adopted: Adopted) -> None:
    assert len(adopted.answers) > 50
    assert set(adopted.answers) == {200}


def test_the_proof_names_every_object(adopted: Adopted) -> None:
    words = adopted.proof.split()
    for name in adopted.before:
        if name != "ConfigMap/kube-root-ca.crt":
            assert name in words
    assert "restart" not in words


def test_preview_calls_it_adoption(adopted: Adopted) -> None:
    assert "adopt: " in adopted.preview
    assert "no pod restarts, no address changes" in adopted.preview
    assert "replace" not in adopted.preview


def test_everything_is_in_the_state_afterwards_and_protected(adopted: Adopted) -> None:
    deployment = json.loads(adopted.operator.run("pulumi", "stack", "export").stdout)["deployment"]
    resources = [r for r in deployment["resources"] if r["type"].startswith("kubernetes:")]
    named = {f"{r['type'].rpartition(':')[2]}/{r['urn'].rpartition('::')[2]}" for r in resources}
    assert named >= {name for name in adopted.before if name != "ConfigMap/kube-root-ca.crt"}
    assert all(resource.get("protect") for resource in resources)


def test_the_report_is_clean_and_the_preview_empty_afterwards(adopted: Adopted) -> None:
    def calm() -> bool:
        return all(finding["class"] != "unhealthy" for finding in adopted.operator.report()["findings"])

    until(calm, "calm after the crashes of the hand-made state", 60)
    assert adopted.operator.report()["findings"] == []
    adopted.operator.run("pulumi", "preview", "--expect-no-changes", "--suppress-outputs")


def test_no_secret_is_in_the_clear_anywhere(adopted: Adopted) -> None:
    values = {
        value
        for name, body in adopted.before.items()
        if name.startswith("Secret/")
        for value in (body.get("data") or {}).values()
    }
    plain = {base64.b64decode(value).decode() for value in values} | {"written-out-by-hand"}
    assert len(plain) > 5
    folder = Path(adopted.operator.environ["FLOWMASTER_CATALOGUE"]).parent
    written = "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    for text in (written, adopted.operator.state(), adopted.proof, adopted.preview):
        for value in plain:
            assert value not in text
            assert encoded(value) not in text
    annotations = [body["metadata"].get("annotations", {}) for body in adopted.operator.objects().values()]
    assert not any("kubectl.kubernetes.io/last-applied-configuration" in found for found in annotations)


def test_adopting_again_is_no_operation(adopted: Adopted) -> None:
    folder = Path(adopted.operator.environ["FLOWMASTER_CATALOGUE"]).parent
    before = {path: path.read_bytes() for path in folder.glob("*.yaml")}
    assert "nothing to do" in adopted.operator.run("flowmaster", "adopt").stdout
    assert {path: path.read_bytes() for path in folder.glob("*.yaml")} == before


def test_an_adopted_server_that_drifted_is_not_written_down_as_if_it_were_meant(adopted: Adopted) -> None:
    operator = adopted.operator
    operator.kubectl("scale", "deployment/process-design", "--replicas=2")
    refused = operator.run("flowmaster", "adopt", code=1)
    assert "differs from it now" in refused.stderr
    assert len(refused.stderr.splitlines()) <= 3
    operator.up()
    assert operator.get("Deployment/process-design")["spec"]["replicas"] == 1


def test_the_backup_puts_everything_back(adopted: Adopted) -> None:
    operator = adopted.operator
    backup = next(word for word in adopted.proof.split() if "before-adopt-" in word)
    operator.kubectl("delete", "service/process-design", "configmap/knowledge-hub-prompts", "secret/ai-keys")
    operator.kubectl("set", "env", "deployment/bac-marketplace", "DATABASE_URL=gone")
    operator.run("flowmaster", "restore", backup)
    after = operator.objects()
    for name in ("Service/process-design", "Deployment/bac-marketplace", "ConfigMap/knowledge-hub-prompts"):
        assert after[name].get("spec") == adopted.before[name].get("spec")
    assert after["Secret/ai-keys"]["data"] == adopted.before["Secret/ai-keys"]["data"]


def test_what_the_server_would_not_accept_is_refused_before_anything_is_written(twin: Twin, adopted: Adopted) -> None:
    operator = adopted.operator
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "nobody-touches-config"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}
                ]
            },
            "validations": [{"expression": "object.metadata.name != 'flowmaster-config'", "message": "hands off"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "nobody-touches-config"},
        "spec": {"policyName": "nobody-touches-config", "validationActions": ["Deny"]},
    }
    folder = Path(operator.environ["FLOWMASTER_CATALOGUE"]).parent
    before = {path: path.read_bytes() for path in folder.glob("*.yaml")}
    try:
        both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
        operator.run("kubectl", "apply", "--filename", "-", text=both)
        for _ in range(40):
            refused = operator.run("flowmaster", "adopt", "--again", "--dry-run", "--strict", code=None)
            if refused.returncode == 1:
                break
            time.sleep(0.5)
        assert refused.returncode == 1
        assert "ConfigMap/flowmaster-config" in refused.stderr
        assert "hands off" in refused.stderr
    finally:
        kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
        operator.run("kubectl", "delete", kinds, "nobody-touches-config")
    assert {path: path.read_bytes() for path in folder.glob("*.yaml")} == before


def test_adopt_that_is_killed_leaves_the_files_as_they_were(adopted: Adopted) -> None:
    operator = adopted.operator
    folder = Path(operator.environ["FLOWMASTER_CATALOGUE"]).parent
    before = {path: path.read_bytes() for path in folder.glob("*.yaml")}
    for seconds in (0.5, 1.5, 2.5):
        process = operator.start("flowmaster", "adopt", "--again")
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert {path: path.read_bytes() for path in folder.glob("*.yaml")} == before
        else:
            process.communicate()
    operator.run("flowmaster", "adopt", "--again")
    operator.run("pulumi", "preview", "--expect-no-changes", "--suppress-outputs")
