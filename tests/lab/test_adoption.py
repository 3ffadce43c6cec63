"""Taking over what runs: nothing restarts, nothing moves, nothing is lost, and no secret is left lying about."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.twin import Twin, states
from tests.lab.clients import get
from tests.lab.operate import NAMESPACE, ROOT, Operator, encoded

FOREIGN = "somebody-elses"
DATABASE = "http://arangodb.databases.svc.cluster.local:8529/"


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


MANIFESTS: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"tier": "front"}, "annotations": {"owner": "somebody@example.com"}},
        "spec": {
            "replicas": 1,
            "paused": False,
            "selector": {"matchLabels": {"tier": "front", "part": "web"}},
            "template": {
                "metadata": {"labels": {"tier": "front", "part": "web"}, "annotations": {"note": "a\nb"}},
                "spec": {
                    "serviceAccountName": "web",
                    "initContainers": [{"name": "first", "image": "IMAGE", "command": ["/service", "check", DATABASE]}],
                    "containers": [
                        {
                            "name": "side",
                            "image": "IMAGE",
                            "env": [
                                {"name": "PORT", "value": "7001"},
                                {"name": "DB_PASSWORD", "value": "in-the-clear-besides"},
                            ],
                            "lifecycle": {"preStop": {"exec": {"command": ["/service", "check", DATABASE]}}},
                        },
                        {
                            "name": "main",
                            "image": "IMAGE",
                            "ports": [{"containerPort": 7000}, {"containerPort": 7002, "name": "more"}],
                            "env": [
                                {"name": "PORT", "value": "7000"},
                                {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                                {
                                    "name": "MAYBE",
                                    "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}},
                                },
                                {"name": "API_TOKEN", "value": "in-the-clear-too"},
                            ],
                            "envFrom": [{"prefix": "P_", "secretRef": {"name": "words"}}],
                            "resources": {"limits": {"memory": "64Mi", "cpu": "1000m"}, "requests": {"cpu": "10m"}},
                            "volumeMounts": [
                                {"name": "b", "mountPath": "/b", "subPath": "x"},
                                {"name": "a", "mountPath": "/a"},
                            ],
                        },
                    ],
                    "volumes": [
                        {"name": "a", "emptyDir": {}},
                        {"name": "b", "projected": {"sources": [{"configMap": {"name": "texts"}}]}},
                    ],
                    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "annotations": {"a": "b"}},
        "spec": {
            "type": "NodePort",
            "selector": {"tier": "front"},
            "ports": [{"name": "x", "port": 80, "targetPort": 7000}, {"name": "y", "port": 81, "targetPort": "more"}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web-headless"},
        "spec": {"clusterIP": "None", "selector": {"tier": "front"}, "ports": [{"port": 7000}]},
    },
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "texts", "labels": {"x": "y"}},
        "data": {"multi": "a\nb\n", "unicode": "žluťoučký ☃"},
        "binaryData": {"raw": "/wD+"},
    },
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fixed"}, "data": {"a": "1"}, "immutable": True},
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "data": {"TEXT": encoded("a value\n"), "BINARY": "/wD+", "NUMBER": encoded("007")},
    },
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "words"}, "stringData": {"WORD": "said quietly"}},
    {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {
            "schedule": "0 3 * * *",
            "jobTemplate": {
                "spec": {
                    "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "IMAGE"}]}}
                }
            },
        },
    },
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "store"},
        "spec": {
            "replicas": 0,
            "serviceName": "store",
            "selector": {"matchLabels": {"app": "store"}},
            "template": {
                "metadata": {"labels": {"app": "store"}},
                "spec": {"containers": [{"name": "a", "image": "IMAGE"}]},
            },
        },
    },
]


@pytest.fixture(scope="module")
def elsewhere(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A namespace that somebody else filled with plain manifests, and a stack that knows nothing of it yet."""
    base = Operator.of(twin)
    image = "localhost:30500/flowmaster/frontend:ea2a29b"
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": MANIFESTS}).replace("IMAGE", image)
    base.run("kubectl", "delete", "namespace", FOREIGN, "--ignore-not-found", "--wait=true", "--timeout=60s")
    base.run("kubectl", "create", "namespace", FOREIGN)
    base.run("kubectl", "apply", "--namespace", FOREIGN, "--filename", "-", text=text)
    base.run("kubectl", "rollout", "status", "deployment/web", "--namespace", FOREIGN, "--timeout=90s")
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "catalogue.yaml").write_text("registry: localhost:30500/flowmaster\nservices: {}\n")
    config = {
        "flowmaster:cluster": {"context": "demo", "namespace": FOREIGN},
        "flowmaster:host": {"address": "localhost", "user": "root"},
        "flowmaster:services": {},
    }
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    stack = folder / "Pulumi.elsewhere.yaml"
    init = ["pulumi", "stack", "init", "elsewhere", "--non-interactive"]
    clean = {k: v for k, v in base.environ.items() if k not in ("PULUMI_OPTION_CONFIG_FILE", "PULUMI_STACK")}
    subprocess.run(init, cwd=folder, env=clean, check=True, capture_output=True)
    salt = yaml.safe_load(stack.read_text())
    stack.write_text(yaml.safe_dump({"config": config, **salt}, sort_keys=False))
    yield base.knowing(
        PULUMI_OPTION_CONFIG_FILE=str(stack),
        FLOWMASTER_CATALOGUE=str(folder / "catalogue.yaml"),
        PULUMI_STACK="elsewhere",
    )
    base.run("kubectl", "delete", "namespace", FOREIGN, "--wait=true", "--timeout=60s")
    subprocess.run(
        ["pulumi", "stack", "rm", "elsewhere", "--force", "--yes"],
        cwd=folder,
        env=clean,
        check=False,
        capture_output=True,
    )


def _of_namespace(operator: Operator) -> dict[str, dict[str, Any]]:
    kinds = "deployments,services,configmaps,secrets,statefulsets,cronjobs"
    text = operator.run("kubectl", "get", kinds, "--namespace", FOREIGN, "--output", "json").stdout
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in json.loads(text)["items"]}


def test_a_namespace_that_somebody_else_made_stays_as_it_is(elsewhere: Operator) -> None:
    before, pods = _of_namespace(elsewhere), running(elsewhere, FOREIGN)
    said = elsewhere.run("flowmaster", "adopt", "--stack", "elsewhere").stdout
    for unmanaged in ("CronJob/nightly", "StatefulSet/store", "ServiceAccount/web"):
        assert unmanaged in said
    assert "web: API_TOKEN, side.DB_PASSWORD" in said
    elsewhere.up("--stack", "elsewhere")
    after = _of_namespace(elsewhere)
    assert set(after) == set(before)
    for name, body in before.items():
        for part in ("spec", "data", "binaryData", "immutable", "type"):
            assert after[name].get(part) == body.get(part), name
        assert after[name]["metadata"]["uid"] == body["metadata"]["uid"], name
        assert after[name]["metadata"].get("labels") == body["metadata"].get("labels"), name
    assert running(elsewhere, FOREIGN) == pods
    elsewhere.run("pulumi", "preview", "--stack", "elsewhere", "--expect-no-changes", "--suppress-outputs")
    written = "".join(p.read_text() for p in Path(elsewhere.environ["FLOWMASTER_CATALOGUE"]).parent.rglob("*.yaml"))
    for value in ("in-the-clear-too", "in-the-clear-besides", "said quietly"):
        assert value not in elsewhere.state()
        assert value not in written


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
            refused = operator.run("flowmaster", "adopt", "--again", "--dry-run", code=None)
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
