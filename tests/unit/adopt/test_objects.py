"""Live objects of any kind as manifests."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.adopt.objects import file_name, files, manifest, plaintext_secret, reason_unmanaged
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef

Body = dict[str, Any]


def made(kind: str, name: str, version: str = "v1", metadata: Body | None = None, **parts: Any) -> Body:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-25T00:00:00Z",
            "generation": 2,
            **(metadata or {}),
        },
        **parts,
    }


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, "n", name)


def wrote(manager: str, *annotations: str) -> Body:
    fields: Body = {f"f:{name}": {} for name in annotations}
    return {
        "manager": manager,
        "operation": "Update",
        "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, **fields}}},
    }


def test_nothing_of_the_server_is_in_a_manifest() -> None:
    live = made(
        "PersistentVolumeClaim",
        "data",
        metadata={
            "labels": {"app": "db"},
            "annotations": {
                "pv.kubernetes.io/bind-completed": "yes",
                "example.com/seen": "by a controller",
                "example.com/note": "by a person",
            },
            "finalizers": ["kubernetes.io/pvc-protection"],
            "managedFields": [
                wrote("kube-controller-manager", "example.com/seen"),
                wrote("kubectl-annotate", "example.com/note"),
            ],
        },
        spec={"volumeName": "pvc-1", "accessModes": ["ReadWriteOnce"]},
        status={"phase": "Bound"},
    )
    assert manifest(live) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": {"app": "db"}, "annotations": {"example.com/note": "by a person"}},
        "spec": {"volumeName": "pvc-1", "accessModes": ["ReadWriteOnce"]},
    }
    assert live["status"], "the live object stays as it was read"


def test_what_is_empty_and_means_something_stays() -> None:
    policy = made("NetworkPolicy", "none", "networking.k8s.io/v1", spec={"podSelector": {}, "policyTypes": ["Ingress"]})
    assert manifest(policy)["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


OWNED = {"ownerReferences": [{"kind": "CronJob", "name": "nightly", "uid": "1"}]}
SET = made("StatefulSet", "db", "apps/v1", spec={"volumeClaimTemplates": [{"metadata": {"name": "data"}}]})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (made("Ingress", "web"), None),
        (made("Job", "nightly-1", metadata=OWNED), ""),
        (made("Job", "once"), "runs once"),
        (made("Pod", "bare"), "bare pod"),
        (made("PersistentVolumeClaim", "data-db-0"), "made by StatefulSet/db"),
        (made("PersistentVolumeClaim", "data-db-x"), None),
        (made("PersistentVolumeClaim", "data"), None),
        (made("Lease", "x", metadata=OWNED), "made by CronJob/nightly"),
        (
            made(
                "EndpointSlice",
                "web-abc",
                metadata={"labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            ),
            "",
        ),
        (made("EndpointSlice", "by-hand"), None),
    ],
)
def test_what_something_else_makes_is_left(body: Body, why: str | None) -> None:
    live = LiveState("https://10.77.0.2:6443", "n", {ref("StatefulSet", "db"): SET})
    found = reason_unmanaged(ref(body["kind"], body["metadata"]["name"]), body, live)
    assert (found is None) == (why is None)
    assert why is None or why in str(found)


POD = {"containers": [{"name": "c", "image": "i", "env": [{"name": "DB_PASSWORD", "value": "hunter2hunter2"}]}]}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (made("StatefulSet", "db", "apps/v1", spec={"template": {"spec": POD}}), "c.DB_PASSWORD"),
        (
            made("CronJob", "x", "batch/v1", spec={"jobTemplate": {"spec": {"template": {"spec": POD}}}}),
            "c.DB_PASSWORD",
        ),
        (made("Thing", "x", "example.com/v1", spec={"url": "postgres://u:s3cretS3cret@db"}), "spec.url"),
        (made("Ingress", "x", spec={"rules": []}), None),
    ],
)
def test_a_secret_in_the_clear_is_found_wherever_it_stands(body: Body, place: str | None) -> None:
    assert plaintext_secret(body, Masker()) == place


def test_an_object_keeps_its_file_and_no_two_share_one() -> None:
    declared = {"mine.yaml": made("Ingress", "web", "networking.k8s.io/v1")}
    web, other = manifest(declared["mine.yaml"]), manifest(made("Ingress", "WEB2", "networking.k8s.io/v1"))
    found = files(declared, {ref("Ingress", "web"): web, ref("Ingress", "WEB2"): other}, "n")
    assert found == {"mine.yaml": web, "ingress-web2.yaml": other}
    assert file_name(ref("Ingress", "web2"), ["ingress-web2.yaml"]) == "ingress-web2-2.yaml"
    assert file_name(ObjectRef("Gateway.example.com", "n", "a:b")) == "gateway.example.com-a-b.yaml"
