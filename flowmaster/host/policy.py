"""Refuses what this project must never touch. Checked before each request to the server, and for each resource.

Plane runs beside FlowMaster on the same server and is none of its business: its files, its containers, its ports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowmaster.host import site_policy
from flowmaster.host.errors import PolicyError
from flowmaster.host.site_policy import PLANE_NAME, PLANE_PATH, PLANE_PORTS

WRITABLE = re.compile(r"/etc/nginx/(sites-enabled|sites-available)/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""Every file on the server that may be written: the sites, and nothing else."""
SITE = "pulumi-python:dynamic/flowmaster:NginxSite"
"""The type of a site as a resource."""
VERBS = frozenset({"read", "ports", "check", "change", "compose"})
"""Everything that may be asked of the server."""
_READING = ("read", "state", "smoke", "room", "compare")
_CHANGING = ("push", "prepare", "copy", "swap", "stop", "start", "create", "remove", "archive", "redirect", "drained")
COMPOSE = frozenset({*_READING, *_CHANGING, "journal"})
"""Everything that may be asked about a compose project."""

_SYSTEM = ("/bin/", "/boot/", "/dev/", "/etc/", "/lib", "/proc/", "/root/", "/run/", "/sbin/", "/sys/", "/usr/")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_FOLDER = re.compile(r"/(?:opt|srv|home)/[A-Za-z0-9][\w./-]*")
_HOST_PORTS = frozenset({"hostPort", "nodePort", "host_port", "node_port"})


def check_site(name: str, content: str | None) -> None:
    """Refuse a site that is not ours to write, or that touches what is Plane's.

    :raises PolicyError: naming what it is.
    """
    path = f"/etc/nginx/sites-enabled/{name}"
    if not WRITABLE.fullmatch(path):
        raise _refused(f"the file {path}", "only sites of nginx with plain names are written on the server")
    if "plane" in name.lower():
        raise _refused(f"the site {name}", "Plane's sites are its own")
    if content is not None:
        site_policy.check(name, content)


def check_request(request: Mapping[str, Any]) -> None:
    """Refuse a request to the server that is not among those this project makes.

    :raises PolicyError: naming what it is.
    """
    verb = request.get("verb")
    if verb not in VERBS:
        raise _refused(f"the request {verb!r}", f"the server is asked for nothing but {', '.join(sorted(VERBS))}")
    if verb == "change":
        check_site(str(request["name"]), request["content"])
    if verb == "compose":
        check_compose(request)


def check_compose(request: Mapping[str, Any]) -> None:
    """Refuse a request about a compose project that is not among those this project makes, or not about its own.

    :raises PolicyError: naming what it is.
    """
    do, project = request.get("do"), str(request.get("project", ""))
    if do not in COMPOSE:
        raise _refused(f"the request compose {do!r}", f"known are {', '.join(sorted(COMPOSE))}")
    if not _PROJECT.fullmatch(project):
        raise _refused(f"the compose project {project!r}", "a project has a plain name")
    if "plane" in project:
        raise _refused(f"the compose project {project}", "Plane's containers are its own")
    folder = str(request["folder"]) if "folder" in request else None
    if folder is not None:
        _check_folder(project, folder)
    for old, new, *_ in request.get("ports", ()):
        if {old, new} & PLANE_PORTS:
            raise _refused(f"{project}: port {old}", "Plane listens there")
    for volume in request.get("volumes", ()):
        _check_volume(project, folder, volume)


def _check_volume(project: str, folder: str | None, volume: Mapping[str, Any]) -> None:
    """One side of a volume is the project's in Docker or its folder, the other one the project's in the cluster."""
    for path in (str(volume[key]) for key in ("source", "target") if key in volume):
        if PLANE_PATH.search(path) or PLANE_NAME.search(path):
            raise _refused(f"{project}: {path}", "Plane's files are its own")
        if not path.startswith("/") or ".." in path.split("/"):
            raise _refused(f"{project}: {path}", "a volume has a plain absolute path")
    if "target" in volume and not may_write(project, folder, str(volume["target"])):
        raise _refused(
            f"{project}: writing to {volume['target']}",
            "data is written to Docker's volumes of the project, into its folder, and into its own storage",
        )


def may_write(project: str, folder: str | None, path: str) -> bool:
    """Whether a volume at this path is the project's own: Docker's of its name, in its folder, or in its storage."""
    own = (re.escape(f"{folder}/") + ".+",) if folder else ()
    names = rf"{re.escape(project)}_[\w.-]+|[0-9a-f]{{64}}"
    patterns = (rf"/var/lib/docker/volumes/(?:{names})/_data", rf"/(?:[\w.-]+/)+{re.escape(project)}/[\w.-]+", *own)
    return not path.startswith(_SYSTEM) and any(re.fullmatch(pattern, path) for pattern in patterns)


def _check_folder(project: str, folder: str) -> None:
    if PLANE_PATH.match(folder):
        raise _refused(f"{project}: the folder {folder}", "Plane's files are its own")
    if not _FOLDER.fullmatch(folder) or ".." in folder.split("/"):
        why = "a compose project lies in a folder of its own below /opt, /srv or /home"
        raise _refused(f"{project}: the folder {folder}", why)


def check_resource(kind: str, name: str, inputs: Mapping[str, Any], namespace: str) -> None:
    """Refuse a resource that names what is Plane's, another namespace, or a file that is not ours.

    :raises PolicyError: naming what it is.
    """
    if kind.startswith("kubernetes:"):
        _check_object(kind, name, inputs, namespace)
    if kind == SITE:
        # what is to be undone on the server, and what is asked of it, may name anything: only what is written counts,
        # and that is looked at once more when it is written, with every address in its place
        content = inputs.get("content")
        check_site(str(inputs.get("site")), content if isinstance(content, str) else None)
        return
    for where, value in _strings(inputs):
        if match := PLANE_PATH.search(value):
            raise _refused(f"{name}: {where}: {match[0]}", "Plane's files are its own")
        if kind.startswith(("command:", "pulumi-python:")) and (match := PLANE_NAME.search(value)):
            raise _refused(f"{name}: {where}: {match[0]}", "Plane's containers are its own")


def _check_object(kind: str, name: str, inputs: Mapping[str, Any], namespace: str) -> None:
    metadata = inputs.get("metadata")
    own = metadata.get("namespace") if isinstance(metadata, Mapping) else None
    if kind.endswith(":Namespace"):
        own = metadata.get("name") if isinstance(metadata, Mapping) else None
    if isinstance(own, str) and own != namespace:
        raise _refused(f"{name}: namespace {own}", f"the stack owns {namespace} alone")
    for where, key, value in _leaves(inputs):
        if key in _HOST_PORTS and value in PLANE_PORTS:
            raise _refused(f"{name}: {where}: port {value} of the server", "Plane listens there")


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    return ((where, leaf) for where, _, leaf in _leaves(value) if isinstance(leaf, str))


def _leaves(value: Any, where: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """Where each plain value stands, its key and itself. What is not known before the update is left out."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{where}.{name}" if where else str(name), str(name))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{where}[{index}]", key)
    elif isinstance(value, (str, int)):
        yield where, key, value


def _refused(what: str, why: str) -> PolicyError:
    return PolicyError(f"refused: {what}", why, "this project must never touch that: take it out of the configuration")
