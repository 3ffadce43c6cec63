"""The processes of a twin, found by its name alone."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from lab.twin import cgroups
from lab.twin.patience import patience

_PROC = Path("/proc")
_BURIAL = 3.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def supervisors(name: str) -> list[int]:
    """Processes that run the supervisor of that twin, also one that is only about to become its first process."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            words = _read(folder / "cmdline").split("\0")
            if "lab.supervisor" in words and f"--twin={name}" in words:
                found.append(int(folder.name))
    return found


def first_process(name: str) -> int | None:
    """The twin's process 1, by its number on the machine."""
    for pid in supervisors(name):
        status = _read(_PROC / str(pid) / "status")
        numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        state = next((line.split()[1] for line in status.splitlines() if line.startswith("State:")), "Z")
        if len(numbers) > 1 and numbers[-1] == "1" and state != "Z":
            return pid
    return None


def is_alive(pid: int) -> bool:
    return _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"], ["X"])


def memory_bytes(name: str) -> int:
    """The twin's memory: each process's own pages, and of shared ones its share (proportional set size)."""
    total = 0
    for pid in cgroups.members(name):
        for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def end_all(name: str, seconds: float = 30.0) -> bool:
    """Kills the twin's processes and waits until the last is gone; returns whether there were any.

    Raises TimeoutError, naming them, when some outlive that many seconds.
    """
    deadline = time.monotonic() + patience(seconds)
    ended: set[int] = set()
    while pids := {pid for pid in {*supervisors(name), *cgroups.members(name)} - {os.getpid()} if is_alive(pid)}:
        ended |= pids
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(pids)} do not end")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    # The first process is an orphan of the machine, whose own first process buries it when it gets round to it.
    buried_by = time.monotonic() + _BURIAL
    while any((_PROC / str(pid)).exists() for pid in ended) and time.monotonic() < buried_by:
        time.sleep(0.02)
    return bool(ended)
