"""Webhooks that may be behind a change that comes back and has no field manager."""

from __future__ import annotations

from typing import Any

from flowmaster.cluster.errors import ApiError
from flowmaster.compare.finding import Finding, FindingClass
from flowmaster.drift import webhooks
from tests.unit.drift.server import ref

NAMELESS = Finding(
    FindingClass.FOREIGN, ref("Deployment/web"), "spec.replicas", note="again", conditions=frozenset({"repeated"})
)
NAMED = Finding(
    FindingClass.FOREIGN, ref("Deployment/web"), "spec.x", manager="meddler", conditions=frozenset({"repeated"})
)


class FakeApi:
    """Serves webhook configurations, or refuses to."""

    server = "https://10.77.0.2:6443"

    def __init__(self, *configurations: dict[str, Any], failure: ApiError | None = None) -> None:
        self.items, self.failure, self.asked = configurations, failure, 0

    def get(self, path: str) -> dict[str, Any]:
        assert path.endswith("/mutatingwebhookconfigurations")
        self.asked += 1
        if self.failure:
            raise self.failure
        return {"items": list(self.items)}


def configuration(name: str, group: str, resource: str, *operations: str) -> dict[str, Any]:
    rules = [{"apiGroups": [group], "resources": [resource], "operations": list(operations)}]
    return {"metadata": {"name": name}, "webhooks": [{"rules": rules}, {"rules": rules}]}


def test_those_that_cover_writes_of_the_kind_are_named() -> None:
    api = FakeApi(
        configuration("injector", "apps", "deployments", "UPDATE"),
        configuration("everything", "*", "*/*", "*"),
        configuration("pods-only", "", "pods", "CREATE"),
        configuration("on-delete", "apps", "deployments", "DELETE"),
        configuration("other-group", "batch", "*", "CREATE"),
    )
    [nameless, named] = webhooks.named(api, [NAMELESS, NAMED])
    assert nameless.note == "again; webhooks that change objects of kind Deployment: everything, injector"
    assert named == NAMED
    assert api.asked == 1


def test_where_there_is_none_that_is_said() -> None:
    [finding] = webhooks.named(FakeApi(), [NAMELESS])
    assert finding.note == "again; webhooks that change objects of kind Deployment: none"


def test_nobody_is_asked_where_everybody_is_known() -> None:
    api = FakeApi()
    assert webhooks.named(api, [NAMED]) == [NAMED]
    assert api.asked == 0


def test_where_they_may_not_be_listed_nobody_is_named() -> None:
    api = FakeApi(failure=ApiError("forbidden", status=403))
    assert webhooks.named(api, [NAMELESS]) == [NAMELESS]
