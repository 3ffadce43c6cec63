"""Who has a field: fieldsV1 as a real server writes it."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.cluster import field_managers
from flowmaster.compare.path import Item, Path

CONTAINER: dict[str, Any] = {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:command": {}}}  # fmt: skip
BODY: dict[str, Any] = {
    "metadata": {
        "managedFields": [
            {
                "manager": "flowmaster", "operation": "Apply", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": CONTAINER}}}},
            },
            {
                "manager": "kubectl-set", "operation": "Update", "time": "2026-01-02T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":80}': {".": {}, "f:port": {}}}, "f:replicas": {}}},
            },
            {
                "manager": "helm", "operation": "Update", "time": "2026-01-03T00:00:00Z",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}}, "f:finalizers": {'v:"guard"': {}}}, "f:data": {}},
            },
            {
                "manager": "kubelet", "operation": "Update", "subresource": "status", "time": "2025-12-31T00:00:00Z",
                "fieldsV1": {"f:status": {}},
            },
        ]
    }
}  # fmt: skip
IMAGE: Path = ("spec", "template", "spec", "containers", Item(("name",), ("web",)), "image")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (IMAGE, ["flowmaster"]),
        ((*IMAGE[:-1], "command"), ["flowmaster"]),
        (IMAGE[:-1], ["flowmaster"]),
        ((*IMAGE[:-1], "args"), []),
        (("spec", "replicas"), ["kubectl-set", "flowmaster"]),
        (("spec", "ports", Item(("port", "protocol"), (80, "TCP"))), ["kubectl-set"]),
        (("spec", "ports", Item(("port", "protocol"), (81, "TCP"))), []),
        (("spec", "ports", Item(("port", "protocol"), (81, "TCP"), live=(80, "TCP")), "port"), ["kubectl-set"]),
        (("metadata", "finalizers", Item((), ("guard",))), ["helm"]),
        (("data", "anything"), ["helm"]),
        (("metadata", "labels", "app"), []),
    ],
)
def test_owners_of_a_field(path: Path, found: list[str]) -> None:
    assert [owner.manager for owner in field_managers.owners(BODY, path)] == found


def test_who_changed_it_is_somebody_else_than_this_program() -> None:
    owner = field_managers.other(BODY, ("spec", "replicas"))
    assert owner is not None
    assert (owner.manager, owner.own) == ("kubectl-set", False)
    assert field_managers.other(BODY, IMAGE) is None
    assert field_managers.owned_by_us(BODY, IMAGE)
    assert field_managers.touched_by_us(BODY)


def test_who_made_it_is_not_who_wrote_its_status() -> None:
    owner = field_managers.creator(BODY)
    assert owner is not None
    assert owner.manager == "flowmaster"


def test_an_object_without_managers() -> None:
    assert field_managers.owners({"metadata": {}}, IMAGE) == []
    assert field_managers.creator({}) is None
