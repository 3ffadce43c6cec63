"""The data of `flowmaster status`: services, host and drift on one screen. Pure, except for reading memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from config.settings import Settings
from config.types import quantity_value
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.field_managers import moment
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import Finding, FindingClass, ObjectRef
from flowmaster.drift.certificates import days_left, served
from flowmaster.drift.engine import Report
from flowmaster.drift.health import by_workload
from flowmaster.drift.listening import declared_texts
from flowmaster.host.nginx import HostState

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """The state of one service."""

    name: str
    ready: int
    wanted: int
    restarts: int
    version: str
    since: datetime | None
    memory: int | None
    """Bytes in use by all its pods; None if unknown."""
    request: int | None
    """Memory request of one pod, in bytes."""
    worst: FindingClass | None
    tested: datetime | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One item besides the services: its name, its state as text, and whether it is healthy (None: unknown)."""

    what: str
    words: str
    well: bool | None


@dataclass(frozen=True)
class Overview:
    """Everything that `flowmaster status` shows."""

    services: Sequence[ServiceRow]
    lines: Sequence[Line]
    report: Report
    untested: int = 0
    failed: int = 0
    """Services that failed their last smoke test."""
    gone: Sequence[str] = field(default_factory=tuple)
    """Declared services missing on the server."""


class Client(Protocol):
    """The methods used of a connection."""

    def get(self, path: str) -> Any:
        """Get a path; return the decoded answer."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs besides the live state and the report."""

    host: HostState | None = None
    host_problem: str = ""
    compose: Mapping[str, Body] = field(default_factory=dict)
    """State of each compose project (:func:`flowmaster.host.docker.read_state`)."""
    updated: datetime | None = None
    tested: Mapping[str, tuple[datetime, bool]] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes in use, by pod."""


def overview(settings: Settings, live: LiveState, report: Report, inputs: Inputs) -> Overview:
    """Build the overview."""
    pods = by_workload(live)
    rows = [_row(name, live, pods, report, inputs) for name in settings.services]
    asked = [row for row in rows if row.wanted]
    return Overview(
        services=rows,
        lines=list(_lines(settings, live, report, inputs)),
        report=report,
        untested=sum(row.tested is None for row in asked),
        failed=sum(row.failed for row in asked),
        gone=[row.name for row in rows if row.wanted == 0 and settings.release(row.name).replicas],
    )


def _row(
    name: str,
    live: LiveState,
    pods: Mapping[ObjectRef, list[dict[str, Any]]],
    report: Report,
    inputs: Inputs,
) -> ServiceRow:
    ref = ObjectRef("Deployment", live.namespace, name)
    body: Body = live.objects.get(ref) or {}
    own = pods.get(ref, [])
    spec, status = body.get("spec") or {}, body.get("status") or {}
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    request = ((containers[0].get("resources") or {}).get("requests") or {}).get("memory")
    measured = [inputs.memory[p["metadata"]["name"]] for p in own if p["metadata"]["name"] in inputs.memory]
    started = [moment(p["status"].get("startTime")) for p in own if p.get("status", {}).get("startTime")]
    tested, answered = inputs.tested.get(name, (None, True))
    return ServiceRow(
        name=name,
        ready=int(status.get("readyReplicas", 0)),
        wanted=int(spec.get("replicas", 1)) if body else 0,
        restarts=sum(s.get("restartCount", 0) for p in own for s in p.get("status", {}).get("containerStatuses", ())),
        version=str(containers[0].get("image", "")).rpartition("/")[2].partition(":")[2],
        since=max((when for when in started if when), default=None),
        memory=sum(measured) if measured else None,
        request=int(quantity_value(request)) if request else None,
        worst=worst(report.findings, name),
        tested=tested,
        failed=not answered,
    )


def worst(findings: Iterable[Finding], name: str) -> FindingClass | None:
    """Return the most urgent class of finding about a service's Deployment and Service."""
    about = [f.cls for f in findings if f.object.kind in ("Deployment", "Service") and f.object.name == name]
    return min(about, key=lambda cls: cls.rank, default=None)


