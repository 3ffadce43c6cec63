"""Which process listens on a port: nginx's own master, or somebody in its place."""

from __future__ import annotations

import os
import pwd
from typing import Iterator  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote.common import Json
from flowmaster.host.remote.effective_config import started_with

TABLES = "/proc/net"
_LISTENS = "0A"
_NO_LOGIN = 4294967295


def holders(ports: list[int], master: int | None) -> dict[str, Json]:
    """By port, the process that listens on it where that is not nginx's master. A port of the loopback address alone
    counts for nobody."""
    own = _sockets(master) if master is not None else set()
    strange = {port: inodes for port, inodes in _listening(ports).items() if not inodes & own}
    if not strange:
        return {}
    found = {}
    for name in os.listdir("/proc"):
        sockets = _sockets(int(name)) if name.isdigit() else set()
        for port, inodes in strange.items():
            if str(port) not in found and inodes & sockets:
                found[str(port)] = process(_first(int(name)))
    return found


def process(pid: int) -> Json:
    """What is known of a process: name, program, command line, who logged in to start it."""
    try:
        with open(f"/proc/{pid}/comm") as stream:
            name = stream.read().strip()
        # kernel threads, and processes that have ended, have none
        program = os.readlink(f"/proc/{pid}/exe")
        inside = os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    except OSError:
        return {"pid": pid, "name": "another process"}
    return {
        "pid": pid,
        "name": name,
        "program": program,
        "arguments": started_with(pid),
        "inside": inside,
        "login": _login(pid),
    }


def _login(pid: int) -> str:
    """Who had logged in when the process was started; empty for what the system started."""
    try:
        with open(f"/proc/{pid}/loginuid") as stream:
            uid = int(stream.read())
        return "" if uid == _NO_LOGIN else pwd.getpwuid(uid).pw_name
    except (OSError, ValueError, KeyError):
        return ""


def _first(pid: int) -> int:
    """The master of an nginx whose worker this is; else the process itself."""
    try:
        with open(f"/proc/{pid}/cmdline") as stream:
            if not stream.read().startswith("nginx: worker"):
                return pid
        with open(f"/proc/{pid}/stat") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    except OSError:
        return pid


def _listening(ports: list[int]) -> dict[int, set[str]]:
    """By port, the sockets that listen on it for IPv4; those of IPv6 where there are none, as one may serve both."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        here: dict[int, set[str]] = {}
        for port, inode in _table(table):
            if port in ports:
                here.setdefault(port, set()).add(inode)
        found = {**here, **found}
    return found


def _table(name: str) -> Iterator[tuple[int, str]]:
    try:
        with open(f"{TABLES}/{name}") as stream:
            next(stream, "")
            for line in stream:
                fields = line.split()
                if fields[3] != _LISTENS:
                    # the kernel lists connections after all that listen, and there may be many
                    return
                address, _, port = fields[1].partition(":")
                if not (address.endswith("7F") if len(address) == 8 else address == f"{'0' * 24}01000000"):
                    yield int(port, 16), fields[9]
    except OSError:
        return


def _sockets(pid: int) -> set[str]:
    """The sockets that a process holds, by inode."""
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            if link.startswith("socket:["):
                found.add(link[8:-1])
    except OSError:
        pass
    return found
