"""What it keeps: volumes, bind mounts, memory, configs and secrets as files."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from config.compose import ComposeVolume
from flowmaster.compose.context import Context, Work
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Volume
from flowmaster.compose.units import WordError, quantity, size, slug

_OF_THE_SERVER = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var/lib/docker", "/var/lib/kubelet",
                  "/var/lib/rancher", "/var/run")  # fmt: skip
_TOO_MUCH = frozenset(
    {"/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/log"}  # noqa: S108
)
_CLOCK = frozenset({"/etc/localtime", "/etc/timezone"})
"""What many a container takes from its server, to know the time of day."""
_SHM = "/dev/shm"  # noqa: S108  a mount point


@key(
    "volumes",
    "named, anonymous and bind: PersistentVolumeClaims with the data copied, owner and mode kept; `tmpfs`: `emptyDir` "
    "in memory; `/etc/localtime` and `/etc/timezone`, read-only: the node's own",
    "the docker socket and other paths of the server itself; paths within each other; propagation; other types",
)
def volumes(work: Work, value: Any) -> None:
    """Each mount, as `docker compose config` writes them out."""
    for number, given in enumerate(value):
        keys = Keys(work.account, work.keys.at(f"volumes[{number}]"), given)
        kind, target = str(keys.take("type") or ""), str(keys.take("target", "mountPath") or "")
        work.account.become(keys.at("type"), kind)
        keys.take("consistency", "nothing: it is for docker on a Mac")
        read_only = bool(keys.take("read_only", "readOnly"))
        if kind == "tmpfs":
            _tmpfs_volume(work, keys, target)
        elif kind in ("volume", "bind"):
            _stored(work, keys, kind, target, read_only)
        else:
            keys.refuse("type", f"{kind!r} is nothing that a pod can mount", "use a volume or a bind mount")
        if kind not in ("tmpfs", "volume", "bind"):
            for name in list(keys):
                keys.take(name, "nothing: its type is refused")
        for name in ("bind", "volume", "tmpfs", "image"):
            if keys.peek(name) == {}:
                keys.take(name, "nothing: it is empty")
        keys.close()
    work.become("volumes", "volumes and volumeMounts")


def _stored(work: Work, keys: Keys, kind: str, target: str, read_only: bool) -> None:
    source = str(keys.take("source") or "")
    mount: dict[str, Any] = {"mountPath": target}
    if read_only:
        mount["readOnly"] = True
    if kind == "bind":
        inner = keys.below("bind")
        inner.take("create_host_path", "nothing: the path is there, or nothing would be copied")
        if inner.take("selinux", "nothing: what is copied keeps its attributes"):
            work.tell(f"{target}: SELinux labels are copied as they are")
        for name in ("propagation", "recursive"):
            if name in inner:
                inner.refuse(name, "mounts within are not seen in the copy", "take it out")
        inner.close()
        if source in _CLOCK:
            _clock(work, keys, source, mount)
            return
    else:
        inner = keys.below("volume")
        inner.take("nocopy", "nothing: the data is there already")
        inner.take("labels", "nothing: docker's labels of a volume")
        if subpath := inner.take("subpath", "subPath"):
            mount["subPath"] = str(subpath)
        inner.close()
    volume = use_volume(work, keys.at("source"), source, read_only)
    if volume is not None:
        _mount(work, volume.name, {"persistentVolumeClaim": {"claimName": volume.claim}}, mount)
        work.account.become(keys.at("source"), f"PersistentVolumeClaim {volume.claim}")


def _clock(work: Work, keys: Keys, source: str, mount: dict[str, Any]) -> None:
    _mount(work, slug(source), {"hostPath": {"path": source, "type": "File"}}, {**mount, "readOnly": True})
    work.account.become(keys.at("source"), "hostPath: the node's own, read-only")


def use_volume(work: Work, path: str, source: str, read_only: bool) -> Volume | None:
    """The project's volume for a source, used by this service; None where it is refused."""
    context = work.context
    entry = context.source.volumes.get(source)
    if entry is None:
        work.account.refuse(path, f"{source or 'an anonymous volume'}: docker has no such volume or path",
                            "start the project, so that it is made, and read it again")  # fmt: skip
        return None
    if not _allowed(work, path, source, entry):
        return None
    name = volume_name(context, source)
    before = context.volumes.get(source)
    storage = context.settings.storage
    work.writes = work.writes or not read_only
    kind: Literal["directory", "file"] = "file" if entry.kind == "file" else "directory"
    if kind == "file" and storage.storage_class:
        work.account.refuse(path, f"{source} is a file, and a storage class makes folders", "mount its folder")
        return None
    context.volumes[source] = Volume(
        name=name,
        source_path=entry.path,
        target_path="" if storage.storage_class else f"{storage.path.rstrip('/')}/{context.project}/{name}",
        services=tuple(sorted({*(before.services if before else ()), work.name})),
        read_only=read_only and (before is None or before.read_only),
        kind=kind,
        claim=slug(f"{context.project}-{name}"),
    )
    return context.volumes[source]


