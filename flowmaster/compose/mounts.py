"""What the containers of a project have mounted, and where on the server the data of each mount is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.compose import ComposeVolume
from config.errors import UserError
from flowmaster.compose.running_containers import anonymous_name, is_anonymous

Json = dict[str, Any]
_HIDDEN = "not kept"


class SourceError(UserError):
    """A compose project cannot be taken as it is."""


@dataclass
class Read:
    """What was read of a project, and what has been made of it so far."""

    config: Json
    listed: Mapping[str, Json]
    """Docker's volumes by name, and bound folders by path."""
    images: Mapping[str, Json | None]
    found: dict[str, ComposeVolume] = field(default_factory=dict)
    told: dict[str, None] = field(default_factory=dict)

    def part(self, name: str) -> Json:
        """A mapping at the top of the file."""
        return self.config.get(name) or {}

    def tell(self, text: str) -> None:
        """Something is not as the file says."""
        self.told[text] = None


def mounts(read: Read, name: str, keys: Json, containers: list[Json]) -> list[Json]:
    """The service's mounts as its containers have them, and where the data of each is."""
    there = {str(mount["Destination"]): mount for mount in containers[0].get("Mounts") or ()}
    entries = []
    for entry in keys.get("volumes") or ():
        mount = there.pop(str(entry.get("target")), None)
        if entry.get("type") not in ("volume", "bind"):
            entries.append(entry)
        elif mount is None:
            read.tell(f"{name}.volumes: {entry.get('target')} is in the file, and is not mounted; what runs is taken")
        else:
            entries.append(_with_source(read, name, entry, mount))
    for target in _file_targets(keys):
        there.pop(target, None)
    for target, mount in sorted(there.items()):
        if mount.get("Type") not in ("volume", "bind"):
            continue
        if mount["Type"] == "bind" or not is_anonymous(str(mount.get("Name"))):
            read.tell(f"{name}.volumes: {target} is mounted, and not in the file; what runs is taken")
        entry = {"type": mount["Type"], "target": target, **({} if mount.get("RW", True) else {"read_only": True})}
        entries.append(_with_source(read, name, entry, mount))
    own = [entry["target"] for entry in entries if str(entry.get("source", "")).startswith(f"{name}-")]
    if len(containers) > 1 and any(anonymous_name(name, target) in read.found for target in own):
        raise SourceError(
            f"service {name} has {len(containers)} containers, each with data of its own at {own[0]}",
            "in the cluster they would have the same",
            "give it a named volume, or scale it to 1 first",
        )
    return entries


def _with_source(read: Read, name: str, entry: Json, mount: Json) -> Json:
    docker = str(mount.get("Name") or mount.get("Source"))
    if mount.get("Type") == "bind":
        source = str(mount["Source"])
        read.found[source] = _volume(read.listed.get(source), source, {})
        return {**entry, "source": source}
    named = {str((v or {}).get("name") or k): k for k, v in read.part("volumes").items()}
    source = named.get(docker) or (anonymous_name(name, entry["target"]) if is_anonymous(docker) else docker)
    keys = read.part("volumes").get(source) or {}
    read.found[source] = _volume(read.listed.get(docker), str(mount.get("Source") or ""), keys)
    return {**entry, "source": source}


def declared(read: Read, keys: Json) -> None:
    """Those of a service that no container runs, where docker has them."""
    for entry in keys.get("volumes") or ():
        source = str(entry.get("source") or "")
        named = read.part("volumes").get(source) or {}
        volume = read.listed.get(str(named.get("name") or source))
        if volume is not None and source not in read.found:
            read.found[source] = _volume(volume, str(volume["Mountpoint"]), named)


def behind_files(read: Read) -> None:
    """Files behind configs and secrets: docker compose mounts them as they are."""
    for kind in ("configs", "secrets"):
        for entry in read.part(kind).values():
            path = str((entry or {}).get("file") or "")
            if path in read.listed:
                read.found[path] = _volume(read.listed[path], path, {})


def _file_targets(keys: Json) -> list[str]:
    found = []
    for kind, folder in (("configs", "/"), ("secrets", "/run/secrets/")):
        for entry in keys.get(kind) or ():
            target = str(entry.get("target") or entry["source"])
            found.append(target if target.startswith("/") else folder + target)
    return found


def _volume(facts: Json | None, path: str, keys: Json) -> ComposeVolume:
    """Where its data is. A local volume may be another name for a folder, mounted only while somebody uses it."""
    given = facts or {}
    options = given.get("Options") or {}
    bound = options.get("device") if "bind" in str(options.get("o", "")).split(",") else None
    place = str(bound or given.get("Mountpoint") or path)
    kind = "directory" if given.get("directory", True) or not given.get("exists", True) else "file"
    if place.endswith(".sock"):
        kind = "socket"
    if (keys.get("driver_opts") or options) and not bound:
        # refused later, and what it takes to reach a file server may be secret
        keys = {**keys, "driver_opts": dict.fromkeys(sorted({*(keys.get("driver_opts") or ()), *options}), _HIDDEN)}
    if given.get("Driver", "local") != "local":
        keys = {**keys, "driver": given["Driver"]}
    return ComposeVolume.model_validate(
        {"path": place, "kind": kind, "bytes": given.get("bytes"), "keys": {k: v for k, v in keys.items() if v}}
    )
