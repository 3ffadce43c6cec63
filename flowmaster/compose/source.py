"""Builds the `source` of a compose project in the stack from what was read on the server. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.compose import ComposeService, ComposeSource
from config.load import validate
from flowmaster.compose.inline_secrets import take_out_secrets
from flowmaster.compose.mounts import (
    ProjectSnapshot,
    SourceError,
    mounts_of,
    record_declared_volumes,
    record_file_mounts,
)
from flowmaster.compose.result import Target
from flowmaster.compose.running_containers import merge_running_state

__all__ = ["SourceError", "read_source", "unescape_dollars"]

Json = dict[str, Any]
SERVICE, ONE_OFF = "com.docker.compose.service", "com.docker.compose.oneoff"


def read_source(
    compose_config: Mapping[str, Any],
    inspected: Sequence[Json],
    volumes: Sequence[Json],
    files: Mapping[str, str],
    images: Mapping[str, Json | None] | None = None,
    target: Target | None = None,
) -> tuple[ComposeSource, dict[str, str], tuple[str, ...]]:
    """Return the source, its secrets by sealed key, and notes for the user.

    :param compose_config: `docker compose config --format json`.
    :param inspected: `docker inspect` of every container of the project.
    :param volumes: `docker volume inspect`, and bind mounts (:func:`flowmaster.host.docker.read_project`).
    :param files: SHA-256 of the compose file and its env files, by path.
    :param images: `docker image inspect` by id; None for an image that no longer exists.
    :param target: the cluster that the project moves to. The source records its address, ExternalName services
        and the digests of images that its registry already has.
    :raises SourceError: for a container that is not in the file, a service without a container, or a missing image.
    """
    snapshot = ProjectSnapshot(
        unescape_dollars(dict(compose_config)), {str(volume["Name"]): volume for volume in volumes}, images or {}
    )
    containers = _containers_by_service(snapshot, inspected)
    keys: dict[str, Json] = {}
    for name, given in sorted(snapshot.section("services").items()):
        keys[name] = {key: value if not key.startswith("x-") else True for key, value in given.items()}
        if containers[name]:
            image = snapshot.images.get(str(containers[name][0]["Image"]))
            keys[name] = merge_running_state(name, keys[name], containers[name], image, snapshot.note)
            keys[name]["volumes"] = mounts_of(snapshot, name, keys[name], containers[name])
        else:
            record_declared_volumes(snapshot, keys[name])
    record_file_mounts(snapshot)
    sealed, configs, secrets = take_out_secrets(keys, snapshot.section("configs"))
    registry = target.registry if target else ""
    address = target.node_address if target else ""
    source = {
        "files": dict(sorted(files.items())),
        **({"nodeAddress": address} if address else {}),
        "externalHosts": dict(sorted(target.external_hosts.items())) if target else {},
        "services": {n: _service(snapshot, n, entry, containers[n], registry) for n, entry in sealed.items()},
        "volumes": dict(sorted(snapshot.volumes.items())),
        "networks": {name: entry or {} for name, entry in sorted(snapshot.section("networks").items())},
        "configs": configs,
        "secrets": snapshot.section("secrets"),
        "other": sorted(set(snapshot.config) - {"services", "volumes", "networks", "configs", "secrets", "name"}),
    }
    return (
        validate(ComposeSource, source, f"compose project {snapshot.config.get('name', '')}"),
        secrets,
        tuple(snapshot.notes),
    )


def unescape_dollars(value: Any) -> Any:
    """Replace ``$$``, with which `docker compose config` escapes a dollar, by ``$``."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {name: unescape_dollars(part) for name, part in value.items()}
    return [unescape_dollars(part) for part in value] if isinstance(value, list) else value


def _containers_by_service(snapshot: ProjectSnapshot, inspected: Sequence[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {name: [] for name in snapshot.section("services")}
    for container in sorted(inspected, key=lambda each: str(each["Name"])):
        labels = container["Config"].get("Labels") or {}
        name, called = str(labels.get(SERVICE, "")), str(container["Name"]).lstrip("/")
        if str(labels.get(ONE_OFF, "")).lower() == "true":
            snapshot.note(f"container {called} is a one-off run of {name} and is ignored")
        elif name not in found:
            raise SourceError(
                f"container {called} belongs to service {name or 'none'}, which is not in the compose file",
                "the container would stay behind when the project moves",
                f"add the service to the file, or remove the container (docker rm -f {called})",
            )
        else:
            found[name].append(container)
    for name, given in snapshot.section("services").items():
        if not found[name] and _replicas(given):
            raise SourceError(
                f"service {name} is in the compose file but has no container",
                "it is unknown which image and settings it runs with",
                f"start it (docker compose up -d {name}), or remove it from the file",
            )
        if len({each["Image"] for each in found[name]}) > 1:
            raise SourceError(
                f"the containers of service {name} run different images",
                "in the cluster all replicas run the same image",
                f"recreate them first (docker compose up -d {name})",
            )
    return found


def _replicas(given: Json) -> int:
    replicas = (given.get("deploy") or {}).get("replicas", given.get("scale", 1))
    return int(1 if replicas is None else replicas)


def _service(snapshot: ProjectSnapshot, name: str, keys: Json, containers: list[Json], registry: str) -> ComposeService:
    if not containers:
        return ComposeService(keys=keys, running=False)
    identity = str(containers[0]["Image"])
    if identity in snapshot.images and snapshot.images[identity] is None:
        raise SourceError(
            f"service {name} runs image {identity[:19]}, which docker no longer has",
            "it cannot be pushed to the cluster's registry",
            f"pull or build it, and recreate the container (docker compose up -d {name})",
        )
    digests = [str(entry) for entry in (snapshot.images.get(identity) or {}).get("RepoDigests") or ()]
    digest = next((entry.partition("@")[2] for entry in sorted(digests) if entry.startswith(f"{registry}/")), None)
    return ComposeService(
        keys=keys,
        containers=tuple(str(each["Name"]).lstrip("/") for each in containers),
        running=any((each.get("State") or {}).get("Status") in ("running", "restarting") for each in containers),
        image=identity,
        digest=digest if registry else None,
    )
