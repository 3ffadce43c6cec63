"""Volumes, bind mounts, memory, configs, secrets and logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

from config.compose import ComposeVolume
from flowmaster.compose.context import Context, ServiceBuilder
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Volume
from flowmaster.compose.units import UnitError, quantity, size, slug

_SYSTEM_PATHS = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var/lib/docker", "/var/lib/kubelet",
                  "/var/lib/rancher", "/var/run")  # fmt: skip
_TOO_BROAD_PATHS = frozenset(
    {"/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/log"}  # noqa: S108
)
_TIMEZONE_FILES = frozenset({"/etc/localtime", "/etc/timezone"})
"""Files of the server that containers mount for their time zone."""
_SHM = "/dev/shm"  # noqa: S108  a mount point


@key(
    "volumes",
    "named, anonymous and bind: PersistentVolumeClaims with a copy of the data, owner and mode kept; `tmpfs`: "
    "in-memory `emptyDir`; `/etc/localtime` and `/etc/timezone`, read-only: those of the node",
    "the docker socket and other system paths; nested paths; propagation; other types",
)
def volumes(builder: ServiceBuilder, value: Any) -> None:
    """Mounts, in the long form of `docker compose config`."""
    for number, given in enumerate(value):
        keys = Keys(builder.coverage, builder.keys.path_of(f"volumes[{number}]"), given)
        kind, target = str(keys.pop("type") or ""), str(keys.pop("target", "mountPath") or "")
        builder.coverage.record(keys.path_of("type"), kind)
        keys.pop("consistency", "nothing: it concerns docker on macOS")
        read_only = bool(keys.pop("read_only", "readOnly"))
        if kind == "tmpfs":
            _tmpfs_volume(builder, keys, target)
        elif kind in ("volume", "bind"):
            _mount_volume(builder, keys, kind, target, read_only)
        else:
            keys.refuse("type", f"{kind!r} cannot be mounted by a pod", "use a volume or a bind mount")
        if kind not in ("tmpfs", "volume", "bind"):
            for name in list(keys):
                keys.pop(name, "nothing: its type is refused")
        for name in ("bind", "volume", "tmpfs", "image"):
            if keys.get(name) == {}:
                keys.pop(name, "nothing: it is empty")
        keys.refuse_remaining()
    builder.record("volumes", "volumes and volumeMounts")


def _mount_volume(builder: ServiceBuilder, keys: Keys, kind: str, target: str, read_only: bool) -> None:
    source = str(keys.pop("source") or "")
    mount: dict[str, Any] = {"mountPath": target}
    if read_only:
        mount["readOnly"] = True
    if kind == "bind":
        inner = keys.pop_mapping("bind")
        inner.pop("create_host_path", "nothing: the path exists, since it is copied")
        if inner.pop("selinux", "nothing: the copy keeps its attributes"):
            builder.note(f"{target}: SELinux labels are copied unchanged")
        for name in ("propagation", "recursive"):
            if name in inner:
                inner.refuse(name, "nested mounts are not part of the copy", "remove it")
        inner.refuse_remaining()
        if source in _TIMEZONE_FILES:
            _mount_timezone_file(builder, keys, source, mount)
            return
    else:
        inner = keys.pop_mapping("volume")
        inner.pop("nocopy", "nothing: the data exists already")
        inner.pop("labels", "nothing: labels of docker's volume")
        if subpath := inner.pop("subpath", "subPath"):
            mount["subPath"] = str(subpath)
        inner.refuse_remaining()
    volume = use_volume(builder, keys.path_of("source"), source, read_only)
    if volume is not None:
        _mount(builder, volume.name, {"persistentVolumeClaim": {"claimName": volume.claim}}, mount)
        builder.coverage.record(keys.path_of("source"), f"PersistentVolumeClaim {volume.claim}")


def _mount_timezone_file(builder: ServiceBuilder, keys: Keys, source: str, mount: dict[str, Any]) -> None:
    _mount(builder, slug(source), {"hostPath": {"path": source, "type": "File"}}, {**mount, "readOnly": True})
    builder.coverage.record(keys.path_of("source"), "hostPath: the node's file, read-only")


def use_volume(builder: ServiceBuilder, path: str, source: str, read_only: bool) -> Volume | None:
    """Return the project's volume for a source, and add this service to it; None if it is refused."""
    context = builder.context
    entry = context.source.volumes.get(source)
    if entry is None:
        builder.coverage.refuse(path, f"{source or 'an anonymous volume'}: docker has no such volume or path",
                            "start the project, so that docker creates it, and read the project again")  # fmt: skip
        return None
    if not _allowed(builder, path, source, entry):
        return None
    name = volume_name(context, source)
    before = context.volumes.get(source)
    storage = context.settings.storage
    builder.writes = builder.writes or not read_only
    kind: Literal["directory", "file"] = "file" if entry.kind == "file" else "directory"
    if kind == "file" and storage.storage_class:
        builder.coverage.refuse(path, f"{source} is a file, but storage classes provide folders", "mount its folder")
        return None
    context.volumes[source] = Volume(
        name=name,
        source_path=entry.path,
        target_path="" if storage.storage_class else f"{storage.path.rstrip('/')}/{context.project}/{name}",
        services=tuple(sorted({*(before.services if before else ()), builder.name})),
        read_only=read_only and (before is None or before.read_only),
        kind=kind,
        claim=slug(f"{context.project}-{name}"),
    )
    return context.volumes[source]


