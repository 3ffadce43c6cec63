"""A pod with each field of the API's schema, each with each of its odd values: adopted unchanged, or left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.twin import Twin
from tests.lab.elsewhere import IMAGE, another_namespace
from tests.lab.operate import Operator
from tests.lab.pod_schema import Case, cases

NAMESPACE = "schema"
STACK = ("--stack", NAMESPACE)
HERE = ("kubectl", "--namespace", NAMESPACE)
FEWEST = 300
"""So many of the cases the server accepts at least: about half of them are invalid."""
MADE_AGAIN = 40
Json = dict[str, Any]


@dataclass(frozen=True)
class Adopted:
    """The Deployments before and after, and what was said of those that were left."""

    operator: Operator
    tried: dict[str, Case]
    before: dict[str, Json]
    said: str


def deployments(operator: Operator) -> dict[str, Json]:
    """By name."""
    return {item["metadata"]["name"]: item for item in _list(operator, "deployments")}


def _list(operator: Operator, kind: str) -> list[Json]:
    found: list[Json] = json.loads(operator.run(*HERE, "get", kind, "--output", "json").stdout)["items"]
    return found


def _deployment(name: str, case: Case) -> Json:
    # at no replicas: what is tried is the template, not whether such a pod runs
    template = {"metadata": {"labels": {"app": name}}, "spec": case.spec}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def adopted(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    with another_namespace(twin, NAMESPACE, tmp_path_factory.mktemp("schema"), ()) as operator:
        document = json.loads(operator.run("kubectl", "get", "--raw", "/openapi/v3/apis/apps/v1").stdout)
        tried = {f"case-{number}": case for number, case in enumerate(cases(document))}
        items = [_deployment(name, case) for name, case in tried.items()]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).replace("IMAGE", IMAGE)
        # what is invalid is refused, each by itself
        operator.run(*HERE, "create", "--validate=ignore", "--filename", "-", text=text, code=None)
        before = deployments(operator)
        said = operator.run("flowmaster", "adopt", *STACK).stdout
        operator.run("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", *STACK)
        yield Adopted(operator, tried, before, said)


def test_each_stays_as_it_is(adopted: Adopted) -> None:
    assert len(adopted.before) >= FEWEST
    after = deployments(adopted.operator)
    changed = [
        (adopted.tried[name].path, adopted.tried[name].value)
        for name, body in adopted.before.items()
        if after[name]["spec"] != body["spec"]
    ]
    assert changed == []


def test_none_is_rolled(adopted: Adopted) -> None:
    owners = [item["metadata"]["ownerReferences"][0]["name"] for item in _list(adopted.operator, "replicasets")]
    assert sorted(owners) == sorted(adopted.before)


def test_hardly_any_is_left(adopted: Adopted) -> None:
    left = {name for name in adopted.before if f"Deployment/{name}:" in adopted.said.partition("stays as it is")[2]}
    assert len(left) < len(adopted.before) / 50, {adopted.tried[name].path for name in left}


def test_the_report_is_clean_and_the_preview_empty(adopted: Adopted) -> None:
    assert adopted.operator.report(*STACK)["findings"] == []
    adopted.operator.run("pulumi", "preview", "--expect-no-changes", "--suppress-outputs", *STACK)


def test_those_made_again_are_as_they_were(adopted: Adopted) -> None:
    names = sorted(adopted.before)[:: max(1, len(adopted.before) // MADE_AGAIN)]
    adopted.operator.run(*HERE, "delete", "deployment", *names)
    adopted.operator.up(*STACK)
    after = deployments(adopted.operator)
    for name in names:
        assert after[name]["spec"] == adopted.before[name]["spec"], adopted.tried[name].path
