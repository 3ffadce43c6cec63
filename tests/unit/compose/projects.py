"""Projects as docker would show them: the file, normalised, and containers that run just what it says."""

from __future__ import annotations

import copy
from typing import Any

from config.compose import ComposeProject
from flowmaster.compose.result import Target, Translation
from flowmaster.compose.source import read_source
from flowmaster.compose.translate import translate

Json = dict[str, Any]
NODE = "10.77.0.2"
DATABASE = "10.43.85.29"
ID = "sha256:" + "72c620d361c7" + "0" * 52
DIGEST = "sha256:" + "5" * 64
SURROUNDINGS = Target(
    namespace="flowmaster",
    registry="localhost:30500",
    external_hosts={DATABASE: "arangodb"},
    node_address=NODE,
    labels={"app.kubernetes.io/part-of": "flowmaster"},
)
IMAGE: Json = {
    "Id": ID,
    "RepoDigests": [f"localhost:30500/flowmaster/backend@{DIGEST}"],
    "Config": {"Env": ["PATH=/bin", "PORT=8010"], "Entrypoint": ["/service"], "Cmd": None, "User": "10001:10001"},
}


def config(services: Json, **top: Any) -> Json:
    """A file, normalised."""
    full = {name: {"command": None, "entrypoint": None, **keys} for name, keys in services.items()}
    networks = {"default": {"name": "shop_default", "ipam": {}}}
    return {"name": "shop", "services": full, "networks": networks, **top}


def container(name: str, keys: Json, whole: Json, image: Json | None = None) -> Json:
    """`docker inspect` of a container that was just made from the file."""
    own = (image or IMAGE)["Config"]
    entrypoint, command = keys.get("entrypoint"), keys.get("command")
    variables = {v.partition("=")[0]: v.partition("=")[2] for v in own["Env"]}
    variables |= {k: str(v).replace("$$", "$") for k, v in (keys.get("environment") or {}).items() if v is not None}
    policy, _, retries = str(keys.get("restart") or "no").partition(":")
    return {
        "Name": f"/{keys.get('container_name') or f'shop-{name}-1'}",
        "Image": ID,
        "State": {"Status": "running"},
        "Config": {
            "Image": keys.get("image"),
            "Env": [f"{k}={v}" for k, v in variables.items()],
            "Entrypoint": own["Entrypoint"] if entrypoint is None else entrypoint or None,
            "Cmd": _undollared(command) if command is not None or entrypoint is not None else own["Cmd"],
            "User": keys.get("user") or own["User"],
            "WorkingDir": keys.get("working_dir") or "",
            "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": name},
            "ExposedPorts": {f"{p['target']}/{p.get('protocol', 'tcp')}": {} for p in keys.get("ports") or ()},
        },
        "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": int(retries or 0)}},
        "Mounts": [_mount(name, entry, whole) for entry in keys.get("volumes") or () if entry["type"] != "tmpfs"],
        "NetworkSettings": {"Ports": {}},
    }


def _undollared(words: Any) -> Any:
    return [word.replace("$$", "$") for word in words] if words else words


def _mount(name: str, entry: Json, whole: Json) -> Json:
    target = entry["target"]
    if entry["type"] == "bind":
        return {"Type": "bind", "Source": entry["source"], "Destination": target}
    named = (whole.get("volumes") or {}).get(entry.get("source"))
    docker = (named or {}).get("name") or (f"shop_{entry['source']}" if "source" in entry else anonymous(name, target))
    return {"Type": "volume", "Name": docker, "Source": path_of(docker), "Destination": target}


def anonymous(name: str, target: str) -> str:
    """A name as docker makes them up."""
    return (name + target).encode().hex().ljust(64, "0")[:64]


def path_of(volume: str) -> str:
    """Where docker keeps a volume."""
    return f"/var/lib/docker/volumes/{volume}/_data"


def listed(containers: list[Json], **facts: Json) -> list[Json]:
    """What is told of each volume and bound folder."""
    found = {}
    for mount in (mount for each in containers for mount in each["Mounts"]):
        name = mount.get("Name") or mount["Source"]
        found[name] = {"Type": mount["Type"], "Name": name, "Mountpoint": mount["Source"], "Driver": "local",
                       "exists": True, "directory": True, "bytes": 5, **facts.get(name, {})}  # fmt: skip
    return list(found.values())


def project(services: Json, *, settings: Json | None = None, **top: Any) -> ComposeProject:
    """A project that was read while it ran."""
    whole = config(services, **copy.deepcopy(top))
    containers = [container(name, keys, whole) for name, keys in services.items()]
    volumes = listed(containers)
    for kind in ("configs", "secrets"):
        for entry in (top.get(kind) or {}).values():
            if "file" in entry:
                path = entry["file"]
                volumes.append({"Type": "bind", "Name": path, "Mountpoint": path, "exists": True, "directory": False})
    source, secrets, _ = read_source(whole, containers, volumes, {}, {ID: IMAGE}, SURROUNDINGS)
    values = {"folder": "/opt/shop", "sealed": secrets, **(settings or {})}
    return ComposeProject.model_validate({**values, "source": source})


def translated(services: Json, **how: Any) -> Translation:
    """What becomes of a project that was read while it ran."""
    return translate("shop", project(services, **how), SURROUNDINGS)


def one(**keys: Any) -> Json:
    """One service, with an image."""
    return {"backend": {"image": "localhost:30500/flowmaster/backend:latest", "restart": "always", **keys}}


def body(translation: Translation, kind: str, name: str = "shop-backend") -> Json:
    """One of its objects."""
    found: list[Json] = [b for b in translation.bodies if (b["kind"], b["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, [(b["kind"], b["metadata"]["name"]) for b in translation.bodies]
    return found[0]


def pod(translation: Translation, name: str = "shop-backend") -> Json:
    """The pod of a service."""
    found: Json = body(translation, "Deployment", name)["spec"]["template"]["spec"]
    return found


def contained(translation: Translation, name: str = "shop-backend") -> Json:
    """The container of a service."""
    found: Json = pod(translation, name)["containers"][0]
    return found
