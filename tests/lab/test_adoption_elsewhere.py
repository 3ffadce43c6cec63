"""Taking over a namespace that somebody else filled, in all its variety."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.twin import Twin
from tests.lab import kinds
from tests.lab.operate import ROOT, Operator, encoded, named
from tests.lab.test_adoption import running

FOREIGN = "somebody-elses"
DATABASE = "http://arangodb.databases.svc.cluster.local:8529/"
APPLIED = "objectset.rio.cattle.io/applied"
WEAK = "copied-beside-itself"
BARE = {"containers": [{"name": "a", "image": "IMAGE"}]}
UNMANAGED = ("ConfigMap/careless",)
AS_MANIFESTS = {
    "CronJob/nightly",
    "StatefulSet/store",
    "ServiceAccount/web",
    "ResourceQuota/most",
    "PodTemplate/mould",
    "ReplicaSet/bare",
    "Deployment/v1.2-dotted",
    *(f"{body['kind']}/{body['metadata']['name']}" for body in kinds.MANIFESTS if body["kind"] != "Service"),
}
"""What the catalogue has no entry for."""
IN_THE_CLEAR = (
    "in-the-clear-too",
    "in-the-clear-besides",
    "sa1d quietly!",
    "in-a-string",
    "in-a-config-map",
    "in-an-argument",
    "in-a-header-1",
    WEAK,
)


def copy_of(name: str, value: str) -> str:
    """A Secret as K3s keeps it in an annotation of itself."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": value}}
    return base64.b64encode(gzip.compress(json.dumps(body).encode(), mtime=0)).decode()


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
                                {"name": "CONNECTION", "value": "Server=db;Password=in-a-string;"},
                                {"name": "COPY", "value": "sa1d quietly!"},
                                {
                                    "name": "CA",
                                    "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}},
                                },
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
            "ports": [
                {"name": "x", "port": 80, "targetPort": 7000, "nodePort": 30888},
                {"name": "y", "port": 81, "targetPort": "more"},
            ],
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
        "metadata": {
            "name": "texts",
            "labels": {"x": "y"},
            "annotations": {"made": "deployed by \U0001f916"},
            "finalizers": ["example.com/keep"],
        },
        "data": {"multi": "a\nb\n", "unicode": "žluťoučký ☃"},
        "binaryData": {"raw": "/wD+"},
    },
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "careless"},
        "data": {"url": "postgres://shop:in-a-config-map@db/shop"},
    },
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fixed"}, "data": {"a": "1"}, "immutable": True},
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "data": {"TEXT": encoded("a value\n"), "BINARY": "/wD+", "NUMBER": encoded("007")},
    },
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "words"}, "stringData": {"WORD": "sa1d quietly!"}},
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "copied", "annotations": {APPLIED: copy_of("copied", WEAK)}},
        "stringData": {"password": WEAK},
    },
    {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "most"}, "spec": {"hard": {"pods": "50"}}},
    {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "mould"}, "template": {"spec": BARE}},
    {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "bare"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "bare"}},
            "template": {"metadata": {"labels": {"app": "bare"}}, "spec": BARE},
        },
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "v1.2-dotted"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "dotted"}},
            "template": {"metadata": {"labels": {"app": "dotted"}}, "spec": BARE},
        },
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hub"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "hub"}},
            "template": {
                "metadata": {"labels": {"app": "hub"}},
                "spec": {
                    "containers": [
                        {
                            "name": "hub",
                            "image": f"nginx:1.27@sha256:{'0' * 64}",
                            "args": ["--password=in-an-argument", "--ref=$(X)"],
                            "env": [{"name": "1X", "value": "y"}],
                            "envFrom": [{"configMapRef": {"name": "careless"}}],
                            "readinessProbe": {
                                "httpGet": {
                                    "path": "/",
                                    "port": 80,
                                    "httpHeaders": [{"name": "Authorization", "value": "Bearer in-a-header-1"}],
                                }
                            },
                        }
                    ]
                },
            },
        },
    },
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
    items = [*MANIFESTS, *kinds.MANIFESTS]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    text = text.replace("IMAGE", image).replace("NAMESPACE", FOREIGN)
    _delete(base)
    base.run("kubectl", "apply", "--filename", "-", text=json.dumps(kinds.DEFINITION))
    base.run("kubectl", "wait", "--for=condition=Established", f"crd/{kinds.DEFINITION['metadata']['name']}")
    base.run("kubectl", "create", "namespace", FOREIGN)
    base.run("kubectl", "apply", "--namespace", FOREIGN, "--filename", "-", text=text)
    base.run("kubectl", "rollout", "status", "deployment/web", "--namespace", FOREIGN, "--timeout=90s")
    folder = tmp_path_factory.mktemp("elsewhere")
    stack, catalogue = folder / "Pulumi.elsewhere.yaml", folder / "catalogue.yaml"
    clean = {k: v for k, v in base.environ.items() if k not in ("PULUMI_OPTION_CONFIG_FILE", "PULUMI_STACK")}
    operator = base.knowing(
        PULUMI_OPTION_CONFIG_FILE=str(stack), FLOWMASTER_CATALOGUE=str(catalogue), PULUMI_STACK="elsewhere"
    )
    init = ("flowmaster", "init", "elsewhere", "--context", "demo")
    nowhere = operator.run(*init, "--namespace", "somebody-else", code=1)
    assert f"no namespace 'somebody-else' (did you mean '{FOREIGN}'?)" in nowhere.stderr
    assert not stack.exists()
    operator.run(*init, "--namespace", FOREIGN)
    assert not (ROOT / stack.name).exists()
    assert yaml.safe_load(catalogue.read_text()) == {"registry": "localhost:30500/flowmaster", "services": {}}
    again = operator.run(*init, "--namespace", FOREIGN, code=1)
    assert "exists, with the configuration of a stack" in again.stderr
    yield operator
    _delete(base)
    subprocess.run(
        ["pulumi", "stack", "rm", "elsewhere", "--force", "--yes"],
        cwd=ROOT,
        env=clean,
        check=False,
        capture_output=True,
    )


