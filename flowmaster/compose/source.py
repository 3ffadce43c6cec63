"""What was read of a compose project on the server, as the source that a stack keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.compose import ComposeService, ComposeSource
from config.load import validate
from flowmaster.compose.inline_secrets import seal
from flowmaster.compose.mounts import Read, SourceError, behind_files, declared, mounts
from flowmaster.compose.result import Surroundings
from flowmaster.compose.running_containers import what_runs

__all__ = ["SourceError", "plain", "read_source"]

Json = dict[str, Any]
SERVICE, ONE_OFF = "com.docker.compose.service", "com.docker.compose.oneoff"


def read_source(
    compose_config: Mapping[str, Any],
    inspected: Sequence[Json],
    volumes: Sequence[Json],
    files: Mapping[str, str],
    images: Mapping[str, Json | None] | None = None,
    surroundings: Surroundings | None = None,
) -> tuple[ComposeSource, dict[str, str], tuple[str, ...]]:
    """The source, the secrets that it only names, and what is to be told.

    :param compose_config: `docker compose config --format json`.
    :param inspected: `docker inspect` of every container of the project.
    :param volumes: `docker volume inspect`, and what is bound from the server's own folders (:mod:`.host.docker`).
    :param files: SHA-256 of the compose file and its env files, by path.
    :param images: `docker image inspect` by id; None for one that is gone.
    :param surroundings: what is written down with it: the node's address, ExternalName services, and by the registry
        the digests of images that it has.
    :raises SourceError: for a container that the file does not know, a service that no container runs, an image gone.
    """
    read = Read(plain(dict(compose_config)), {str(volume["Name"]): volume for volume in volumes}, images or {})
    containers = _by_service(read, inspected)
    keys: dict[str, Json] = {}
    for name, given in sorted(read.part("services").items()):
        keys[name] = {key: value if not key.startswith("x-") else True for key, value in given.items()}
        if containers[name]:
            image = read.images.get(str(containers[name][0]["Image"]))
            keys[name] = what_runs(name, keys[name], containers[name], image, read.tell)
            keys[name]["volumes"] = mounts(read, name, keys[name], containers[name])
        else:
            declared(read, keys[name])
    behind_files(read)
    sealed, configs, secrets = seal(keys, read.part("configs"))
    registry = surroundings.registry if surroundings else ""
    address = surroundings.node_address if surroundings else ""
    source = {
        "files": dict(sorted(files.items())),
        **({"nodeAddress": address} if address else {}),
        "externalHosts": dict(sorted(surroundings.external_hosts.items())) if surroundings else {},
        "services": {n: _service(read, n, entry, containers[n], registry) for n, entry in sealed.items()},
        "volumes": dict(sorted(read.found.items())),
        "networks": {name: entry or {} for name, entry in sorted(read.part("networks").items())},
        "configs": configs,
        "secrets": read.part("secrets"),
        "other": sorted(set(read.config) - {"services", "volumes", "networks", "configs", "secrets", "name"}),
    }
    return validate(ComposeSource, source, f"compose project {read.config.get('name', '')}"), secrets, tuple(read.told)


def plain(value: Any) -> Any:
    """`docker compose config` writes ``$$`` for a dollar, so that it can be read again. Here it is one."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def _by_service(read: Read, inspected: Sequence[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {name: [] for name in read.part("services")}
    for container in sorted(inspected, key=lambda each: str(each["Name"])):
        labels = container["Config"].get("Labels") or {}
        name, called = str(labels.get(SERVICE, "")), str(container["Name"]).lstrip("/")
        if str(labels.get(ONE_OFF, "")).lower() == "true":
            read.tell(f"container {called} is a single run of {name}, and is left alone")
        elif name not in found:
            raise SourceError(
                f"container {called} is of service {name or 'none'}, which is not in the compose file",
                "what runs and what is written would part: it would be left behind",
                f"put it into the file, or remove it (docker rm -f {called})",
            )
        else:
            found[name].append(container)
    for name, given in read.part("services").items():
        if not found[name] and _wanted(given):
            raise SourceError(
                f"service {name} is in the compose file, and no container of it is there",
                "there is nothing to say what it runs",
                f"start it (docker compose up -d {name}), or take it out of the file",
            )
        if len({each["Image"] for each in found[name]}) > 1:
            raise SourceError(
                f"the containers of service {name} run different images",
                "in the cluster all of them run the same",
                f"renew them first (docker compose up -d {name})",
            )
    return found


def _wanted(given: Json) -> int:
    replicas = (given.get("deploy") or {}).get("replicas", given.get("scale", 1))
    return int(1 if replicas is None else replicas)


def _service(read: Read, name: str, keys: Json, containers: list[Json], registry: str) -> ComposeService:
    if not containers:
        return ComposeService(keys=keys, running=False)
    identity = str(containers[0]["Image"])
    if identity in read.images and read.images[identity] is None:
        raise SourceError(
            f"service {name} runs image {identity[:19]}, which docker has no more",
            "it cannot be brought into the cluster's registry",
            f"pull or build it, and renew the container (docker compose up -d {name})",
        )
    digests = [str(entry) for entry in (read.images.get(identity) or {}).get("RepoDigests") or ()]
    digest = next((entry.partition("@")[2] for entry in sorted(digests) if entry.startswith(f"{registry}/")), None)
    return ComposeService(
        keys=keys,
        containers=tuple(str(each["Name"]).lstrip("/") for each in containers),
        running=any((each.get("State") or {}).get("Status") in ("running", "restarting") for each in containers),
        image=identity,
        digest=digest if registry else None,
    )
