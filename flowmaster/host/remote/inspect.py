"""Everything that is to be known of the server, read at once. Changes nothing."""

from __future__ import annotations

import grp
import http.client
import json
import os
import pwd
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flowmaster.host.remote.common import AVAILABLE, CONFIG, ENABLED, Json, file_facts, master, serving
from flowmaster.host.remote.effective_config import config_files, last_loaded, main_file, newer, tested
from flowmaster.host.remote.listeners import holders, process
from flowmaster.host.remote.site_paths import Place
from flowmaster.host.remote.writers import writers

DOCKER_SOCKET = "/var/run/docker.sock"


def read(request: Json) -> Json:
    """The facts. `sites` are the names of the sites asked about; `containers` asks Docker for what it runs, `asked` who
    takes connections to these listening places (:mod:`flowmaster.host.remote.ports`).

    `recorded` has the beginning of the hash of files as they were recorded: nobody is looked for who changed them.
    """
    pid = master()
    held = holders(request.get("ports", []), pid)
    paths = config_files(_main(pid, held))
    with ThreadPoolExecutor(4) as pool:
        # these wait for others, so they run beside the rest
        testing = pool.submit(tested, paths)
        asking = pool.submit(_ask_ports, request) if request.get("asked") else None
        containers = pool.submit(_containers) if request.get("containers") else None
        facts: Json = {"time": time.time(), "hostname": socket.gethostname(), "files": _files(paths, request["sites"])}
        problems = {name: Place(name).problem for name in request["sites"]}
        facts["addresses"] = _addresses()
        facts["problems"] = {name: words for name, words in problems.items() if words}
        code, words = testing.result()
        facts["nginx"] = _nginx(code, words, paths, held)
        facts["configuration"] = paths[0]
        facts["writers"] = writers(facts["files"], {**_written(request["sites"]), **request.get("recorded", {})})
        if containers is not None:
            facts["containers"] = containers.result()
        if asking is not None:
            facts["asked"] = asking.result()
    return facts


def _ask_ports(request: Json) -> Any:
    from flowmaster.host.remote.ports import ask, own_address

    return ask(request["asked"], own_address(request.get("address", ""), _addresses()))


def _addresses() -> list[str]:
    """The machine's own IPv4 addresses, but for loopback; none where the kernel does not tell."""
    found: dict[str, None] = {}
    address = ""
    try:
        with open("/proc/net/fib_trie") as stream:
            for line in stream:
                if "|--" in line:
                    address = line.split()[-1]
                elif "host LOCAL" in line and not address.startswith("127."):
                    found[address] = None
    except OSError:
        return []
    return list(found)


def _files(paths: list[str], sites: list[str]) -> Json:
    owners = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    groups = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
    wanted = [*paths, *(f"{folder}/{name}" for folder in (ENABLED, AVAILABLE) for name in sites)]
    found = {path: file_facts(path, owners, groups) for path in wanted}
    return {path: facts for path, facts in found.items() if facts is not None}


def _written(sites: list[str]) -> dict[str, str]:
    """The hashes of these sites as an update has written them."""
    hashes = last_loaded().get("hashes", {})
    return {path: hashes[path] for name in sites if (path := f"{ENABLED}/{name}") in hashes}


def _main(pid: int | None, held: dict[str, Json]) -> str:
    """The first file of the configuration that is served: that of another nginx where it holds a port of ours."""
    for holder in held.values():
        if holder["name"] == "nginx" and not holder["inside"]:
            return main_file(holder["pid"])
    return main_file(pid)


def _nginx(code: int, words: str, paths: list[str], held: dict[str, Json]) -> Json:
    if code == 127 or not os.path.isdir(CONFIG):
        return {"installed": False}
    pid = master()
    facts: Json = {"installed": True, "pid": pid, "test": {"ok": code == 0, "words": words}, "holders": held}
    if pid is not None:
        facts["process"] = process(pid)
        facts["since"] = min(serving(pid).values(), default=None)
        facts["newer"] = newer(pid, paths)
    return facts


class _Docker(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(DOCKER_SOCKET)


def _containers() -> Any:
    """Every container of Docker: name, id, image, state, health and when it was started; a text where it is not known.

    Docker's own socket is asked: its command line would take fifty milliseconds to start, each time.
    """
    if not os.path.exists(DOCKER_SOCKET):
        return []
    try:
        listed = _ask("/containers/json?all=true")
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(_container, [entry["Id"] for entry in listed]))
    except (OSError, ValueError, KeyError, http.client.HTTPException) as err:
        return f"Docker does not answer: {err}"


def _container(identity: str) -> Json:
    found = _ask(f"/containers/{identity}/json")
    state = found["State"]
    return {
        "name": found["Name"].lstrip("/"),
        "id": identity,
        "image": found["Config"]["Image"],
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "started": state["StartedAt"],
        "restarts": found.get("RestartCount", 0),
        "project": (found["Config"].get("Labels") or {}).get("com.docker.compose.project", ""),
    }


def _ask(path: str) -> Any:
    connection = _Docker("docker")
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return json.loads(content)
    finally:
        connection.close()
