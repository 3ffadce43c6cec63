"""A whole look: what is read, what could not be, and what the exit code says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from config.rules import Rule
from flowmaster.cluster import reader
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kinds import KINDS
from flowmaster.compare.finding import FindingClass
from flowmaster.drift import engine
from flowmaster.drift.engine import Exit, Options
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import reference
from tests.unit.drift.server import CONTAINER, NAMESPACE, NOW, Server


class FakeApi:
    """Serves the objects of a `Server`; raises what it is told to."""

    server = "https://10.77.0.2:6443"

    def __init__(self, server: Server, failures: Mapping[str, ApiError] | None = None) -> None:
        self.answers: dict[str, Any] = {
            f"/api/v1/namespaces/{NAMESPACE}": next(
                (body for ref, body in server.live.objects.items() if ref.kind == "Namespace"), None
            )
        }
        for kind in KINDS:
            items = [body for _, body in server.live.of(kind.name)]
            self.answers[kind.path(NAMESPACE)] = {"items": items}
        self.failures = dict(failures or {})

    def get(self, path: str) -> Any:
        for part, failure in self.failures.items():
            if path.endswith(part):
                raise failure
        answer = self.answers.get(path)
        if answer is None:
            raise ApiError("not found", status=404)
        return answer


def look(server: Server, **failures: ApiError) -> engine.Report:
    api: Any = FakeApi(server, {f"/{name}": failure for name, failure in failures.items()})
    options = Options(stack="demo", rules=server.rules, registry=False, now=NOW)
    return engine.detect_drift(api, NAMESPACE, lambda: server.declared, lambda: Applied(server.applied), options)


SLICE_MIRRORING = "endpointslicemirroring-controller.k8s.io"
FORBIDDEN = ApiError("secrets is forbidden", status=403)
DOWN = UnreachableError("the API server does not answer: connection refused")


def test_a_clean_server() -> None:
    report = look(Server())
    assert (report.findings, report.exit_code, report.declared) == ([], Exit.CLEAN, 14)
    covered = report.coverage
    assert (covered.objects, covered.kinds, covered.not_looked_at) == (14, len(KINDS) + 1, ("tags (--no-registry)",))


def test_an_api_server_that_is_down_is_unknown_and_nothing_else() -> None:
    report = look(Server(), **{kind.plural: DOWN for kind in KINDS}, specimens=DOWN)
    assert [(finding.cls, finding.live) for finding in report.findings] == [(FindingClass.UNKNOWN, DOWN.found)]
    assert report.exit_code is Exit.UNKNOWN
    assert report.coverage.objects == 0
    assert report.coverage.not_looked_at[0] == "the cluster (it does not answer)"


def test_a_server_that_goes_down_in_between_is_unknown() -> None:
    report = look(Server(), services=DOWN)
    assert [finding.cls for finding in report.findings] == [FindingClass.UNKNOWN]


def test_one_kind_that_may_not_be_read_is_unknown_for_that_kind() -> None:
    server = Server()
    server.set("Deployment/web", (*CONTAINER, "image"), "localhost:30500/x:1", "kubectl-set")
    report = look(server, secrets=FORBIDDEN)
    assert [(finding.cls, str(finding.object)) for finding in report.findings] == [
        (FindingClass.UNKNOWN, "Secret/*"),
        (FindingClass.DRIFT, "Deployment/web"),
    ]
    assert report.exit_code is Exit.UNKNOWN
    assert report.coverage.kinds == len(KINDS)
    assert report.coverage.objects < len(server.declared)
    assert any(words.startswith("Secret (") for words in report.coverage.not_looked_at)


def thing(name: str, **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name, **metadata}, "spec": {}}


@pytest.mark.parametrize("namespaced", [True, False])
def test_a_kind_that_is_not_read_as_a_matter_of_course(namespaced: bool) -> None:
    server = Server()
    server.declared += [thing("there"), thing("not-there")]
    api: Any = FakeApi(server)
    api.answers["/apis/example.com/v1"] = {"resources": [{"kind": "Thing", "name": "things", "namespaced": namespaced}]}
    where = f"/namespaces/{NAMESPACE}" if namespaced else ""
    items = [{"metadata": {"name": "there"}, "spec": {"defaulted": 1}}, {"metadata": {"name": "of-others"}}]
    api.answers[f"/apis/example.com/v1{where}/things"] = {"items": items}
    report = engine.detect_drift(api, NAMESPACE, lambda: server.declared, options=Options(registry=False, now=NOW))
    assert [str(f.object) for f in report.findings if "Thing" in f.object.kind] == ["Thing.example.com/not-there"]


def test_an_object_in_another_namespace_is_looked_for_there_and_nothing_else() -> None:
    server = Server()
    elsewhere = {"name": "shared", "namespace": "databases"}
    server.declared.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": elsewhere, "data": {"a": "b"}})
    api: Any = FakeApi(server)
    items = [{"metadata": elsewhere, "data": {"a": "b"}}, {"metadata": {**elsewhere, "name": "of-others"}}]
    api.answers["/api/v1/namespaces/databases/configmaps"] = {"items": items}
    report = engine.detect_drift(
        api, NAMESPACE, lambda: server.declared, lambda: Applied(server.applied), Options(registry=False, now=NOW)
    )
    assert report.findings == []


def test_what_is_declared_wrongly_is_an_error_and_not_a_report() -> None:
    def wrong() -> list[dict[str, Any]]:
        raise ValueError("no")

    api: Any = FakeApi(Server())
    with pytest.raises(ValueError, match="no"):
        engine.detect_drift(api, NAMESPACE, wrong, options=Options(registry=False))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: None, Exit.CLEAN),
        (lambda server: server.program("Deployment/web", ("metadata", "labels", "a"), "b"), Exit.PENDING),
        (lambda server: server.create({"kind": "ConfigMap", "metadata": {"name": "x"}}), Exit.ATTENTION),
        (lambda server: server.set("Deployment/web", ("metadata", "labels", "a"), "b"), Exit.DRIFT),
        (lambda server: server.delete("Service/web"), Exit.DRIFT),
    ],
)
def test_each_situation_has_its_exit_code(change: Any, code: Exit) -> None:
    server = Server()
    change(server)
    assert look(server).exit_code is code


def test_drift_that_is_only_reported_is_for_a_person_to_look_at() -> None:
    server = Server()
    server.delete("Service/web")
    server.rules = (Rule.model_validate({"action": "report"}),)
    assert look(server).exit_code is Exit.ATTENTION


def test_the_fingerprint_is_that_of_the_differences() -> None:
    server = Server()
    clean = look(server).fingerprint
    server.set("Deployment/web", ("metadata", "labels", "a"), "b")
    changed = look(server).fingerprint
    assert changed == look(server).fingerprint
    assert changed != clean
    server.set("Deployment/web", ("metadata", "labels", "a"), "c")
    assert look(server).fingerprint != changed


def test_a_namespace_that_is_being_deleted() -> None:
    server = Server()
    server.set("Namespace/specimens", ("status", "phase"), "Terminating")
    assert [(finding.path, finding.live) for finding in look(server).findings] == [("status.phase", "Terminating")]


class RecordingApi(FakeApi):
    """Serves objects, those behind a query too, and keeps the queries."""

    queries: list[str]

    def get(self, path: str) -> Any:
        if "?" in path:
            self.queries.append(path)
        return super().get(path)


def made_by(kind: str, name: str, owner: str, owner_name: str, **labels: str) -> dict[str, Any]:
    owners = [{"kind": owner, "name": owner_name, "uid": "1", "controller": True}]
    return {"metadata": {"name": name, "labels": labels, "ownerReferences": owners}, "kind": kind}


def test_what_kubernetes_makes_of_declared_objects_is_read_as_far_as_it_is_needed() -> None:
    server = Server()
    pod = made_by("Pod", "web-6d4-x", "ReplicaSet", "web-6d4", **{"pod-template-hash": "6d4"})
    server.live.objects[reference(pod, NAMESPACE)] = pod
    api = RecordingApi(server, {"/endpoints": FORBIDDEN})
    api.queries = []
    managed = "endpointslice.kubernetes.io/managed-by"
    by_controller = made_by("EndpointSlice", "web-a", "Service", "web", **{managed: "endpointslice-controller.k8s.io"})
    mirrored = made_by("EndpointSlice", "db-a", "Endpoints", "db", **{managed: SLICE_MIRRORING})
    slices = [by_controller, mirrored, {"metadata": {"name": "by-hand"}}]
    api.answers[f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"] = {"items": slices}
    replica_sets = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets?labelSelector=pod-template-hash+in+%286d4%29"
    api.answers[replica_sets] = {"items": [{"metadata": {"name": "web-6d4"}}]}
    others = "/api/v1/services?fieldSelector=metadata.namespace%21%3Dspecimens"
    api.answers[others] = {"items": [{"metadata": {"name": "traefik", "namespace": "kube-system"}}]}
    state = reader.read(api, NAMESPACE, derived=True, elsewhere=True)
    assert sorted(map(str, state.derived)) == ["EndpointSlice/db-a", "EndpointSlice/web-a", "ReplicaSet/web-6d4"]
    assert "EndpointSlice/by-hand" in map(str, state.objects)
    assert state.derived_unread == {"Endpoints": "secrets is forbidden"}
    assert [(str(found), found.namespace) for found in state.elsewhere] == [("Service/traefik", "kube-system")]
    ingresses = "/apis/networking.k8s.io/v1/ingresses?fieldSelector=metadata.namespace%21%3Dspecimens"
    assert sorted(api.queries) == sorted([replica_sets, others, ingresses])
    assert reader.read(api, NAMESPACE).derived == {}
    assert len(api.queries) == 3
