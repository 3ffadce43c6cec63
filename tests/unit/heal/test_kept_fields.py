"""What Pulumi is told of an object with fields that a rule keeps."""

from __future__ import annotations

from typing import Any

from flowmaster.cluster.normalise import KEPT
from flowmaster.compare.finding import ABSENT, OPAQUE, Change, FindingClass, ObjectRef
from flowmaster.compare.path import Item, Key
from flowmaster.compare.three_way import Difference
from flowmaster.heal import kept_fields

REF = ObjectRef("Deployment", "n", "web")
SECRET = ObjectRef("Secret", "n", "keys")


def deployment(replicas: int = 1, image: str = "a", **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "web"}
    if annotations:
        metadata["annotations"] = {name.replace("_", "/", 1).replace("_", "."): v for name, v in annotations.items()}
    containers = [{"name": "web", "image": image, "ports": [{"containerPort": 80, "name": "http"}]}]
    spec = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def kept(*path: Any, live: Any, declared: Any) -> Difference:
    change = Change.MISSING if live is ABSENT else Change.ADDED if declared is ABSENT else Change.CHANGED
    return Difference(path, change, declared, live, declared, FindingClass.DRIFT)


REPLICAS = kept("spec", "replicas", live=3, declared=1)
IMAGE = ("spec", "template", "spec", "containers", Item(("name",), ("web",)), "image")


def test_nothing_kept_is_the_declared_body() -> None:
    assert kept_fields.pulumi_inputs(REF, deployment(), deployment(), [], True) is None


def test_what_others_added_is_not_in_the_way() -> None:
    added = kept("metadata", "labels", Key("x"), live="y", declared=ABSENT)
    assert kept_fields.pulumi_inputs(REF, deployment(), deployment(), [added], True) is None


def test_as_long_as_nothing_is_written_pulumi_is_told_what_it_knows() -> None:
    assert kept_fields.pulumi_inputs(REF, deployment(), deployment(), [REPLICAS], False) is None


def test_what_is_written_carries_the_live_value() -> None:
    told = kept_fields.pulumi_inputs(REF, deployment(image="b"), deployment(image="a"), [REPLICAS], True)
    assert told is not None
    assert (told["spec"]["replicas"], told["metadata"]["annotations"]) == (3, {KEPT: "spec.replicas"})


def test_a_change_that_only_pulumi_sees_is_written_too() -> None:
    """An annotation of the provider is no drift, but Pulumi writes the whole object when it changes."""
    body = deployment(pulumi_com="new")
    told = kept_fields.pulumi_inputs(REF, body, deployment(pulumi_com="old"), [REPLICAS], False)
    assert told is not None
    assert told["spec"]["replicas"] == 3
    assert body["spec"]["replicas"] == 1, "the declared body is not changed"


def test_marks_of_earlier_updates_are_no_such_change() -> None:
    last = {**deployment(), "metadata": {"name": "web", "annotations": {kept_fields.HEALED: "2026 labels"}}}
    assert (
        kept_fields.pulumi_inputs(
            REF, {**deployment(), "metadata": {"name": "web", "annotations": {}}}, last, [REPLICAS], False
        )
        is None
    )


def test_a_value_that_was_kept_and_moved_on_stays_what_pulumi_knows() -> None:
    last = deployment(replicas=2)
    last["metadata"]["annotations"] = {KEPT: "spec.replicas"}
    for live in ([REPLICAS], []):
        told = kept_fields.pulumi_inputs(REF, deployment(), last, live, False)
        assert told == last


def test_the_program_changes_a_field_that_is_kept() -> None:
    assert kept_fields.pulumi_inputs(
        REF, deployment(replicas=5), deployment(replicas=1), [REPLICAS], False
    ) == deployment(replicas=1)


def test_elements_of_lists_are_found_by_the_keys_that_are_written_out() -> None:
    port = Item(("containerPort", "protocol"), (80, "TCP"), live=(81, "TCP"))
    path = (*IMAGE[:-1], "ports", port, "containerPort")
    told = kept_fields.pulumi_inputs(
        REF, deployment(image="b"), deployment(), [kept(*path, live=81, declared=80)], True
    )
    assert told is not None
    assert told["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 81, "name": "http"}]


def test_several_fields_are_named() -> None:
    image = kept(*IMAGE, live="by hand", declared="a")
    told = kept_fields.pulumi_inputs(REF, deployment(), deployment(), [image, REPLICAS], True)
    assert told is not None
    names = told["metadata"]["annotations"][KEPT]
    assert names == "spec.replicas, spec.template.spec.containers[web].image"


def test_what_cannot_be_read_of_the_state_counts_as_what_was_declared() -> None:
    declared = {"kind": "Secret", "metadata": {"name": "keys"}, "data": {"A": "YQ==", "B": "Yg=="}}
    last = {**declared, "data": {"A": OPAQUE, "B": OPAQUE}}
    by_hand = kept("data", Key("A"), live="eA==", declared="YQ==")
    assert kept_fields.pulumi_inputs(SECRET, declared, last, [by_hand], False) is None
    told = kept_fields.pulumi_inputs(SECRET, declared, {**last, "data": OPAQUE}, [by_hand], True)
    assert told is not None
    assert told["data"] == {"A": "eA==", "B": "Yg=="}


def test_without_a_state_nothing_is_kept() -> None:
    assert kept_fields.pulumi_inputs(REF, deployment(), ABSENT, [REPLICAS], True) is None
    assert kept_fields.pulumi_inputs(REF, deployment(), OPAQUE, [REPLICAS], True) is None
