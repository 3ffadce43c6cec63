"""Locks of a stack in Pulumi's file backend: who holds them, since when, and whether the process still runs.

A killed update leaves its lock, which never expires. A lock is stale if it was taken on this machine by this user and
its process is gone. For other locks this cannot be checked here.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.errors import UserError
from flowmaster.report.values import ago

_PROC = Path("/proc")
_TOLERANCE = 2.0
"""Seconds by which process start times and lock times may differ."""


class LockError(UserError):
    """The stack is locked, and the lock cannot be released here."""


@dataclass(frozen=True)
class Lock:
    """A lock of Pulumi. Each run has its own file, so removing one affects no other run."""

    path: Path
    pid: int
    user: str
    host: str
    since: datetime

    def describe(self, now: datetime) -> str:
        """Describe the holder and the time."""
        at = self.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{self.user}@{self.host} (process {self.pid}) since {at}, {ago(self.since, now)}"

    @property
    def is_local(self) -> bool:
        """Whether it was taken on this machine by this user, so that its process can be checked."""
        return self.host == socket.gethostname() and self.user == _user()

    @property
    def is_stale(self) -> bool:
        """Whether its process is certainly gone."""
        return self.is_local and not _is_running(self.pid, self.since)


def read_locks(folder: Path, project: str, stack: str) -> list[Lock]:
    """Read the locks of a stack from a file backend.

    :raises LockError: if one cannot be read.
    """
    place = folder / ".pulumi" / "locks" / "organization" / project / stack
    return [_read(path) for path in sorted(place.glob("*.json"))]


def release_stale(found: Sequence[Lock], stack: str, now: datetime | None = None) -> list[str]:
    """Release stale locks; return a line for each.

    :raises LockError: if one is not stale; then none is released.
    """
    now = now or datetime.now(UTC)
    held = next((lock for lock in found if not lock.is_stale), None)
    if held is not None:
        raise _refusal(held, stack, now)
    for lock in found:
        lock.path.unlink(missing_ok=True)
        lock.path.with_name(f"{lock.path.name}.attrs").unlink(missing_ok=True)
    return [f"released the lock of {lock.describe(now)}: that process is gone" for lock in found]


def repair(folder: Path, project: str, stack: str) -> list[str]:
    """Remove truncated metadata files of a killed update; return a line for each.

    Pulumi's file backend replaces the state atomically, but writes its metadata (``.attrs``) in place. If Pulumi is
    killed in that moment, the truncated file keeps it from reading the state (`failed to load checkpoint: EOF`).
    The metadata is optional, so the file can be removed.
    """
    place = folder / ".pulumi" / "stacks" / project
    truncated = [path for path in sorted(place.glob(f"{stack}.json*.attrs")) if not _is_json(path)]
    for path in truncated:
        path.unlink(missing_ok=True)
    return [f"removed {path.name}, which a killed update left truncated; the state is complete" for path in truncated]


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _refusal(lock: Lock, stack: str, now: datetime) -> LockError:
    found = f"stack {stack} is locked by {lock.describe(now)}"
    if lock.is_local:
        return LockError(
            f"{found}: it still runs",
            "two concurrent updates would undo each other's work",
            "wait until it ends, then run this again",
        )
    return LockError(
        found,
        "whether it still runs can only be checked there, as that user",
        "wait until it ends; if it certainly has, release the lock with `pulumi cancel`",
    )


def _read(path: Path) -> Lock:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromisoformat(data["timestamp"])
        return Lock(path, int(data["pid"]), str(data["username"]), str(data["hostname"]), since)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise LockError(
            f"{path} cannot be read as a lock: {err}",
            "it is unknown whether an update runs, and Pulumi refuses to start one",
            "make sure that none runs, then release it with `pulumi cancel`",
        ) from err


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER", "")


def _is_running(pid: int, since: datetime) -> bool:
    """Return whether the process that took the lock may still run, rather than another with the same PID."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat.rpartition(")")[2].split()
        if fields[0] in "ZX":
            return False
        return name.startswith("pulumi") or _start_time(int(fields[19])) <= since.timestamp() + _TOLERANCE
    except (OSError, ValueError, LookupError):
        # without /proc nothing more is known
        return True


def _start_time(ticks: int) -> float:
    """Convert a start time in ticks since boot to seconds since 1970."""
    lines = (_PROC / "stat").read_text(encoding="utf-8").splitlines()
    booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return booted + ticks / os.sysconf("SC_CLK_TCK")
