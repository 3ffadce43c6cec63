"""Many changes by hand at once, and everything that is said and done about them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flowmaster.cluster.defaults import fill
from flowmaster.cluster.kinds import DERIVED, KINDS
from flowmaster.cluster.normalise import normalise
from lab.twin import Twin
from lab.twin.api import Api, Body
from lab.twin.patience import patience
from tests.lab.clients import get
from tests.lab.operate import NAMESPACE, Operator, Preview, named
from tests.lab.row import Expected, Row
from tests.lab.rows import ROWS, change_program

_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_CONTROLLERS = "deployment.kubernetes.io"


@dataclass(frozen=True)
class Batch:
    """What was found and done: the objects before, with the changes and after; both reports, both previews."""

    before: dict[str, dict[str, Any]]
    injected: dict[str, dict[str, Any]]
    found: dict[str, Any]
    preview: Preview
    after: dict[str, dict[str, Any]]
    left: dict[str, Any]
    again: Preview


def run(operator: Operator) -> Batch:
    """Inject all rows, report, preview, update, report, preview."""
    before = operator.objects()
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(_inject, operator, row) for row in ROWS.values()]
        tasks.append(pool.submit(_by_nature, operator))
        for task in tasks:
            task.result()
    operator.edit_catalogue(change_program)
    injected, found, preview = operator.objects(), operator.report(), operator.preview()
    operator.up()
    again = operator.preview("--expect-no-changes", code=None)
    return Batch(before, injected, found, preview, operator.objects(), operator.report(), again)


def _inject(operator: Operator, row: Row) -> None:
    if row.address:
        body = operator.get(row.object)
        operator.kubectl("delete", *row.object.lower().split("/"))
        spec = {name: value for name, value in body["spec"].items() if name not in _ALLOCATED}
        metadata = {name: body["metadata"][name] for name in ("name", "labels", "annotations")}
        again = {**body, "metadata": metadata, "spec": {**spec, "clusterIP": row.address}}
        operator.kubectl("create", "--filename", "-", text=json.dumps(again))
    for command in row.commands:
        operator.kubectl(*command)


def _by_nature(operator: Operator) -> None:
    """What a healthy server does by itself, and what people do that changes nothing."""
    operator.kubectl("rollout", "restart", "deployment/process-views")
    operator.kubectl(
        "annotate", "deployment/prompt-engineering", "example.com/since=2026-02-08T07:00:00Z", "--overwrite"
    )
    set_finalizers(operator, ["example.com/hold"])
    container = operator.get("Deployment/websocket-gateway")["spec"]["template"]["spec"]["containers"][0]
    where = "/spec/template/spec/containers/0"
    _turn_round(operator, "deployment", {f"{where}/{name}": container[name] for name in ("env", "ports")})
    _turn_round(operator, "service", {"/spec/ports": operator.get("Service/websocket-gateway")["spec"]["ports"]})


def set_finalizers(operator: Operator, names: list[str] | None) -> None:
    """What a controller puts on an object that it has something to tidy up for, here a Service."""
    patch = json.dumps({"metadata": {"finalizers": names}})
    operator.kubectl("patch", "service", "execution-engine", "--type=merge", "--patch", patch)


def _turn_round(operator: Operator, kind: str, lists: dict[str, list[Any]]) -> None:
    changes = [{"op": "replace", "path": path, "value": found[::-1]} for path, found in lists.items()]
    operator.kubectl("patch", kind, "websocket-gateway", "--type=json", "--patch", json.dumps(changes))


def about(report: Mapping[str, Any], resource: str) -> list[dict[str, Any]]:
    """The findings of a report about one object, by path."""
    return sorted((f for f in report["findings"] if named(f) == resource), key=lambda f: str(f["path"]))


def told(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """All findings of a report: class, object and path."""
    return sorted((f["class"], named(f), f["path"]) for f in report["findings"])


def by_path(row: Row) -> list[Expected]:
    """The findings that a row expects, by path."""
    return sorted(row.findings, key=lambda expected: expected.path)


def agrees(value: Any, expected: Any) -> bool:
    """Whether a value is the expected one; of a whole part of an object, what is expected is enough."""
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and bool(expected.fullmatch(value))
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(agrees(value.get(name), part) for name, part in expected.items())
    return bool(value == expected)


def meant(body: dict[str, Any], allocated: bool = True) -> dict[str, Any]:
    """What people can set of an object, without what controllers and this program note on it.

    Without `allocated`, also without the address that a Service was given.
    """
    plain = json.loads(json.dumps(body))
    notes = plain["metadata"].get("annotations", {})
    plain["metadata"]["annotations"] = {name: text for name, text in notes.items() if _CONTROLLERS not in name}
    whole = fill(plain["kind"], normalise(plain))
    if not allocated:
        whole["spec"] = {name: value for name, value in whole["spec"].items() if name not in _ALLOCATED}
    return whole


def env_of(body: dict[str, Any]) -> dict[str, str]:
    """The variables of a Deployment's first container."""
    return {part["name"]: part["value"] for part in body["spec"]["template"]["spec"]["containers"][0]["env"]}