def _allowed(builder: ServiceBuilder, path: str, source: str, entry: ComposeVolume) -> bool:
    place = entry.path.rstrip("/") or "/"
    own = not source.startswith("/")
    reason = ""
    if entry.kind in ("socket", "other"):
        reason = f"{place} is neither a file nor a folder"
    elif not own and (place in _TOO_BROAD_PATHS or any(f"{place}/".startswith(f"{part}/") for part in _SYSTEM_PATHS)):
        reason = f"{place} is a system path of the server, of which a copy is useless"
    if reason:
        builder.coverage.refuse(path, reason, "remove it, and replace what the service needs it for")
        return False
    for name, other in builder.context.source.volumes.items():
        there = other.path.rstrip("/")
        if name != source and (f"{place}/".startswith(f"{there}/") or f"{there}/".startswith(f"{place}/")):
            builder.coverage.refuse(
                path,
                f"{place} and {there} are nested: their copies would diverge",
                "mount the outer one everywhere, or move one of them",
            )
            return False
    return True


def volume_name(context: Context, source: str) -> str:
    """Return a volume's name in the cluster, with a hash if two volumes would have the same name."""
    return _distinct(source, context.source.volumes)


def _distinct(source: str, all_of_them: Iterable[str]) -> str:
    """A name as a DNS label, with a hash if another one of them would have the same."""
    name = slug(source)
    return _hashed(name, source) if sum(slug(other) == name for other in all_of_them) > 1 else name


def _hashed(name: str, source: str) -> str:
    return f"{name[:54].rstrip('-')}-{hashlib.sha256(source.encode()).hexdigest()[:6]}"


def _mount(builder: ServiceBuilder, name: str, source: dict[str, Any], mount: dict[str, Any]) -> None:
    volume = {"name": name, **source}
    if any(other["name"] == name and other != volume for other in builder.volumes):
        volume["name"] = _hashed(name, json.dumps(source, sort_keys=True))
    if volume not in builder.volumes:
        builder.volumes.append(volume)
    builder.mounts.append({"name": volume["name"], **mount})


def _mount_memory(builder: ServiceBuilder, target: str, limit: int | None, read_only: bool = False) -> None:
    source: dict[str, Any] = {"medium": "Memory"}
    if limit:
        source["sizeLimit"] = quantity(limit)
    mount: dict[str, Any] = {"mountPath": target}
    if read_only:
        mount["readOnly"] = True
    name = f"memory-{slug(target)}"[:63].rstrip("-")
    if any(other["name"] == name and other["mountPath"] != target for other in builder.mounts):
        name = _hashed(name, target)
    _mount(builder, name, {"emptyDir": source}, mount)


def _tmpfs_volume(builder: ServiceBuilder, keys: Keys, target: str) -> None:
    inner = keys.pop_mapping("tmpfs")
    limit = inner.pop("size", "sizeLimit")
    if inner.pop("mode", "nothing: it is writable for everybody") is not None:
        builder.note(f"{target}: the mode of the in-memory folder is 0777 in a pod")
    inner.refuse_remaining()
    keys.pop("source", "nothing: a tmpfs has no source")
    _mount_memory(builder, target, size(limit) if limit is not None else None)


@key("tmpfs", "`emptyDir` in memory, of that size; its mode is 0777", "`uid` and `gid`; unknown options")
def tmpfs(builder: ServiceBuilder, value: Any) -> None:
    """In-memory folders."""
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        target, _, options = str(entry).partition(":")
        limit: int | None = None
        read_only = False
        for option in filter(None, options.split(",")):
            name, _, setting = option.partition("=")
            try:
                limit = size(setting) if name == "size" else limit
            except UnitError as err:
                builder.refuse(f"tmpfs[{number}]", str(err), "write a size such as 64m")
            read_only = read_only or name == "ro"
            if name == "mode":
                builder.note(f"{target}: the mode of the in-memory folder is 0777 in a pod")
            elif name in ("noexec", "nosuid", "nodev"):
                builder.note(f"{target}: an in-memory folder has no {name} in a pod")
            elif name not in ("size", "ro", "rw", "exec", "suid", "dev"):
                builder.refuse(
                    f"tmpfs[{number}]", f"{option}: an in-memory folder of a pod has no such option", "remove it"
                )
        _mount_memory(builder, target, limit, read_only)
    builder.record("tmpfs", "emptyDir in memory")


