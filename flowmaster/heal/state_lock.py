"""Pulumi's locks of a stack in a file backend: who holds them, since when, and whether whoever did is still there.

The lock of an update that was killed stays for ever: it has no expiry. It is known to be stale where it was taken on
this machine by this user, and the process that took it is gone. Of any other, nothing is known here.
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
"""Seconds by which the clock of processes and that of the lock may differ."""


class LockError(UserError):
    """The stack is locked, and the lock is not this program's to release."""


@dataclass(frozen=True)
class Lock:
    """A lock as Pulumi writes it. Its file has a name of its own for each run, so removing it removes no other."""

    path: Path
    pid: int
    user: str
    host: str
    since: datetime

    def told(self, now: datetime) -> str:
        """Who holds it, and since when."""
        at = self.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{self.user}@{self.host} (process {self.pid}) since {at}, {ago(self.since, now)}"

    @property
    def here(self) -> bool:
        """Whether it was taken on this machine by this user, so that its process can be looked for."""
        return self.host == socket.gethostname() and self.user == _user()

    @property
    def stale(self) -> bool:
        """Whether the process that took it is certainly gone."""
        return self.here and not _runs(self.pid, self.since)


def locks(folder: Path, project: str, stack: str) -> list[Lock]:
    """The locks of a stack in a file backend's folder.

    :raises LockError: where one cannot be read.
    """
    place = folder / ".pulumi" / "locks" / "organization" / project / stack
    return [_read(path) for path in sorted(place.glob("*.json"))]


def release(found: Sequence[Lock], stack: str, now: datetime | None = None) -> list[str]:
    """Release stale locks; returns a line for each.

    :raises LockError: where one is not stale, with who holds it; then none is released.
    """
    now = now or datetime.now(UTC)
    held = next((lock for lock in found if not lock.stale), None)
    if held is not None:
        raise _refusal(held, stack, now)
    for lock in found:
        lock.path.unlink(missing_ok=True)
        lock.path.with_name(f"{lock.path.name}.attrs").unlink(missing_ok=True)
    return [f"released the lock of {lock.told(now)}: that process is gone" for lock in found]


def mend(folder: Path, project: str, stack: str) -> list[str]:
    """Remove what a write that was killed left half-written beside the state; returns a line for each.

    The state itself is moved into its place whole. But Pulumi's file backend keeps a description (``.attrs``) beside
    it, which it can do without and writes in place: killed in that moment it leaves one that cannot be read, and then
    reads the state no more (`failed to load checkpoint: EOF`).
    """
    place = folder / ".pulumi" / "stacks" / project
    spoilt = [path for path in sorted(place.glob(f"{stack}.json*.attrs")) if not _is_json(path)]
    for path in spoilt:
        path.unlink(missing_ok=True)
    return [f"removed {path.name}, which a killed update left half-written; the state is whole" for path in spoilt]


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _refusal(lock: Lock, stack: str, now: datetime) -> LockError:
    found = f"stack {stack} is locked by {lock.told(now)}"
    if lock.here:
        return LockError(
            f"{found}: it still runs",
            "two updates at once would undo each other's work",
            "wait for it to end, then run this again",
        )
    return LockError(
        found,
        "whether it still runs can only be told there, as that user",
        "wait for it to end; where it certainly has, release the lock with `pulumi cancel`",
    )


def _read(path: Path) -> Lock:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromisoformat(data["timestamp"])
        return Lock(path, int(data["pid"]), str(data["username"]), str(data["hostname"]), since)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise LockError(
            f"{path} is not a lock that can be read: {err}",
            "whether an update runs cannot be told, and Pulumi will refuse to start one",
            "make sure that none runs, then release it with `pulumi cancel`",
        ) from err


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER", "")


def _runs(pid: int, since: datetime) -> bool:
    """Whether that process may still be the one that took the lock: alive, and not merely another with its number."""
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
        return name.startswith("pulumi") or _started(int(fields[19])) <= since.timestamp() + _TOLERANCE
    except (OSError, ValueError, LookupError):
        # a machine without /proc tells no more
        return True


def _started(ticks: int) -> float:
    """When a process was started, in seconds since 1970, by its ticks since the machine was."""
    lines = (_PROC / "stat").read_text(encoding="utf-8").splitlines()
    booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return booted + ticks / os.sysconf("SC_CLK_TCK")
