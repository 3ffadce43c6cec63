"""Compares compose projects on the server with their desired phase. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.compose import SEALED, ComposeService, Phase
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.three_way import compare
from flowmaster.compose import proxy
from flowmaster.compose.desired import DesiredProject
from flowmaster.drift.nginx import finding_of
from flowmaster.host import nginx_tree
from flowmaster.host.nginx import HostState

Json = Mapping[str, Any]
_NO_ADDRESS = "address-of-{}"


def reference(project: str) -> ObjectRef:
    """Return a project's object reference."""
    return ObjectRef("ComposeProject", "", project)


def findings(
    project: DesiredProject,
    state: Json,
    host: HostState,
    addresses: Mapping[str, str],
    applied: Mapping[str, str],
    masker: Masker,
) -> list[Finding]:
    """Return all findings about one project.

    :param state: the result of :func:`flowmaster.host.docker.read_state`.
    :param addresses: ClusterIPs by service.
    :param applied: last applied text of each nginx site.
    :param masker: masks the values of the namespace's Secrets.
    """
    if state["problem"]:
        note = "it is unknown whether both sides write"
        return [
            Finding(
                FindingClass.UNKNOWN, reference(project.name), change=Change.STATE, live=state["problem"], note=note
            )
        ]
    phase = Phase(state["journal"]["phase"])
    found = list(_phase_findings(project, state["journal"], phase))
    found += _containers(project, state["containers"], phase)
    found += _redirect_findings(project, state["rules"], phase)
    if phase is not Phase.RETIRED:
        found += _stale_translation(project, state)
    if phase is project.phase and phase is not Phase.DOCKER and project.transfer.ports:
        found += _site_findings(project, host, addresses, applied, masker)
    return found


def _phase_findings(project: DesiredProject, journal: Json, phase: Phase) -> Iterator[Finding]:
    move = journal.get("move")
    if move:
        text = f"{move['from']} → {move['to']} was interrupted in step {move['step']} of {move.get('of', '?')}"
        note = "up completes it, or rolls it back"
        yield Finding(FindingClass.DRIFT, reference(project.name), "move", live=text, declared=project.phase, note=note)
    elif phase is not project.phase:
        yield Finding(FindingClass.PENDING, reference(project.name), "phase", live=phase, declared=project.phase)


def _containers(project: DesiredProject, containers: list[Json], phase: Phase) -> Iterator[Finding]:
    known = project.transfer.objects
    source = project.settings.source
    serves = phase in (Phase.DOCKER, Phase.SHADOW)
    for container in containers:
        ref = ObjectRef("Container", "", str(container["name"]))
        running = container["state"] == "running"
        if running and not serves:
            note = "the cluster serves; both sides may write"
            yield Finding(FindingClass.DRIFT, ref, "state", live="running", declared="stopped", note=note)
        elif container["service"] not in known:
            note = f"not translated; run `flowmaster compose {project.name}`"
            yield Finding(FindingClass.FOREIGN, ref, change=Change.ADDED, live=container["reference"], note=note)
        elif not serves and container["restart"] != "no":
            note = "docker starts it after a reboot"
            yield Finding(FindingClass.DRIFT, ref, "restart", live=container["restart"], declared="no", note=note)
        elif not running and serves and source and source.services[container["service"]].running:
            yield Finding(FindingClass.DRIFT, ref, "state", live=container["state"], declared="running")
        elif container["health"] == "unhealthy":
            yield Finding(FindingClass.UNHEALTHY, ref, change=Change.STATE, live="docker's health check fails")
    there = {container["service"] for container in containers}
    for service in sorted(known.keys() - there) if phase is not Phase.RETIRED else ():
        note = "docker compose create" if phase is Phase.CLUSTER else "docker compose up --detach"
        yield Finding(
            FindingClass.UNHEALTHY,
            reference(project.name),
            f"services[{service}]",
            Change.STATE,
            live=f"{service} no longer has a container",
            note=f"`{note}` in {project.settings.folder} recreates it",
        )


