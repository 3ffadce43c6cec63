"""The writes that undo drift: one request each, and none on an object that somebody changed meanwhile."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from config.errors import UserError
from flowmaster.cluster import writes
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.writes import ChangedError, Step, Way, carry_out
from flowmaster.compare.finding import ABSENT
from tests.unit.drift.server import CONTAINER, Server, named, ref
from tests.unit.drift.test_table import ROWS, env
from tests.unit.heal.updates import plan_of


class Cluster:
    """An API server with one object, or none, that counts its versions and keeps what it was asked."""

    def __init__(self, body: dict[str, Any] | None) -> None:
        self.body = copy.deepcopy(body)
        self.asked: list[tuple[str, str]] = []
        self.before_write: list[Any] = []
        self.sent = b""

    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        self.asked.append((method, path))
        self.sent = body or b""
        if method != "GET" and self.before_write:
            self.before_write.pop(0)(self)
        if self.body is None and method in ("GET", "PUT", "DELETE"):
            raise ApiError("not found", status=404)
        sent = json.loads(body or b"{}")
        version = sent.get("metadata", {}).get("resourceVersion")
        if method == "PUT" and self.body is not None and version != self.body["metadata"]["resourceVersion"]:
            raise ApiError("the object has been modified", status=409)
        if method == "DELETE":
            assert self.body is not None
            assert sent["preconditions"]["uid"] == self.body["metadata"]["uid"]
            self.body = None
        elif method in ("PUT", "PATCH"):
            self.body = sent
        answer = copy.deepcopy(self.body)
        return SimpleNamespace(json=lambda: answer)

    @property
    def writes(self) -> list[str]:
        return [method for method, _ in self.asked if method != "GET"]


def step_of(row: str) -> Step:
    server = Server()
    ROWS[row].change(server)
    [step] = plan_of(server).steps.values()
    return step


def touch(api: Cluster, **status: object) -> None:
    assert api.body is not None
    api.body["metadata"]["resourceVersion"] = "later"
    api.body.setdefault("status", {}).update(status)


def relabel(api: Cluster) -> None:
    touch(api)
    assert api.body is not None
    api.body["metadata"].setdefault("labels", {})["changed"] = "again"


def test_in_place_in_one_write() -> None:
    step = step_of("env added")
    api = Cluster(step.live)
    carry_out(api, step)
    assert api.asked == [("PUT", "/apis/apps/v1/namespaces/specimens/deployments/web")]
    assert api.body is not None
    [main, *_] = api.body["spec"]["template"]["spec"]["containers"]
    assert "NEW" not in [variable["name"] for variable in main["env"]]
    assert (api.body["kind"], api.body["apiVersion"]) == ("Deployment", "apps/v1")


def test_a_status_that_changed_meanwhile_does_not_matter() -> None:
    step = step_of("env added")
    api = Cluster(step.live)
    api.before_write = [lambda cluster: touch(cluster, readyReplicas=1)]
    carry_out(api, step)
    assert api.writes == ["PUT", "PUT"]


@pytest.mark.parametrize("row", ["env added", "Service port"])
def test_an_object_that_somebody_changed_meanwhile_is_left_alone(row: str) -> None:
    step = step_of(row)
    api = Cluster(step.live)
    api.before_write = [relabel]
    with pytest.raises(ChangedError, match=f"{step.ref} was changed again while this update ran") as caught:
        carry_out(api, step)
    assert "so the object was left as it is" in str(caught.value)
    assert api.writes == ["PUT"]
    assert api.body is not None
    assert api.body["metadata"]["labels"]["changed"] == "again"


def test_one_that_changes_all_the_time_is_given_up() -> None:
    step = step_of("env added")
    api = Cluster(step.live)
    versions = iter(range(100))

    def busy(cluster: Cluster) -> None:
        assert cluster.body is not None
        cluster.body["metadata"]["resourceVersion"] = f"version-{next(versions)}"

    api.before_write = [busy] * 50
    with pytest.raises(ChangedError):
        carry_out(api, step)
    assert len(api.writes) == 5


def test_what_was_deleted_is_made_again() -> None:
    step = step_of("Secret deleted")
    api = Cluster(None)
    carry_out(api, step)
    assert api.asked == [("GET", path_of(step.ref)), ("PATCH", path_of(step.ref))]
    assert api.body == step.healed


@pytest.mark.parametrize("row", ["ConfigMap deleted", "ConfigMap data"])
def test_any_character_is_sent_as_both_json_and_yaml_read_it(row: str) -> None:
    text = "\N{ROCKET}\x85\N{LINE SEPARATOR}end\n"
    server = Server()
    server.program("ConfigMap/settings", ("data", "LOG_LEVEL"), text)
    server.set("ConfigMap/settings", ("data", "application.yml"), "other")
    if row == "ConfigMap deleted":
        server.delete("ConfigMap/settings")
    [step] = plan_of(server).steps.values()
    api = Cluster(step.live)
    carry_out(api, step)
    assert json.loads(api.sent)["data"]["LOG_LEVEL"] == text
    assert yaml.safe_load(api.sent)["data"]["LOG_LEVEL"] == text


def test_nothing_is_made_over_what_somebody_made_meanwhile() -> None:
    step = step_of("Secret deleted")
    api = Cluster({"metadata": {"uid": "new", "resourceVersion": "1"}})
    with pytest.raises(ChangedError):
        carry_out(api, step)
    assert api.writes == []


def test_what_cannot_be_changed_is_deleted_and_made_again() -> None:
    step = step_of("Service with another ClusterIP")
    api = Cluster(step.live)
    carry_out(api, step)
    assert api.writes == ["DELETE", "PATCH"]
    assert api.body is not None
    assert api.body["spec"]["clusterIP"] == "10.43.200.7"


def test_it_is_not_deleted_if_somebody_changed_it() -> None:
    step = step_of("Service with another ClusterIP")
    api = Cluster(step.live)
    relabel(api)
    with pytest.raises(ChangedError):
        carry_out(api, step)
    assert api.writes == []


def test_one_that_does_not_go_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_GONE_SECONDS", 0.2)
    step = step_of("Service with another ClusterIP")
    api = Cluster(step.live)
    body = api.body
    stays = api.request

    def held(method: str, *arguments: Any) -> Any:
        answer = stays(method, *arguments)
        api.body = body
        return answer

    monkeypatch.setattr(api, "request", held)
    with pytest.raises(UserError, match=r"is being deleted, but is still there after 0.2 s"):
        carry_out(api, step)


def ending(finalizers: list[str]) -> Step:
    """What is to be done about a Service that somebody deleted, and that is held."""
    server = Server()
    metadata = server.live.objects[ref("Service/web")]["metadata"]
    metadata |= {"deletionTimestamp": "2026-11-23T14:00:00Z", "finalizers": finalizers}
    [step] = plan_of(server).steps.values()
    return step


def test_what_holds_a_deleted_object_is_named_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_GONE_SECONDS", 0.2)
    step = ending(["example.com/hold"])
    api = Cluster(step.live)
    with pytest.raises(UserError, match=r"held by finalizer example.com/hold\n.*left to whoever put it there"):
        carry_out(api, step)
    assert api.writes == []
    assert api.body == step.live


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made again by somebody"])
def test_a_deleted_object_is_made_again_once_it_is_gone(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    step = ending(["example.com/hold"])
    api = Cluster(step.live)
    other = {**copy.deepcopy(step.live or {}), "metadata": {"uid": "new", "name": "web"}}

    def later(_seconds: float) -> None:
        api.body = other if again else None

    monkeypatch.setattr("flowmaster.cluster.writes.time.sleep", later)
    if again:
        with pytest.raises(ChangedError):
            carry_out(api, step)
        assert api.writes == []
    else:
        carry_out(api, step)
        assert api.writes == ["PATCH"]
        assert api.body == step.healed


def test_a_foreign_object_is_deleted_as_it_was_seen_or_not_at_all() -> None:
    live = {"kind": "ConfigMap", "metadata": {"name": "x", "uid": "1", "resourceVersion": "1"}, "data": {"a": "b"}}
    step = Step(ref=ref("ConfigMap/x"), way=Way.DELETE, live=live)
    api = Cluster(live)
    relabel(api)
    with pytest.raises(ChangedError):
        carry_out(api, step)
    assert api.writes == []
    carry_out(Cluster(None), step)
    api = Cluster(live)
    carry_out(api, step)
    assert api.body is None


def test_another_object_of_the_same_name_is_not_deleted() -> None:
    live = {"kind": "ConfigMap", "metadata": {"name": "x", "uid": "1", "resourceVersion": "1"}, "data": {"a": "b"}}
    api = Cluster({**live, "metadata": {"name": "x", "uid": "2", "resourceVersion": "9"}})
    with pytest.raises(ChangedError):
        carry_out(api, Step(ref=ref("ConfigMap/x"), way=Way.DELETE, live=live))


def test_what_the_server_refuses_is_said_as_it_says_it() -> None:
    step = step_of("env added")
    api = Cluster(step.live)

    def refuse(_: Cluster) -> None:
        raise ApiError("the API server refuses PUT: exceeded quota", status=403)

    api.before_write = [refuse]
    with pytest.raises(ApiError, match="exceeded quota"):
        carry_out(api, step)


def test_several_changes_of_one_object_are_one_write() -> None:
    server = Server()
    server.set("Deployment/web", (*CONTAINER, "env", named("NEW")), env("NEW", "1"))
    server.set("Deployment/web", (*CONTAINER, "startupProbe"), ABSENT)
    server.set("Deployment/web", ("metadata", "labels", "added"), "yes")
    [step] = plan_of(server).steps.values()
    api = Cluster(step.live)
    carry_out(api, step)
    assert api.writes == ["PUT"]
