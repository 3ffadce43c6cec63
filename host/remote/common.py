"""What reading and changing have in common: where nginx keeps things, its processes, and running programs."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
import subprocess
import time
from typing import Any

CONFIG = "/etc/nginx"
ENABLED = CONFIG + "/sites-enabled"
AVAILABLE = CONFIG + "/sites-available"
KEEP = CONFIG + "/.flowmaster"
"""Candidates and backups: on the file system of the sites, so that a rename is atomic, and where no include looks."""
RUN = "/run/flowmaster"
LOADED = RUN + "/nginx-loaded.json"
"""What nginx was running when it was last reloaded here: hashes by file, and which generation of workers."""
PID_FILE = "/run/nginx.pid"
ERROR_LOG = "/var/log/nginx/error.log"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LARGEST = 1 << 20
_CLOCK_SLACK = 0.03
"""Seconds: the kernel counts the start of a process in hundredths since it booted itself."""

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818  it is an answer, not a fault of this program
    """A request that is not carried out: at which step, in whose words."""

    def __init__(self, stage: str, words: str) -> None:
        super().__init__(words)
        self.stage = stage
        self.words = words


def run(command: list[str], timeout: float = 30.0) -> tuple[int, str]:
    """Exit code and output, both streams in one; 127 where there is no such program, 124 where it does not end."""
    environment = {"PATH": PATH, "LANG": "C", "HOME": "/root"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return 127, command[0] + ": not found"
    except subprocess.TimeoutExpired:
        return 124, f"{' '.join(command)} did not end within {timeout:g} s"
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def file_facts(path: str, owners: dict[int, str], groups: dict[int, str]) -> Json | None:
    """Kind, mode, owner, times, and content of a regular file; None where there is none."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    facts: Json = {"mtime": info.st_mtime, "ctime": info.st_ctime, "kind": "other"}
    if stat.S_ISLNK(info.st_mode):
        facts["kind"] = "link"
        facts["target"] = os.path.realpath(path)
        try:
            info = os.stat(path)
        except OSError:
            facts["kind"] = "broken link"
            return facts
        facts["mtime"], facts["ctime"] = info.st_mtime, max(facts["ctime"], info.st_ctime)
    elif stat.S_ISREG(info.st_mode):
        facts["kind"] = "file"
    facts["mode"] = f"{stat.S_IMODE(info.st_mode):04o}"
    facts["owner"] = owners.get(info.st_uid, str(info.st_uid))
    facts["group"] = groups.get(info.st_gid, str(info.st_gid))
    if stat.S_ISREG(info.st_mode) and info.st_size <= _LARGEST:
        try:
            with open(path, "rb") as stream:
                content = stream.read()
        except OSError as err:
            facts["unreadable"] = err.strerror
            return facts
        facts["sha256"] = hashlib.sha256(content).hexdigest()
        facts["content"] = content.decode("utf-8", "surrogateescape")
    return facts


def config_files() -> list[str]:
    """The files of nginx's configuration that people change, in the order in which nginx reads them."""
    patterns = (
        CONFIG + "/nginx.conf",
        CONFIG + "/modules-enabled/*.conf",
        CONFIG + "/conf.d/*.conf",
        ENABLED + "/*",
    )
    return [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def hashes() -> dict[str, str]:
    """The content of each of these files, as a hash."""
    found = {}
    for path in config_files():
        try:
            with open(path, "rb") as stream:
                found[path] = hashlib.sha256(stream.read()).hexdigest()
        except OSError:
            found[path] = "unreadable"
    return found


def sync(folder: str) -> None:
    """Have on the disk what was moved in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def master() -> int | None:
    """nginx's process id, where it runs. Only its own pid file counts: containers run nginx, too."""
    try:
        with open(PID_FILE) as stream:
            pid = int(stream.read().strip() or "0")
        with open(f"/proc/{pid}/comm") as stream:
            return pid if stream.read().strip() == "nginx" else None
    except (OSError, ValueError):
        return None


def workers(pid: int) -> dict[int, float]:
    """The processes that nginx's master has made, with the time at which each started."""
    with open("/proc/uptime") as stream:
        booted = time.time() - float(stream.read().split()[0])
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stream:
                    fields = stream.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found[int(name)] = booted + int(fields[19]) / ticks
    return found


def serving(pids: set[int]) -> bool:
    """Whether any of these workers still takes new connections. After a reload the old ones only end what they have."""
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline") as stream:
                if "nginx: worker process" in (title := stream.read()) and "shutting down" not in title:
                    return True
        except OSError:
            continue
    return False


def newer(pid: int) -> list[str]:
    """Files that were changed after nginx last read its configuration, and are not what it then read."""
    generation = workers(pid)
    if not generation:
        return []
    since = max(generation.values()) + _CLOCK_SLACK
    try:
        with open(LOADED) as stream:
            loaded = json.load(stream)
        known = loaded["hashes"] if set(loaded["workers"]) & set(generation) and loaded["master"] == pid else {}
    except (OSError, ValueError, KeyError):
        known = {}
    now = hashes()
    changed = [path for path in now if _changed(path) > since and known.get(path) != now[path]]
    return changed + [path for path in known if path not in now]


def _changed(path: str) -> float:
    try:
        own, behind = os.lstat(path), os.stat(path)
    except OSError:
        return 0.0
    return max(own.st_ctime, behind.st_ctime)


def remember_loaded(pid: int) -> None:
    """Write down what nginx has just read."""
    state = {"master": pid, "workers": sorted(workers(pid)), "hashes": hashes()}
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    temporary = LOADED + ".new"
    with open(temporary, "w") as stream:
        json.dump(state, stream)
    os.replace(temporary, LOADED)
