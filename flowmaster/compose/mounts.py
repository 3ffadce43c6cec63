"""The mounts of a project's containers, and the path of each mount's data on the server. Pure."""

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
    """A compose project that cannot be read in its current state."""


@dataclass
class ProjectSnapshot:
    """What was read of a project on the server, and the volumes and notes derived so far."""

    config: Json
    docker_volumes: Mapping[str, Json]
    """Docker's volumes by name, and bind-mounted folders by path."""
    images: Mapping[str, Json | None]
    volumes: dict[str, ComposeVolume] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def section(self, name: str) -> Json:
        """Return a top-level mapping of the compose file."""
        return self.config.get(name) or {}

    def note(self, text: str) -> None:
        """Note a difference between the file and what runs."""
        self.notes[text] = None


def mounts_of(snapshot: ProjectSnapshot, name: str, keys: Json, containers: list[Json]) -> list[Json]:
    """Return the service's mounts as its containers have them, and record the path of their data."""
    there = {str(mount["Destination"]): mount for mount in containers[0].get("Mounts") or ()}
    entries = []
    for entry in keys.get("volumes") or ():
        mount = there.pop(str(entry.get("target")), None)
        if entry.get("type") not in ("volume", "bind"):
            entries.append(entry)
        elif mount is None:
            snapshot.note(f"{name}.volumes: {entry.get('target')} is in the file but not mounted; using what runs")
        else:
            entries.append(_with_source(snapshot, name, entry, mount))
    for target in _file_targets(keys):
        there.pop(target, None)
    for target, mount in sorted(there.items()):
        if mount.get("Type") not in ("volume", "bind"):
            continue
        if mount["Type"] == "bind" or not is_anonymous(str(mount.get("Name"))):
            snapshot.note(f"{name}.volumes: {target} is mounted but not in the file; using what runs")
        entry = {"type": mount["Type"], "target": target, **({} if mount.get("RW", True) else {"read_only": True})}
        entries.append(_with_source(snapshot, name, entry, mount))
    own = [entry["target"] for entry in entries if str(entry.get("source", "")).startswith(f"{name}-")]
    if len(containers) > 1 and any(anonymous_name(name, target) in snapshot.volumes for target in own):
        raise SourceError(
            f"service {name} has {len(containers)} containers, each with its own data at {own[0]}",
            "in the cluster they would share one volume",
            "give it a named volume, or scale it to 1 first",
        )
    return entries


def _with_source(snapshot: ProjectSnapshot, name: str, entry: Json, mount: Json) -> Json:
    docker = str(mount.get("Name") or mount.get("Source"))
    if mount.get("Type") == "bind":
        source = str(mount["Source"])
        snapshot.volumes[source] = _volume(snapshot.docker_volumes.get(source), source, {})
        return {**entry, "source": source}
    named = {str((v or {}).get("name") or k): k for k, v in snapshot.section("volumes").items()}
    source = named.get(docker) or (anonymous_name(name, entry["target"]) if is_anonymous(docker) else docker)
    keys = snapshot.section("volumes").get(source) or {}
    snapshot.volumes[source] = _volume(snapshot.docker_volumes.get(docker), str(mount.get("Source") or ""), keys)
    return {**entry, "source": source}


def record_declared_volumes(snapshot: ProjectSnapshot, keys: Json) -> None:
    """Record the volumes of a service without containers, if docker has them."""
    for entry in keys.get("volumes") or ():
        source = str(entry.get("source") or "")
        named = snapshot.section("volumes").get(source) or {}
        volume = snapshot.docker_volumes.get(str(named.get("name") or source))
        if volume is not None and source not in snapshot.volumes:
            snapshot.volumes[source] = _volume(volume, str(volume["Mountpoint"]), named)


def record_file_mounts(snapshot: ProjectSnapshot) -> None:
    """Record the files behind configs and secrets, which docker compose bind-mounts."""
    for kind in ("configs", "secrets"):
        for entry in snapshot.section(kind).values():
            path = str((entry or {}).get("file") or "")
            if path in snapshot.docker_volumes:
                snapshot.volumes[path] = _volume(snapshot.docker_volumes[path], path, {})


def _file_targets(keys: Json) -> list[str]:
    found = []
    for kind, folder in (("configs", "/"), ("secrets", "/run/secrets/")):
        for entry in keys.get(kind) or ():
            target = str(entry.get("target") or entry["source"])
            found.append(target if target.startswith("/") else folder + target)
    return found


def _volume(facts: Json | None, path: str, keys: Json) -> ComposeVolume:
    """Locate a volume's data. A local volume may be a bind mount of a folder, mounted only while in use."""
    given = facts or {}
    options = given.get("Options") or {}
    bound = options.get("device") if "bind" in str(options.get("o", "")).split(",") else None
    place = str(bound or given.get("Mountpoint") or path)
    kind = "directory" if given.get("directory", True) or not given.get("exists", True) else "file"
    if place.endswith(".sock"):
        kind = "socket"
    if (keys.get("driver_opts") or options) and not bound:
        # the volume is refused later; options for reaching a file server may hold a secret
        keys = {**keys, "driver_opts": dict.fromkeys(sorted({*(keys.get("driver_opts") or ()), *options}), _HIDDEN)}
    if given.get("Driver", "local") != "local":
        keys = {**keys, "driver": given["Driver"]}
    return ComposeVolume.model_validate(
        {"path": place, "kind": kind, "bytes": given.get("bytes"), "keys": {k: v for k, v in keys.items() if v}}
    )