def until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for at most so many seconds of a machine with two idle cores."""
    limit = patience(seconds)
    deadline = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(0.3)


def until_told(operator: Operator, findings: list[tuple[str, str, str]], seconds: float = 60) -> None:
    """Wait until a report has exactly these findings: of pods that take long to start, it tells until they run."""
    deadline = time.monotonic() + patience(seconds)
    while (found := told(operator.report())) != findings and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == findings


def failing(operator: Operator, names: Iterable[str]) -> dict[str, Any]:
    """A report of these objects; whoever crashes starts again, and fails only after a while."""
    reports: list[dict[str, Any]] = []

    def all_of_them() -> bool:
        reports.append(operator.report())
        return sorted(map(named, reports[-1]["findings"])) == sorted(names)

    until(all_of_them, f"findings about {', '.join(names)}", 60)
    return reports[-1]


def order(twin: Twin, service: str, port: int, query: str) -> None:
    """Order a fault of a service's pod, such as `mode=exit`; waits until the pod is there to take the order."""
    with twin.api() as api:
        until(lambda: _ordered(twin, api, service, port, query), f"{service} takes the order {query}", 60)


def order_exit(twin: Twin, service: str, port: int) -> None:
    """Have a service's only pod exit, and wait until it has: until then the same process would take another order."""
    with twin.api() as api:
        until(lambda: _running_since(api, service) != [], f"{service} runs", 60)
        before = _running_since(api, service)
        order(twin, service, port, "mode=exit")
        until(lambda: _running_since(api, service) != before, f"{service} exits", 60)


def _running_since(api: Api, service: str) -> list[str]:
    """When the containers that run were started."""
    statuses = [status for pod in _pods(api, service) for status in pod["status"].get("containerStatuses", [])]
    return [status["state"]["running"]["startedAt"] for status in statuses if "running" in status["state"]]


def _pods(api: Api, service: str) -> list[Body]:
    selector = f"labelSelector=app.kubernetes.io%2Fname%3D{service}"
    return api.items(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}")


def _ordered(twin: Twin, api: Api, service: str, port: int, query: str) -> bool:
    addresses = [
        pod["status"]["podIP"]
        for pod in _pods(api, service)
        if "deletionTimestamp" not in pod["metadata"]
        and any("running" in status["state"] for status in pod["status"].get("containerStatuses", []))
    ]
    try:
        answers = [twin.in_network(partial(get, address, port, f"/fail?{query}", "POST")) for address in addresses]
        return bool(answers) and all(status == 200 for status, _ in answers)
    except OSError:
        return False


def kubeconfig_without(operator: Operator, plural: str, folder: Path) -> Path:
    """A kubeconfig of a ServiceAccount that may read everything the tools read, but not objects of that kind."""
    core = ["namespaces", *(kind.plural for kind in KINDS if kind.version == "v1")]
    rules: list[dict[str, Any]] = [
        {"apiGroups": [""], "resources": [name for name in core if name != plural], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["nodes", "nodes/proxy"], "verbs": ["get", "list"]},
        {"apiGroups": list(_GROUPS), "resources": _IN_GROUPS - {plural}, "verbs": ["get", "list"]},
    ]
    return _kubeconfig(operator, "auditor", rules, "clusterrolebinding", folder)


def kubeconfig_within(operator: Operator, folder: Path) -> Path:
    """A kubeconfig of a ServiceAccount that may read everything of FlowMaster's namespace, and nothing else."""
    rules = [{"apiGroups": ["", *_GROUPS], "resources": {"*"}, "verbs": ["get", "list"]}]
    return _kubeconfig(operator, "tenant", rules, "rolebinding", folder)


_GROUPS = ("apps", "autoscaling", "batch", "discovery.k8s.io", "networking.k8s.io", "policy",
           "rbac.authorization.k8s.io")  # fmt: skip
_IN_GROUPS = {kind.plural for kind in (*KINDS, *DERIVED) if kind.version != "v1"}


def _kubeconfig(operator: Operator, name: str, rules: list[dict[str, Any]], binding: str, folder: Path) -> Path:
    """A kubeconfig of a new ServiceAccount with these rights."""
    rules = [{**rule, "resources": sorted(rule["resources"])} for rule in rules]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    operator.run("kubectl", "apply", "--filename", "-", text=json.dumps({**role, "rules": rules}))
    operator.run("kubectl", "create", "serviceaccount", name, "--namespace=default", code=None)
    bound = (binding, name, f"--clusterrole={name}", f"--serviceaccount=default:{name}", f"--namespace={NAMESPACE}")
    operator.run("kubectl", "create", *bound, code=None)
    token = operator.run("kubectl", "create", "token", name, "--namespace=default").stdout.strip()
    whole = json.loads(operator.twin.kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(whole))
    return path