def _redirect_findings(project: DesiredProject, rules: Json, phase: Phase) -> Iterator[Finding]:
    desired = sorted(port.redirect for port in project.transfer.ports) if phase is Phase.SHADOW else []
    there = sorted(rules["ports"])
    if there == desired and (not desired or len(rules["hooks"]) == 2):
        return
    note = "the rules are lost, as after a reboot; clients reach docker past nginx" if not there else ""
    yield Finding(
        FindingClass.DRIFT,
        reference(project.name),
        "rules",
        live=_redirects_text(there),
        declared=_redirects_text(desired),
        note=note,
    )


def _redirects_text(ports: list[list[Any]]) -> str:
    return ", ".join(f"{':'.join(map(str, [*address, old]))} to {new}" for old, new, *address in ports) or "none"


def _stale_translation(project: DesiredProject, state: Json) -> Iterator[Finding]:
    """Yield findings where the translation is older than what runs; only reading the project again helps."""
    source = project.settings.source
    if source is None:
        return
    note = f"read it again: `flowmaster compose {project.name}`"
    if state["journal"]["phase"] == Phase.CLUSTER:
        note = "the cluster's copy is not affected; it matters only for moving back"
    ref = reference(project.name)
    for path, sha in source.files.items():
        now = state["files"].get(path)
        if now != sha:
            live = "was edited since the translation" if now else "is missing"
            yield Finding(
                FindingClass.STALE, ref, path, Change.STATE, live=f"{path} {live}", note=note, revision=now or ""
            )
    for container in state["containers"]:
        entry = source.services.get(container["service"])
        if entry is None:
            continue
        where = f"services[{container['service']}]"
        if entry.image and container["image"] != entry.image:
            text = f"{container['name']} runs {container['image'][:19]}, the translation has {entry.image[:19]}"
            yield Finding(FindingClass.STALE, ref, f"{where}.image", Change.STATE, live=text, note=note)
        for name in sorted(_other_variables(project, entry, container)):
            text = f"{container['name']} has another value of {name} than the translation"
            path = f"{where}.environment[{name}]"
            yield Finding(FindingClass.STALE, ref, path, Change.STATE, live=text, note=note)


def _other_variables(project: DesiredProject, entry: ComposeService, container: Json) -> set[str]:
    """Return the names of variables that differ, without values, which may be secret."""
    live = {name: value for name, _, value in (str(line).partition("=") for line in container["env"])}
    desired = entry.keys.get("environment") or {}
    differing = {name for name in container.get("added") or () if name not in desired}
    for name, value in desired.items() if isinstance(desired, Mapping) else ():
        if isinstance(value, Mapping):
            kept = project.settings.sealed.get(str(value.get(SEALED)))
            expected = kept.get_secret_value() if kept is not None else None
        else:
            expected = None if value is None else str(value)
        if live.get(name) != expected and not (expected is None and name not in live):
            differing.add(name)
    return differing


def _site_findings(
    project: DesiredProject, host: HostState, addresses: Mapping[str, str], applied: Mapping[str, str], masker: Masker
) -> Iterator[Finding]:
    """Yield findings about the nginx site that serves the project's ports."""
    site = project.transfer.site
    ref, file = ObjectRef("NginxSite", "", site), host.site(site)
    known = {service: addresses.get(service, _NO_ADDRESS.format(service)) for service in project.transfer.objects}
    declared = proxy.site_text(project.transfer, proxy.PROXY_MODES[project.phase], known)
    ports = ", ".join(str(port.port) for port in project.transfer.ports)
    if file is None or file.content is None:
        cls = FindingClass.DRIFT if site in applied else FindingClass.PENDING
        yield Finding(cls, ref, change=Change.MISSING, declared=f"ports {ports}", note=f"nobody serves {ports}")
        return
    try:
        live = nginx_tree.meaning(file.content)
    except nginx_tree.SyntaxProblem as err:
        yield Finding(FindingClass.DRIFT, ref, "content", live=str(err), declared="a valid site", when=file.changed)
        return
    before = nginx_tree.meaning(applied[site]) if site in applied else ABSENT
    for difference in compare(nginx_tree.meaning(declared), live, before):
        yield finding_of(ref, difference, file, masker, difference.cls or FindingClass.DRIFT)
