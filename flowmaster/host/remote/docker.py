"""Docker and its compose projects on the server: how they are asked, and everything that is to be known of one.

Docker's own socket is asked where that will do: its command line takes fifty milliseconds to start, each time.
"""

from __future__ import annotations

import glob
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from flowmaster.host.remote.common import PATH, Json, Refused, run

SOCKET = "/var/run/docker.sock"
PROJECT, SERVICE, FILES = (f"com.docker.compose.{word}" for word in ("project", "service", "project.config_files"))
ONE_OFF = "com.docker.compose.oneoff"
_ANSWER_SECONDS = 120.0
_VIRTUAL = ("lo", "docker", "br-", "veth", "cni", "flannel", "kube", "virbr")


class _Socket(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_ANSWER_SECONDS)
        self.sock.connect(SOCKET)


def api(method: str, path: str, body: Any = None, missing: bool = False) -> Any:
    """Docker's answer, decoded. With `missing`, None where there is no such thing.

    Raises Refused where Docker does not answer, or says no.
    """
    connection = _Socket("docker")
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as err:
        raise Refused("docker", f"Docker does not answer: {getattr(err, 'strerror', None) or err}") from err
    finally:
        connection.close()
    if answer.status == 404 and missing:
        return None
    text = content.decode("utf-8", "replace")
    if answer.status >= 400:
        try:
            words = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            words = text
        raise Refused("docker", f"Docker says {answer.status} to {method} {path.partition('?')[0]}: {words}")
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        # some answers are several documents, a line each
        return text


def containers(project: str) -> list[Json]:
    """Every container of the project as `docker inspect` has it, running or not, by name."""
    wanted = quote(json.dumps({"label": [f"{PROJECT}={project}"]}))
    listed = api("GET", f"/containers/json?all=true&filters={wanted}")
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda entry: api("GET", f"/containers/{entry['Id']}/json", missing=True), listed)
        return sorted((each for each in found if each is not None), key=lambda each: str(each["Name"]))


def service(container: Json) -> str:
    """The compose service that a container is of; none for one that `docker compose run` made besides."""
    labels = container["Config"].get("Labels") or {}
    return "" if labels.get(ONE_OFF) == "True" else str(labels.get(SERVICE, ""))


