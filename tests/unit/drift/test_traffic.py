"""Traffic of declared Services that leads elsewhere: slices by hand, pods of nobody, other namespaces on our ports."""

from __future__ import annotations

from typing import Any

import pytest

from config.rules import Rule
from flowmaster.cluster.reader import SLICE_CONTROLLER
from flowmaster.compare.finding import Action, Finding, FindingClass, ObjectRef
from flowmaster.drift import traffic
from tests.unit.drift.server import AN_HOUR_AGO, Server, ref

CONTROLLER = "endpointslice-controller.k8s.io"
WEB = {"app": "web"}
IMAGE = "localhost:30500/debug:1"


def slice_of(
    service: str, *addresses: str, name: str = "stray", port: str = "http", labels: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, **(labels or {})}},
        "endpoints": [{"addresses": [address]} for address in addresses], "ports": [{"name": port, "port": 80}],
    }  # fmt: skip


def pod(name: str, labels: dict[str, str], owner: tuple[str, str] | None = None, **status: Any) -> dict[str, Any]:
    kind, _, owner_name = (owner[0], "", owner[1]) if owner else ("", "", "")
    version = "apps/v1" if kind in ("ReplicaSet", "StatefulSet", "DaemonSet") else "example.com/v1"
    owners = [{"apiVersion": version, "kind": kind, "name": owner_name, "uid": "1", "controller": True}]
    metadata = {"name": name, "labels": labels, **({"ownerReferences": owners} if owner else {})}
    spec = {"containers": [{"name": "main", "image": IMAGE}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def derived(server: Server, body: dict[str, Any]) -> None:
    server.create(body)
    found = ref(f"{body['kind']}/{body['metadata']['name']}")
    server.live.derived[found] = server.live.objects.pop(found)


def replica_set(name: str, owner: str | None) -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "1", "controller": True}]
    metadata = {"name": name, **({"ownerReferences": owners} if owner else {})}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {}}


def whole(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(str(finding.cls), str(finding.object), finding.note) for finding in findings]


def test_a_slice_by_hand_is_foreign_and_says_where_traffic_goes() -> None:
    server = Server()
    server.create(slice_of("web", "10.9.9.9", "fd00::9"), "kubectl-create")
    [finding] = server.findings()
    assert (finding.cls, str(finding.object), finding.path) == (FindingClass.FOREIGN, "EndpointSlice/stray", "")
    assert finding.live == "10.9.9.9:80, [fd00::9]:80"
    assert (finding.manager, finding.when, finding.action) == ("kubectl-create", AN_HOUR_AGO, Action.REPORT)
    assert finding.note == "part of the traffic of Service/web goes to 10.9.9.9:80, [fd00::9]:80"
    assert server.report().exit_code == 4


def test_a_rule_deletes_a_slice_by_hand() -> None:
    server = Server()
    server.rules = (Rule(kind="EndpointSlice", action=Action.HEAL),)
    server.create(slice_of("web", "10.9.9.9"))
    assert [finding.action for finding in server.findings()] == [Action.HEAL]


def test_a_slice_that_claims_to_be_owned_is_foreign_all_the_same() -> None:
    server = Server()
    body = slice_of("web", "10.9.9.9")
    body["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "1"}]
    server.create(body)
    [finding] = server.findings()
    assert finding.note == "part of the traffic of Service/web goes to 10.9.9.9:80"


def test_a_declared_slice_is_no_finding() -> None:
    server = Server()
    body = slice_of("postgres", "10.9.9.9")
    server.declared.append(body)
    server.create(body)
    server.applied[ref("EndpointSlice/stray")] = body
    assert server.findings() == []


def test_a_slice_of_the_controller_is_no_finding_unless_somebody_changed_it() -> None:
    server = Server()
    body = slice_of("web", "10.42.0.7", name="web-abcde", labels={SLICE_CONTROLLER: CONTROLLER})
    derived(server, body)
    assert server.findings() == []
    found = server.live.derived[ref("EndpointSlice/web-abcde")]
    for manager, count in (("k3s", 0), ("kubectl-edit", 1)):
        found["metadata"]["managedFields"][0] |= {"manager": manager, "fieldsV1": {"f:endpoints": {}}}
        assert len(server.findings()) == count
    [finding] = server.findings()
    assert (finding.path, finding.live, finding.action) == ("endpoints", "10.42.0.7:80", Action.REPORT)


def test_a_slice_of_another_port_or_of_own_pods_does_not_claim_more_than_is_known() -> None:
    server = Server()
    server.create(slice_of("web", "10.9.9.9", port="other"))
    assert [finding.note for finding in server.findings()] == [
        "labelled for Service/web, which has no port of that name"
    ]
    server = Server()
    derived(server, replica_set("web-1", "web"))
    server.create(pod("web-1-x", WEB, ("ReplicaSet", "web-1"), phase="Running", podIPs=[{"ip": "10.42.0.7"}]))
    server.create(slice_of("web", "10.42.0.7"))
    assert [finding.note for finding in server.findings()] == ["adds its addresses to those of Service/web once more"]


def test_pods_that_cannot_be_read_are_unknown_in_the_note_too() -> None:
    server = Server()
    server.live.unread["Pod"] = "pods is forbidden"
    server.create(slice_of("web", "10.9.9.9"))
    notes = [finding.note for finding in server.findings()]
    assert "adds addresses to those of Service/web; whose they are is unknown, since pods cannot be read" in notes


def test_endpoints_by_hand_take_the_whole_traffic_of_a_service_without_selector() -> None:
    server = Server()
    server.program("Service/web", ("spec", "selector"), {})
    server.applied[ref("Service/web")]["spec"].pop("selector")
    server.live.objects[ref("Service/web")]["spec"].pop("selector")
    subsets = [{"addresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 80}]}]
    server.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}, "subsets": subsets})
    [finding] = server.findings()
    assert (str(finding.object), finding.live) == ("Endpoints/web", "10.9.9.9:80")
    assert finding.note == "the traffic of Service/web goes to 10.9.9.9:80"