@key("shm_size", f"`emptyDir` in memory at `{_SHM}`, of that size; 64 MiB by default, in docker and here")
def shm_size(builder: ServiceBuilder, value: Any) -> None:
    """Size of the shared memory."""
    _mount_memory(builder, _SHM, size(value))
    builder.record("shm_size", f"emptyDir in memory at {_SHM}")


@key("configs", "inline: a ConfigMap; from a file: a volume of that file, copied", "external ones; `uid` and `gid`")
def configs(builder: ServiceBuilder, value: Any) -> None:
    """Config files."""
    for number, given in enumerate(value):
        keys = Keys(builder.coverage, builder.keys.path_of(f"configs[{number}]"), given)
        source = str(keys.pop("source"))
        entry = builder.context.source.configs.get(source, {})
        target = str(keys.pop("target", "mountPath") or f"/{source}")
        text = entry.get("content")
        if isinstance(text, str):
            _mount_inline_config(builder, keys, source, target, text)
        else:
            _mount_file(builder, keys, source, target, entry)
        keys.refuse_remaining()
    builder.record("configs", "files in the pod")


def _mount_inline_config(builder: ServiceBuilder, keys: Keys, source: str, target: str, text: str) -> None:
    key = _distinct(source, builder.context.source.configs)
    item: dict[str, Any] = {"key": key, "path": key}
    mode = keys.pop("mode", "mode of the file")
    item["mode"] = int(str(mode), 8) if isinstance(mode, str) else int(mode if mode is not None else 0o444)
    for name in ("uid", "gid"):
        if str(keys.pop(name, "nothing: the owner is root") or "0") != "0":
            keys.refuse(name, "files of a ConfigMap belong to root", "remove it; everybody may read the file")
    builder.context.config_maps[key] = builder.context.replace_addresses(keys.path, text)
    volume = {"configMap": {"name": builder.context.configs_name, "items": [item]}}
    mount = {"mountPath": target, "subPath": item["path"], "readOnly": True}
    _mount(builder, f"config-{key[:50].rstrip('-')}-{_mount_count(builder)}", volume, mount)
    builder.coverage.record(keys.path_of("source"), f"ConfigMap {builder.context.configs_name}")


def _mount_count(builder: ServiceBuilder) -> int:
    """Return the number of mounts so far, which keeps two mounts of one config apart."""
    return len(builder.mounts)


@key(
    "secrets",
    "from a file: a volume of that file, copied, at `/run/secrets/NAME`",
    "external ones; those from variables",
)
def secrets(builder: ServiceBuilder, value: Any) -> None:
    """Secret files. Secrets from variables come from docker compose's own environment, which cannot be read here."""
    for number, given in enumerate(value):
        keys = Keys(builder.coverage, builder.keys.path_of(f"secrets[{number}]"), given)
        source = str(keys.pop("source"))
        target = str(keys.pop("target", "mountPath") or source)
        target = target if target.startswith("/") else f"/run/secrets/{target}"
        _mount_file(builder, keys, source, target, builder.context.source.secrets.get(source, {}))
        keys.refuse_remaining()
    builder.record("secrets", "files in the pod")


def _mount_file(builder: ServiceBuilder, keys: Keys, source: str, target: str, entry: Any) -> None:
    for name in ("uid", "gid", "mode"):
        keys.pop(name, "nothing: docker compose ignores it for files too")
    path = entry.get("file")
    if not path:
        keys.coverage.refuse(
            keys.path_of("source"),
            f"{source} does not come from a file",
            "store it in a file, or pass it as a variable of the service",
        )
        return
    volume = use_volume(builder, keys.path_of("source"), str(path), read_only=True)
    if volume is not None:
        claim = {"persistentVolumeClaim": {"claimName": volume.claim}}
        _mount(builder, volume.name, claim, {"mountPath": target, "readOnly": True})
        keys.coverage.record(keys.path_of("source"), f"PersistentVolumeClaim {volume.claim}")


@key("logging", "the kubelet's log files: `kubectl logs`", "drivers that send logs elsewhere, or drop them")
def logging(builder: ServiceBuilder, value: Any) -> None:
    """The kubelet keeps and rotates a container's output."""
    keys = Keys(builder.coverage, builder.keys.path_of("logging"), value)
    driver = keys.pop("driver", "the kubelet's log files")
    options = keys.pop_mapping("options")
    if driver in (None, "json-file", "local", "journald"):
        for name in options:
            options.pop(name, "nothing: the kubelet rotates log files at 10 MiB, and keeps five")
        builder.note("the kubelet keeps its output: five files of 10 MiB, shown by kubectl logs")
        builder.record("logging", "the kubelet's log files")
    else:
        builder.refuse("logging.driver", f"{driver}: the output of pods stays on the node", "collect it from there")
        for name in options:
            options.pop(name, "nothing: the driver is refused")
    options.refuse_remaining()
    keys.refuse_remaining()