def compose(folder: str, files: list[str], *words: str, timeout: float = 120.0) -> str:
    """What `docker compose` prints for the project in a folder. Raises Refused with its own words."""
    if not os.path.isdir(folder):
        raise Refused("project", f"there is no folder {folder}")
    if not files and not compose_files(folder):
        raise Refused("project", f"there is no compose file in {folder}")
    command = ["docker", "compose", "--project-directory", folder]
    command += [word for file in files for word in ("--file", file)]
    try:
        done = subprocess.run(
            [*command, *words],
            cwd=folder,
            env={"PATH": PATH, "LANG": "C", "HOME": "/root"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as err:
        raise Refused("docker", "there is no docker command on the server") from err
    except subprocess.TimeoutExpired as err:
        raise Refused("docker", f"docker compose {words[0]} did not end within {timeout:g} s") from err
    if done.returncode != 0:
        # what is said of values might be secret, but for which variable or line is wrong
        text = done.stderr.decode("utf-8", "replace").strip()
        raise Refused("project", f"docker compose {words[0]}: {text or f'ended with {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")


def compose_files(folder: str) -> list[str]:
    """The file that `docker compose` takes in a folder by itself, and its override."""
    for name in ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"):
        if os.path.isfile(f"{folder}/{name}"):
            base, _, ending = name.rpartition(".")
            return [f"{folder}/{n}" for n in (name, f"{base}.override.{ending}") if os.path.isfile(f"{folder}/{n}")]
    return []


def project(request: Json) -> Json:
    """What the compose file says, normalised, and what really runs. Changes nothing."""
    name, folder = str(request["project"]), str(request["folder"])
    running = containers(name)
    files = _files_of(running, folder)
    try:
        config: Json = json.loads(compose(folder, files, "config", "--format", "json"))
    except ValueError as err:
        raise Refused("project", f"docker compose config is no JSON: {err}") from err
    if config.get("name") != name:
        raise Refused("project", f"the compose project in {folder} is called {config.get('name')}, not {name}")
    return {
        "config": config,
        "containers": running,
        "images": _images(running),
        "volumes": [*_volumes(name, running), *_binds(running)],
        "networks": _networks(name),
        "files": hashes(folder, files),
        "node_address": node_address(),
    }


def _files_of(running: list[Json], folder: str) -> list[str]:
    """The files that the containers were made from, where those are there; else Docker looks for itself."""
    for container in running:
        files = [f for f in str((container["Config"].get("Labels") or {}).get(FILES, "")).split(",") if f]
        if files and all(os.path.isfile(f) and f.startswith(folder.rstrip("/") + "/") for f in files):
            return files
    return []


def hashes(folder: str, files: list[str] | None = None) -> dict[str, str]:
    """The compose files and the files of variables of a project, by hash of their content."""
    wanted = set(files or compose_files(folder))
    for pattern in ("*.yml", "*.yaml", ".env", ".env.*", "*.env"):
        wanted.update(glob.glob(f"{glob.escape(folder)}/{pattern}"))
    found = {}
    for path in sorted(wanted):
        try:
            with open(path, "rb") as stream:
                found[path] = hashlib.sha256(stream.read()).hexdigest()
        except OSError:
            continue
    return found


def _images(running: list[Json]) -> Json:
    """By id, the images that the containers really run; None for one that is gone."""
    found: Json = {}
    for identity in {str(container["Image"]) for container in running}:
        image = api("GET", f"/images/{quote(identity)}/json", missing=True)
        kept = ("Id", "RepoTags", "RepoDigests", "Size", "Architecture", "Os", "Config")
        found[identity] = {key: image.get(key) for key in kept} if image is not None else None
    return found


def _volumes(name: str, running: list[Json]) -> list[Json]:
    wanted = quote(json.dumps({"label": [f"{PROJECT}={name}"]}))
    names = {str(entry["Name"]) for entry in api("GET", f"/volumes?filters={wanted}").get("Volumes") or ()}
    names |= {str(m["Name"]) for each in running for m in each.get("Mounts") or () if m.get("Type") == "volume"}
    found = []
    for volume in sorted(names):
        facts = api("GET", f"/volumes/{quote(volume)}", missing=True)
        if facts is not None:
            found.append({"Type": "volume", **facts, **size(str(facts["Mountpoint"]))})
    return found


def _binds(running: list[Json]) -> list[Json]:
    sources = {str(m["Source"]) for each in running for m in each.get("Mounts") or () if m.get("Type") == "bind"}
    return [{"Type": "bind", "Name": path, "Mountpoint": path, **size(path)} for path in sorted(sources)]


def size(path: str) -> Json:
    """How much there is at a path: `exists`, `directory`, `bytes`, `count` of everything in it."""
    if not os.path.lexists(path):
        return {"exists": False, "directory": False, "bytes": 0, "count": 0}
    if not os.path.isdir(path):
        return {"exists": True, "directory": False, "bytes": os.path.getsize(path), "count": 1}
    total, count = 0, 0
    for folder, folders, names in os.walk(path):
        count += len(folders) + len(names)
        for name in names:
            try:
                total += os.lstat(f"{folder}/{name}").st_size
            except OSError:
                continue
    return {"exists": True, "directory": True, "bytes": total, "count": count}


def _networks(name: str) -> list[Json]:
    wanted = quote(json.dumps({"label": [f"{PROJECT}={name}"]}))
    kept = ("Name", "Driver", "Internal", "Labels", "IPAM")
    return [{key: entry.get(key) for key in kept} for entry in api("GET", f"/networks?filters={wanted}") or ()]


def node_address() -> str:
    """The server's own address, as `host-gateway` would have it for somebody outside of Docker; empty if unknown."""
    reached = os.environ.get("SSH_CONNECTION", "").split()
    if len(reached) == 4 and re.fullmatch(r"[0-9.]+", reached[2]):
        return reached[2]
    code, words = run(["ip", "-4", "-o", "addr", "show", "scope", "global"])
    for line in words.splitlines() if code == 0 else ():
        fields = line.split()
        if len(fields) > 3 and not fields[1].startswith(_VIRTUAL):
            return fields[3].partition("/")[0]
    return ""