def _lines(settings: Settings, live: LiveState, report: Report, inputs: Inputs) -> Iterable[Line]:
    yield from _of_host(settings, report, inputs)
    externals = settings.catalogue.external_services
    missing = [n for n in externals if ObjectRef("Service", live.namespace, n) not in live.objects]
    words = ", ".join(f"{name} → {target.partition('.svc')[0]}" for name, target in externals.items())
    yield Line("ExternalNames", f"missing: {', '.join(missing)}" if missing else words, not missing)
    unasked = [f for f in report.findings if f.object.kind == "Registry" and f.cls is FindingClass.UNKNOWN]
    stale = sum(f.cls is FindingClass.STALE and f.object.kind == "Deployment" for f in report.findings)
    moved = f"; {stale} tags have moved" if stale else ""
    yield Line("registry", str(unasked[0].live) if unasked else f"answers{moved}", not unasked and not stale)
    when = f"{inputs.updated:%Y-%m-%d %H:%M} UTC" if inputs.updated else "never from here"
    yield Line("last update", when, inputs.updated is not None)


def _of_host(settings: Settings, report: Report, inputs: Inputs) -> Iterable[Line]:
    proxy, host = settings.stack.reverse_proxy, inputs.host
    if host is None:
        words = inputs.host_problem or "not declared"
        for what in ("nginx", "SDX", "Plane"):
            yield Line(what, words, None)
        return
    differing = [f for f in report.findings if f.object.kind in ("NginxSite", "Nginx")]
    sites = ", ".join(proxy.sites) if proxy else "none declared"
    state = "not installed" if not host.nginx.installed else "running" if host.nginx.running else "stopped"
    count = len(differing)
    differs = f"; {count} finding{'' if count == 1 else 's'}" if differing else ", as declared"
    yield Line("nginx", f"{state}; sites: {sites}{differs}", host.nginx.running and not differing)
    if left := days_left(served(host.answers, declared_texts(proxy)), report.taken):
        words = ", ".join(f"{name}: {days}" for name, days, _ in left)
        yield Line("certificates", words, all(well for *_, well in left))
    projects = settings.stack.compose
    for name, found in inputs.compose.items():
        yield _of_project(name, found, str(projects[name].phase))
    for what, names in (("SDX", "sdx"), ("Plane", "plane")):
        if names in inputs.compose:
            continue
        own = [c for c in host.containers if c.project.startswith(names) or c.name.startswith(names)]
        running = [c for c in own if c.state == "running"]
        ill = [c.name for c in own if c.health == "unhealthy"]
        guarded = "; protected, never changed" if what == "Plane" else ""
        words = f"{len(running)} of {len(own)} containers run" if own else host.containers_problem or "no containers"
        unwell = f"; unhealthy: {', '.join(ill)}" if ill else ""
        yield Line(what, words + unwell + guarded, None if not own else len(running) == len(own) and not ill)


def _of_project(name: str, state: Body, declared: str) -> Line:
    """Return the line of a compose project: its phase, and its running containers."""
    journal, containers = state["journal"], state["containers"]
    phase, move = str(journal["phase"]), journal.get("move")
    running = sum(container["state"] == "running" for container in containers)
    serves = phase in ("docker", "shadow")
    words = f"phase {phase}; " + ("served from docker" if serves else "served from the cluster")
    words += f"; {running} of {len(containers)} containers run" if containers else "; no containers"
    if move:
        words += f"; {move['from']} → {move['to']} unfinished at step {move['step']}"
    elif phase != declared:
        words += f"; to be {declared}"
    well = not state["problem"] and not move and running == (len(containers) if serves else 0)
    return Line(name.upper(), state["problem"] or words, well)


def memory(api: Client, namespace: str) -> dict[str, int]:
    """Read the memory in use by pod, from the metrics API, else from the nodes; empty if neither is available."""
    try:
        items = api.get(f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")["items"]
    except ApiError:
        return _from_nodes(api, namespace)
    return {
        item["metadata"]["name"]: sum(int(quantity_value(c["usage"]["memory"])) for c in item["containers"])
        for item in items
    }


def _from_nodes(api: Client, namespace: str) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        for node in api.get("/api/v1/nodes")["items"]:
            summary = api.get(f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary?only_cpu_and_memory=true")
            for pod in summary["pods"]:
                if pod["podRef"]["namespace"] == namespace and "memory" in pod:
                    found[pod["podRef"]["name"]] = int(pod["memory"].get("workingSetBytes", 0))
    except (ApiError, KeyError, TypeError):
        return found
    return found
