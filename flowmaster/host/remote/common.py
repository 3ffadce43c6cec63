"""What reading and changing have in common: where nginx keeps things, its processes, and running programs."""

from __future__ import annotations

import errno
import hashlib
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
PID_FILE = "/run/nginx.pid"
ERROR_LOG = "/var/log/nginx/error.log"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LARGEST = 1 << 20
"""Bytes of a file up to which its text is looked at."""

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


def regular(path: str) -> bytes:
    """The content of a regular file. Raises OSError for anything else: reading a pipe or a device may never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path)
    # what takes its place in between is not waited for either
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", path)
        return stream.read()


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
    if stat.S_ISREG(info.st_mode) and info.st_size <= LARGEST:
        try:
            content = regular(path)
        except OSError as err:
            facts["unreadable"] = err.strerror
            return facts
        facts["sha256"] = hashlib.sha256(content).hexdigest()
        facts["content"] = content.decode("utf-8", "surrogateescape")
    return facts


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


def serving(pid: int) -> dict[int, float]:
    """Those of its workers that take new connections. After a reload the old ones only end what they have."""
    found = {}
    for worker, started in workers(pid).items():
        try:
            with open(f"/proc/{worker}/cmdline") as stream:
                title = stream.read()
        except OSError:
            continue
        if "nginx: worker process" in title and "shutting down" not in title:
            found[worker] = started
    return found