def _delete(operator: Operator) -> None:
    """The namespace gone, the object that a finalizer keeps with it."""
    held = ("configmap/texts", "--namespace", FOREIGN, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    operator.run("kubectl", "patch", *held, code=None)
    operator.run("kubectl", "delete", "namespace", FOREIGN, "--ignore-not-found", "--wait=true", "--timeout=60s")
    operator.run("kubectl", "delete", "crd", kinds.DEFINITION["metadata"]["name"], "--ignore-not-found")


def _of_namespace(operator: Operator) -> dict[str, dict[str, Any]]:
    names = (
        "deployments,services,configmaps,secrets,statefulsets,cronjobs,daemonsets,ingresses,networkpolicies,"
        "horizontalpodautoscalers,poddisruptionbudgets,roles,rolebindings,persistentvolumeclaims,serviceaccounts,"
        "resourcequotas,limitranges,endpointslices,gateways." + kinds.GROUP
    )
    text = operator.run("kubectl", "get", names, "--namespace", FOREIGN, "--output", "json").stdout
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in json.loads(text)["items"]}


def test_a_namespace_that_somebody_else_made_stays_as_it_is(elsewhere: Operator) -> None:
    before, pods = _of_namespace(elsewhere), running(elsewhere, FOREIGN)
    said = elsewhere.run("flowmaster", "adopt", "--stack", "elsewhere").stdout
    for listed in UNMANAGED:
        assert listed in said
    folder = Path(elsewhere.environ["FLOWMASTER_CATALOGUE"]).parent / "objects"
    manifests = [yaml.safe_load(path.read_text()) for path in folder.iterdir()]
    assert {f"{body['kind']}/{body['metadata']['name']}" for body in manifests} == AS_MANIFESTS
    assert "reads ConfigMap/kube-root-ca.crt, which is not managed" in said
    assert "web: side.DB_PASSWORD, API_TOKEN, CONNECTION, COPY" in " ".join(said.split())
    elsewhere.up("--stack", "elsewhere")
    after = _of_namespace(elsewhere)
    assert set(after) == set(before)
    for name, body in before.items():
        for part in ("spec", "data", "binaryData", "immutable", "type"):
            assert after[name].get(part) == body.get(part), name
        for part in ("uid", "labels", "finalizers"):
            assert after[name]["metadata"].get(part) == body["metadata"].get(part), name
    assert after["ConfigMap/texts"]["metadata"]["annotations"]["made"] == "deployed by \U0001f916"
    assert running(elsewhere, FOREIGN) == pods
    elsewhere.run("pulumi", "preview", "--stack", "elsewhere", "--expect-no-changes", "--suppress-outputs")
    assert elsewhere.report("--stack", "elsewhere")["findings"] == []
    assert after["Secret/copied"]["metadata"]["annotations"][APPLIED] == copy_of("copied", WEAK)
    assert f"Secret/copied: {APPLIED}" in said
    written = "".join(p.read_text() for p in Path(elsewhere.environ["FLOWMASTER_CATALOGUE"]).parent.rglob("*.yaml"))
    for value in IN_THE_CLEAR:
        assert value not in elsewhere.state()
        assert value not in written
        assert value not in said
    for text in (elsewhere.state(), written, said):
        assert copy_of("copied", WEAK) not in text


