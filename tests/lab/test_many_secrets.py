"""A namespace with more in its Secrets than Pulumi hands over in its configuration, from `init` to a clean report."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.twin import Twin
from tests.lab.operate import Operator

MANY = "many-secrets"
SECRETS = 1000
BYTES = 3072
"""Random bytes of each; in base64, as text, they are 4 KB."""


@pytest.fixture
def many(twin: Twin, tmp_path: Path) -> Iterator[tuple[Operator, list[str]]]:
    """The namespace, and what its Secrets hold."""
    base = Operator.of(twin)
    values = [base64.b64encode(os.urandom(BYTES)).decode() for _ in range(SECRETS)]
    items = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s-{n}"}, "stringData": {"value": value}}
        for n, value in enumerate(values)
    ]
    base.run("kubectl", "create", "namespace", MANY)
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    base.run("kubectl", "create", "--namespace", MANY, "--filename", "-", text=listed)
    operator = base.knowing(
        PULUMI_OPTION_CONFIG_FILE=str(tmp_path / "Pulumi.many.yaml"),
        FLOWMASTER_CATALOGUE=str(tmp_path / "catalogue.yaml"),
        PULUMI_STACK="many",
    )
    yield operator, values
    base.run("kubectl", "delete", "namespace", MANY, "--wait=false")
    base.run("pulumi", "stack", "rm", "many", "--force", "--yes", code=None)


def test_a_thousand_secrets_of_four_kilobytes(many: tuple[Operator, list[str]], tmp_path: Path) -> None:
    operator, values = many
    stack = ("--stack", "many")
    operator.run("flowmaster", "init", "many", "--context", "demo", "--namespace", MANY)
    operator.run("flowmaster", "adopt", *stack)
    operator.up(*stack)
    operator.run("pulumi", "preview", *stack, "--expect-no-changes", "--suppress-outputs")
    assert operator.report(*stack)["findings"] == []
    operator.run("flowmaster", "secret", "rotate", *stack)
    operator.run("pulumi", "preview", *stack, "--expect-no-changes", "--suppress-outputs")
    assert operator.run("flowmaster", "secret", "get", "s-7/value", *stack).stdout == values[7]
    kept = operator.state() + "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    encoded = [base64.b64encode(value.encode()).decode() for value in values]
    assert not any(value in kept for value in (*values[:20], *encoded[:20]))