def _allowed(work: Work, path: str, source: str, entry: ComposeVolume) -> bool:
    place = entry.path.rstrip("/") or "/"
    own = not source.startswith("/")
    reason = ""
    if entry.kind in ("socket", "other"):
        reason = f"{place} is no file and no folder"
    elif not own and (place in _TOO_MUCH or any(f"{place}/".startswith(f"{part}/") for part in _OF_THE_SERVER)):
        reason = f"{place} belongs to the server itself, and a copy of it would be of no use"
    if reason:
        work.account.refuse(path, reason, "take it out; what it is needed for must be done in another way")
        return False
    for name, other in work.context.source.volumes.items():
        there = other.path.rstrip("/")
        if name != source and (f"{place}/".startswith(f"{there}/") or f"{there}/".startswith(f"{place}/")):
            work.account.refuse(
                path,
                f"{place} and {there} lie within each other: as two copies they would part",
                "mount the outer one everywhere, or move one of them",
            )
            return False
    return True


def volume_name(context: Context, source: str) -> str:
    """A volume's name in the cluster; where two would have the same, both say which they are."""
    name = slug(source)
    if sum(slug(other) == name for other in context.source.volumes) > 1:
        return f"{name[:54].rstrip('-')}-{hashlib.sha256(source.encode()).hexdigest()[:6]}"
    return name


def _mount(work: Work, name: str, source: dict[str, Any], mount: dict[str, Any]) -> None:
    if all(volume["name"] != name for volume in work.volumes):
        work.volumes.append({"name": name, **source})
    work.mounts.append({"name": name, **mount})


def _memory(work: Work, target: str, limit: int | None, read_only: bool = False) -> None:
    source: dict[str, Any] = {"medium": "Memory"}
    if limit:
        source["sizeLimit"] = quantity(limit)
    mount: dict[str, Any] = {"mountPath": target}
    if read_only:
        mount["readOnly"] = True
    _mount(work, f"memory-{slug(target)}"[:63].rstrip("-"), {"emptyDir": source}, mount)


def _tmpfs_volume(work: Work, keys: Keys, target: str) -> None:
    inner = keys.below("tmpfs")
    limit = inner.take("size", "sizeLimit")
    if inner.take("mode", "nothing: everybody may write there") is not None:
        work.tell(f"{target}: the mode of the folder in memory is 0777 in a pod")
    inner.close()
    keys.take("source", "nothing: memory has no source")
    _memory(work, target, size(limit) if limit is not None else None)


@key("tmpfs", "`emptyDir` in memory, of that size; its mode is 0777", "`uid` and `gid`; options that are none")
def tmpfs(work: Work, value: Any) -> None:
    """Folders in memory."""
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        target, _, options = str(entry).partition(":")
        limit: int | None = None
        read_only = False
        for option in filter(None, options.split(",")):
            name, _, setting = option.partition("=")
            try:
                limit = size(setting) if name == "size" else limit
            except WordError as err:
                work.refuse(f"tmpfs[{number}]", str(err), "write a size such as 64m")
            read_only = read_only or name == "ro"
            if name == "mode":
                work.tell(f"{target}: the mode of the folder in memory is 0777 in a pod")
            elif name in ("noexec", "nosuid", "nodev"):
                work.tell(f"{target}: a folder in memory has no {name} in a pod")
            elif name not in ("size", "ro", "rw", "exec", "suid", "dev"):
                work.refuse(f"tmpfs[{number}]", f"{option}: a pod's memory has no such option", "take it out")
        _memory(work, target, limit, read_only)
    work.become("tmpfs", "emptyDir in memory")