def test_a_bare_pod_that_a_declared_service_catches() -> None:
    server = Server()
    server.create(pod("web-debug", {"app": "web", "more": "1"}, phase="Running"), "kubectl-debug")
    [finding] = server.findings()
    assert (finding.cls, str(finding.object), finding.manager) == (
        FindingClass.FOREIGN, "Pod/web-debug", "kubectl-debug"
    )  # fmt: skip
    services = "Service/balanced, Service/headless, Service/outside and 2 more"
    assert finding.note == f"gets traffic of {services}"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_bare_pod_that_has_ended_gets_no_traffic(phase: str) -> None:
    server = Server()
    server.create(pod("web-debug", WEB, phase=phase))
    assert [finding.note for finding in server.findings()] == [""]


def test_pods_of_an_undeclared_workload_are_told_with_it() -> None:
    server = Server()
    template = {"spec": {"containers": [{"name": "main", "image": IMAGE}]}}
    server.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "copy"},
                   "spec": {"replicas": 1, "template": template}})  # fmt: skip
    derived(server, replica_set("copy-1", "copy"))
    server.create(pod("copy-1-x", {"app": "web"}, ("ReplicaSet", "copy-1"), phase="Running"))
    server.create(pod("copy-1-y", {"app": "web"}, ("ReplicaSet", "copy-1"), phase="Running"))
    [finding] = server.findings()
    assert str(finding.object) == "Deployment/copy"
    assert finding.note.startswith("its pods get traffic of Service/balanced, ")


def test_pods_of_an_owner_that_is_not_looked_at_are_told_once_and_no_rule_deletes_it() -> None:
    server = Server()
    server.rules = (Rule(kind="Rollout*", action=Action.HEAL),)
    for name in ("web-a", "web-b"):
        server.create(pod(name, WEB, ("Rollout", "web"), phase="Running"))
    [finding] = server.findings()
    assert (str(finding.object), finding.live) == ("Rollout.example.com/web", "present")
    assert finding.action is Action.REPORT


def test_pods_of_declared_workloads_are_no_finding() -> None:
    server = Server()
    derived(server, replica_set("web-1", "web"))
    server.create(pod("web-1-x", WEB, ("ReplicaSet", "web-1"), phase="Running"))
    server.create(pod("store-0", WEB, ("StatefulSet", "store"), phase="Running"))
    assert server.findings() == []


def test_a_declared_service_of_another_namespace_catches_no_pod_here() -> None:
    server = Server()
    metadata = {"name": "web", "namespace": "databases"}
    elsewhere = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "other"}}}
    server.live.objects[ObjectRef("Service", "databases", "web")] = elsewhere
    server.declared.append(elsewhere)
    server.create(pod("bare", {"app": "other"}, phase="Running"))
    notes = [finding.note for finding in server.findings() if finding.object.kind == "Pod"]
    assert notes == [""]


def test_an_owner_that_could_not_be_read_is_not_called_foreign() -> None:
    server = Server()
    hashed = {**WEB, "pod-template-hash": "1"}
    server.create(pod("web-1-x", hashed, ("ReplicaSet", "web-1"), phase="Running"))
    assert server.findings() == []
    server.create(pod("copy-1-x", hashed, ("ReplicaSet", "copy-1"), phase="Running"))
    assert [str(finding.object) for finding in server.findings()] == ["Deployment/copy"]
    server.live.unread["Deployment"] = "deployments is forbidden"
    assert FindingClass.FOREIGN not in {finding.cls for finding in server.findings()}


def test_slices_that_may_not_be_read_are_unknown() -> None:
    server = Server()
    server.live.derived_unread["EndpointSlice"] = "endpointslices is forbidden"
    [finding] = server.findings()
    assert (finding.cls, str(finding.object), finding.live) == (
        FindingClass.UNKNOWN, "EndpointSlice/*", "endpointslices is forbidden"
    )  # fmt: skip
    assert server.report().exit_code == 5


def elsewhere(server: Server, kind: str, name: str, **spec: Any) -> None:
    server.live.elsewhere[ObjectRef(kind, "kube-system", name)] = {"kind": kind, "spec": spec}


def test_what_other_namespaces_want_of_the_hosts_ports_is_a_note() -> None:
    server = Server()
    elsewhere(server, "Service", "traefik", type="LoadBalancer", ports=[{"port": 80, "nodePort": 31000}, {"port": 443}])
    elsewhere(server, "Service", "inner", ports=[{"port": 80}])
    elsewhere(server, "Service", "by-node", type="NodePort", ports=[{"port": 1, "nodePort": 443}])
    elsewhere(server, "Ingress", "shop", rules=[{"host": "shop.example.com"}])
    assert traffic.on_ports(server.live, {80, 443}) == [
        "Service/by-node of namespace kube-system (NodePort) wants port 443 of the server, too",
        "Service/traefik of namespace kube-system (LoadBalancer) wants ports 80, 443 of the server, too",
        "Ingress/shop of namespace kube-system, for shop.example.com, would be served there",
    ]
    assert traffic.on_ports(server.live, {8090}) == []
    assert traffic.on_ports(server.live, set()) == []


def test_other_namespaces_that_may_not_be_read_were_not_looked_at() -> None:
    server = Server()
    server.live.elsewhere_unread["Service"] = "services is forbidden"
    report = server.report()
    assert "kind Service of other namespaces (services is forbidden)" in report.coverage.not_looked_at
    assert report.findings == []
