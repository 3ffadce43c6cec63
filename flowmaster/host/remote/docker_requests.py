"""What may be asked about a compose project, each by its name."""

from __future__ import annotations

import importlib

from flowmaster.host.remote.common import Json, Refused

_READING: dict[str, tuple[str, str]] = {
    "read": ("docker", "project"),
    "smoke": ("docker_steps", "smoke"),
    "room": ("docker_volumes", "room"),
    "compare": ("docker_volumes", "compare"),
}
"""Where a request is carried out: the module of this package, which is on the server only where it is needed."""
_WORKING: dict[str, tuple[str, str]] = {
    "push": ("docker_steps", "push"),
    "prepare": ("docker_volumes", "prepare"),
    "copy": ("docker_volumes", "copy"),
    "swap": ("docker_volumes", "swap"),
    "stop": ("docker_steps", "stop"),
    "start": ("docker_steps", "start"),
    "create": ("docker_steps", "create"),
    "remove": ("docker_steps", "remove"),
    "archive": ("docker_steps", "archive"),
    "redirect": ("docker_steps", "redirect"),
    "drained": ("docker_steps", "drained"),
}


def carry_out(request: Json) -> Json:
    """Do what is asked and answer. What changes anything is done for a run, and by one at a time."""
    do = request["do"]
    if do == "journal":
        from flowmaster.host.remote.docker_journal import journal

        return journal(request)
    if do == "state":
        return state(request)
    if do in _READING:
        return _answer(*_READING[do], request)
    if do in _WORKING:
        from flowmaster.host.remote.docker_journal import working

        with working(request):
            return _answer(*_WORKING[do], request)
    raise Refused("request", f"unknown request {do} about a compose project")


def place(do: str) -> str:
    """The module in which a request is carried out, so that no other one need be there. Pure."""
    if do == "journal":
        return "docker_journal"
    return {**_READING, **_WORKING}.get(do, ("", ""))[0]


def _answer(module: str, function: str, request: Json) -> Json:
    found: Json = getattr(importlib.import_module(f"flowmaster.host.remote.{module}"), function)(request)
    return found


def state(request: Json) -> Json:
    """How a project is: its journal, its containers, its files' hashes and its rules. Changes nothing; holds secrets.

    What cannot be told is a text under `problem`.
    """
    from flowmaster.host.remote import docker, docker_journal, docker_steps

    project, answer = str(request["project"]), {"problem": ""}
    found: Json = {**answer, "journal": docker_journal.load(project), "rules": docker_steps.rules(project)}
    found["files"] = docker.hashes(str(request["folder"]))
    try:
        images: Json = {}
        found["containers"] = [_container(each, images) for each in docker.containers(project)]
    except Refused as err:
        found.update(containers=[], problem=err.words)
    return found


def _container(found: Json, images: Json) -> Json:
    from flowmaster.host.remote import docker

    config, identity = found["Config"], str(found["Image"])
    if identity not in images:
        images[identity] = docker.api("GET", f"/images/{identity}/json", missing=True) or {}
    usual = set((images[identity].get("Config") or {}).get("Env") or ())
    return {
        "added": [line.partition("=")[0] for line in config.get("Env") or () if images[identity] and line not in usual],
        "name": str(found["Name"]).lstrip("/"),
        "service": docker.service(found),
        "id": found["Id"],
        "image": found["Image"],
        "reference": config["Image"],
        "env": config.get("Env") or [],
        "command": config.get("Cmd"),
        "state": found["State"]["Status"],
        "health": (found["State"].get("Health") or {}).get("Status", ""),
        "started": found["State"]["StartedAt"],
        "restart": found["HostConfig"]["RestartPolicy"]["Name"],
    }