@key("shm_size", f"`emptyDir` in memory at `{_SHM}`, of that size; 64 MiB where it is not given, in docker and here")
def shm_size(work: Work, value: Any) -> None:
    """Shared memory."""
    _memory(work, _SHM, size(value))
    work.become("shm_size", f"emptyDir in memory at {_SHM}")


@key("configs", "inline: a ConfigMap; from a file: a volume of that file, copied", "external ones; `uid` and `gid`")
def configs(work: Work, value: Any) -> None:
    """Files that are not the image's."""
    for number, given in enumerate(value):
        keys = Keys(work.account, work.keys.at(f"configs[{number}]"), given)
        source = str(keys.take("source"))
        entry = work.context.source.configs.get(source, {})
        target = str(keys.take("target", "mountPath") or f"/{source}")
        text = entry.get("content")
        if isinstance(text, str):
            _inline(work, keys, source, target, text)
        else:
            _file(work, keys, source, target, entry)
        keys.close()
    work.become("configs", "files in the pod")


def _inline(work: Work, keys: Keys, source: str, target: str, text: str) -> None:
    item: dict[str, Any] = {"key": slug(source), "path": slug(source)}
    mode = keys.take("mode", "mode of the file")
    item["mode"] = int(str(mode), 8) if isinstance(mode, str) else int(mode if mode is not None else 0o444)
    for name in ("uid", "gid"):
        if str(keys.take(name, "nothing: root's") or "0") != "0":
            keys.refuse(name, "files of a ConfigMap are root's", "take it out; anybody may read it")
    work.context.config_maps[slug(source)] = work.context.readdressed(keys.path, text)
    volume = {"configMap": {"name": f"{work.context.project}-configs", "items": [item]}}
    mount = {"mountPath": target, "subPath": item["path"], "readOnly": True}
    _mount(work, f"config-{slug(source)}-{number_of(work)}", volume, mount)
    work.account.become(keys.at("source"), f"ConfigMap {work.context.project}-configs")


def number_of(work: Work) -> int:
    """How many mounts there are already: what keeps apart two mounts of one config with different modes."""
    return len(work.mounts)


@key("secrets", "from a file: a volume of that file, copied, at `/run/secrets/NAME`", "external ones, and variables'")
def secrets(work: Work, value: Any) -> None:
    """Secret files. Those of variables are made by docker compose from its own environment, which is not here."""
    for number, given in enumerate(value):
        keys = Keys(work.account, work.keys.at(f"secrets[{number}]"), given)
        source = str(keys.take("source"))
        target = str(keys.take("target", "mountPath") or source)
        target = target if target.startswith("/") else f"/run/secrets/{target}"
        _file(work, keys, source, target, work.context.source.secrets.get(source, {}))
        keys.close()
    work.become("secrets", "files in the pod")


def _file(work: Work, keys: Keys, source: str, target: str, entry: Any) -> None:
    for name in ("uid", "gid", "mode"):
        keys.take(name, "nothing: docker compose takes no notice of it for files either")
    path = entry.get("file")
    if not path:
        keys.account.refuse(
            keys.at("source"),
            f"{source} comes from no file",
            "write it into a file and name that, or make it a variable of the service",
        )
        return
    volume = use_volume(work, keys.at("source"), str(path), read_only=True)
    if volume is not None:
        claim = {"persistentVolumeClaim": {"claimName": volume.claim}}
        _mount(work, volume.name, claim, {"mountPath": target, "readOnly": True})
        keys.account.become(keys.at("source"), f"PersistentVolumeClaim {volume.claim}")


@key("logging", "the kubelet's own log files: `kubectl logs`", "drivers that send logs elsewhere, or nowhere")
def logging(work: Work, value: Any) -> None:
    """The kubelet keeps and turns over what a container prints."""
    keys = Keys(work.account, work.keys.at("logging"), value)
    driver = keys.take("driver", "the kubelet's log files")
    options = keys.below("options")
    if driver in (None, "json-file", "local", "journald"):
        for name in options:
            options.take(name, "nothing: the kubelet turns its log files over at 10 MiB, and keeps five")
        work.tell("its output is kept by the kubelet: five files of 10 MiB, read with kubectl logs")
        work.become("logging", "the kubelet's log files")
    else:
        work.refuse("logging.driver", f"{driver}: pods' output stays on the node", "collect it from there")
        for name in options:
            options.take(name, "nothing: the driver is refused")
    options.close()
    keys.close()
