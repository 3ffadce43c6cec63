"""Paths as people read and write them."""

from __future__ import annotations

import pytest

from flowmaster.compare.path import Item, Key, covers, render, segments

NAMED = Item(("name",), ("web",))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "replicas"), "spec.replicas"),
        (("containers", NAMED, "env", Item(("name",), ("A.B",)), "value"), "containers[web].env[A.B].value"),
        (("metadata", "labels", Key("app.kubernetes.io/name")), "metadata.labels[app.kubernetes.io/name]"),
        (("data", Key("LOG_LEVEL")), "data[LOG_LEVEL]"),
        (("ports", Item(("port", "protocol"), (80, "TCP"))), "ports[80/TCP]"),
        (("finalizers", Item((), ("guard",))), "finalizers[guard]"),
    ],
)  # fmt: skip
def test_a_path_reads_like_its_field(path: tuple[str, ...], text: str) -> None:
    assert render(path) == text
    assert len(segments(text)) == len(path)


@pytest.mark.parametrize(
    ("pattern", "text", "covered"),
    [
        ("spec.replicas", "spec.replicas", True),
        ("spec", "spec.replicas", True),
        ("spec.replicas", "spec.replicasets", False),
        ("spec.replicas.more", "spec.replicas", False),
        ("metadata.annotations[example.com/*]", "metadata.annotations[example.com/a]", True),
        ("metadata.annotations[example.com/*]", "metadata.annotations[example.org/a]", False),
        ("metadata.*", "metadata.labels[a.b]", True),
        ("spec.*.env", "spec.template.spec.env", False),
        ("**.env[DEBUG]", "spec.template.spec.containers[web].env[DEBUG].value", True),
        ("**.containers[*].image", "spec.template.spec.containers[web].image", True),
        ("**.containers[*].image", "spec.template.spec.containers[web].imagePullPolicy", False),
    ],
)
def test_a_pattern_covers_a_field_and_what_is_within_it(pattern: str, text: str, covered: bool) -> None:
    assert covers(pattern, text) is covered
