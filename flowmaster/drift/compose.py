"""Compose projects that move into the cluster: what of them is not as it should be on the server. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.compose import SEALED, ComposeService, Phase
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.three_way import compare
from flowmaster.compose import proxy
from flowmaster.compose.desired import DesiredProject
from flowmaster.drift.nginx import of_difference
from flowmaster.host import nginx_tree
from flowmaster.host.nginx import HostState

Json = Mapping[str, Any]
_NO_ADDRESS = "address-of-{}"


def reference(project: str) -> ObjectRef:
    """A project as the object of a finding."""
    return ObjectRef("ComposeProject", "", project)


def findings(
    project: DesiredProject,
    state: Json,
    host: HostState,
    addresses: Mapping[str, str],
    applied: Mapping[str, str],
    masker: Masker,
) -> list[Finding]:
    """All findings about one project.

    :param state: what :func:`flowmaster.host.docker.read_state` says.
    :param addresses: ClusterIPs by service.
    :param applied: the text of each site of nginx as it was applied last.
    :param masker: hides what the namespace's Secrets hold.
    """
    if state["problem"]:
        note = "whether two sides write cannot be told"
        return [
            Finding(
                FindingClass.UNKNOWN, reference(project.name), change=Change.STATE, live=state["problem"], note=note
            )
        ]
    here = Phase(state["journal"]["phase"])
    found = list(_journey(project, state["journal"], here))
    found += _containers(project, state["containers"], here)
    found += _rules(project, state["rules"], here)
    if here is not Phase.RETIRED:
        found += _translated(project, state)
    if here is project.phase and here is not Phase.DOCKER and project.transfer.ports:
        found += _front(project, host, addresses, applied, masker)
    return found


def _journey(project: DesiredProject, journal: Json, here: Phase) -> Iterator[Finding]:
    move = journal.get("move")
    if move:
        text = f"{move['from']} → {move['to']} was not finished: step {move['step']} of {move.get('of', '?')}"
        note = "up goes on with it, or back"
        yield Finding(FindingClass.DRIFT, reference(project.name), "move", live=text, declared=project.phase, note=note)
    elif here is not project.phase:
        yield Finding(FindingClass.PENDING, reference(project.name), "phase", live=here, declared=project.phase)


def _containers(project: DesiredProject, containers: list[Json], here: Phase) -> Iterator[Finding]:
    known = project.transfer.objects
    source = project.settings.source
    serves = here in (Phase.DOCKER, Phase.SHADOW)
    for container in containers:
        ref = ObjectRef("Container", "", str(container["name"]))
        running = container["state"] == "running"
        if running and not serves:
            note = "the cluster serves: two sides may write"
            yield Finding(FindingClass.DRIFT, ref, "state", live="running", declared="stopped", note=note)
        elif container["service"] not in known:
            note = f"not translated; `flowmaster compose {project.name}` reads it"
            yield Finding(FindingClass.FOREIGN, ref, change=Change.ADDED, live=container["reference"], note=note)
        elif not serves and container["restart"] != "no":
            note = "docker would start it after a reboot"
            yield Finding(FindingClass.DRIFT, ref, "restart", live=container["restart"], declared="no", note=note)
        elif not running and serves and source and source.services[container["service"]].running:
            yield Finding(FindingClass.DRIFT, ref, "state", live=container["state"], declared="running")
        elif container["health"] == "unhealthy":
            yield Finding(FindingClass.UNHEALTHY, ref, change=Change.STATE, live="docker's health check fails")
    there = {container["service"] for container in containers}
    for service in sorted(known.keys() - there) if here is not Phase.RETIRED else ():
        note = "docker compose create" if here is Phase.CLUSTER else "docker compose up --detach"
        yield Finding(
            FindingClass.UNHEALTHY,
            reference(project.name),
            f"services[{service}]",
            Change.STATE,
            live=f"{service} has no container any more",
            note=f"`{note}` in {project.settings.folder} makes it again",
        )


def _rules(project: DesiredProject, rules: Json, here: Phase) -> Iterator[Finding]:
    wanted = sorted(port.redirect for port in project.transfer.ports) if here is Phase.SHADOW else []
    there = sorted(rules["ports"])
    if there == wanted and (not wanted or len(rules["hooks"]) == 2):
        return
    note = "after a reboot: clients reach docker past nginx" if not there else ""
    yield Finding(
        FindingClass.DRIFT, reference(project.name), "rules", live=_told(there), declared=_told(wanted), note=note
    )


def _told(ports: list[list[Any]]) -> str:
    return ", ".join(f"{':'.join(map(str, [*address, old]))} to {new}" for old, new, *address in ports) or "none"


def _translated(project: DesiredProject, state: Json) -> Iterator[Finding]:
    """Where the translation is older than what is there: only reading it again helps."""
    source = project.settings.source
    if source is None:
        return
    note = f"read it again: `flowmaster compose {project.name}`"
    if state["journal"]["phase"] == Phase.CLUSTER:
        note = "the cluster's copy stays what it is; it counts for the way back alone"
    ref = reference(project.name)
    for path, sha in source.files.items():
        now = state["files"].get(path)
        if now != sha:
            live = "was edited since it was translated" if now else "is gone"
            yield Finding(
                FindingClass.STALE, ref, path, Change.STATE, live=f"{path} {live}", note=note, revision=now or ""
            )
    for container in state["containers"]:
        entry = source.services.get(container["service"])
        if entry is None:
            continue
        where = f"services[{container['service']}]"
        if entry.image and container["image"] != entry.image:
            text = f"{container['name']} runs {container['image'][:19]}, translated was {entry.image[:19]}"
            yield Finding(FindingClass.STALE, ref, f"{where}.image", Change.STATE, live=text, note=note)
        for name in sorted(_other_variables(project, entry, container)):
            text = f"{container['name']} has another {name} than was translated"
            path = f"{where}.environment[{name}]"
            yield Finding(FindingClass.STALE, ref, path, Change.STATE, live=text, note=note)


def _other_variables(project: DesiredProject, entry: ComposeService, container: Json) -> set[str]:
    """Names only: what they are may be secret."""
    live = {name: value for name, _, value in (str(line).partition("=") for line in container["env"])}
    wanted = entry.keys.get("environment") or {}
    differing = {name for name in container.get("added") or () if name not in wanted}
    for name, value in wanted.items() if isinstance(wanted, Mapping) else ():
        if isinstance(value, Mapping):
            kept = project.settings.sealed.get(str(value.get(SEALED)))
            expected = kept.get_secret_value() if kept is not None else None
        else:
            expected = None if value is None else str(value)
        if live.get(name) != expected and not (expected is None and name not in live):
            differing.add(name)
    return differing


def _front(
    project: DesiredProject, host: HostState, addresses: Mapping[str, str], applied: Mapping[str, str], masker: Masker
) -> Iterator[Finding]:
    """The ports as nginx serves them."""
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
        yield of_difference(ref, difference, file, masker, difference.cls or FindingClass.DRIFT)