@pytest.mark.parametrize("name", kinds.CHANGES)
def test_objects_of_any_kind_are_compared_and_healed(elsewhere: Operator, name: str) -> None:
    path, change = kinds.CHANGES[name]
    kind, _, own = name.partition("/")
    patch = ("kubectl", "--namespace", FOREIGN, "patch", f"{kind.lower()}/{own}", "--type=json", "--patch", change)
    elsewhere.run(*patch)
    found = elsewhere.report("--stack", "elsewhere")["findings"]
    assert [(named(f), f["path"], f["action"]) for f in found if f["class"] != "unhealthy"] == [(name, path, "heal")]
    elsewhere.up("--stack", "elsewhere")
    assert elsewhere.report("--stack", "elsewhere")["findings"] == []


def test_a_claim_is_never_made_again_for_a_field(elsewhere: Operator) -> None:
    here = ("kubectl", "--namespace", FOREIGN)
    uid = _of_namespace(elsewhere)["PersistentVolumeClaim/data"]["metadata"]["uid"]
    elsewhere.run(*here, "annotate", "persistentvolumeclaim/data", "note=by hand")
    found = elsewhere.report("--stack", "elsewhere")["findings"]
    assert [(named(f), f["path"]) for f in found] == [("PersistentVolumeClaim/data", "metadata.annotations[note]")]
    elsewhere.up("--stack", "elsewhere")
    assert elsewhere.report("--stack", "elsewhere")["findings"] == []
    assert _of_namespace(elsewhere)["PersistentVolumeClaim/data"]["metadata"]["uid"] == uid


def test_what_was_not_there_then_is_told_of(elsewhere: Operator) -> None:
    here = ("kubectl", "--namespace", FOREIGN)
    elsewhere.run(*here, "create", "quota", "small", "--hard=pods=100")
    found = elsewhere.report("--stack", "elsewhere")["findings"]
    elsewhere.run(*here, "delete", "quota", "small")
    assert [(named(f), f["class"], f["path"]) for f in found] == [("ResourceQuota/small", "foreign", "")]


def test_a_service_made_again_keeps_its_ports_of_the_nodes(elsewhere: Operator) -> None:
    change = '[{"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30889}]'
    here = ("kubectl", "--namespace", FOREIGN)
    elsewhere.run(*here, "patch", "service/web", "--type=json", "--patch", change)
    found = elsewhere.report("--stack", "elsewhere")["findings"]
    assert [f["path"] for f in found if f["object"]["name"] == "web" and f["class"] == "drift"] == [
        "spec.ports[80/TCP].nodePort"
    ]
    elsewhere.run(*here, "delete", "service/web")
    elsewhere.up("--stack", "elsewhere")
    assert _of_namespace(elsewhere)["Service/web"]["spec"]["ports"][0]["nodePort"] == 30888


def test_a_line_end_that_the_provider_would_change_is_refused_with_its_key(elsewhere: Operator) -> None:
    here = ("kubectl", "--namespace", FOREIGN)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"a.txt": "one\x85two"}}
    elsewhere.run(*here, "create", "--filename", "-", text=json.dumps(body))
    refused = elsewhere.run("flowmaster", "adopt", "--again", "--dry-run", "--strict", "--stack", "elsewhere", code=1)
    elsewhere.run(*here, "delete", "configmap/old")
    assert "ConfigMap/old: cannot be applied: the provider cannot send the character U+0085 of data[a.txt]" in (
        refused.stderr
    )
