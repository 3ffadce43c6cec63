"""The processes and cgroups of a twin, found by its name alone."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from lab.twin.layout import cgroup_name

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
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


def cgroup_folders(name: str) -> list[Path]:
    """The twin's cgroup in every hierarchy of the machine."""
    own = cgroup_name(name)
    places = [_CGROUPS / own, *(folder / own for folder in _CGROUPS.iterdir() if folder.is_dir())]
    return sorted({place.resolve() for place in places if (place / "cgroup.procs").exists()})


def members(name: str) -> set[int]:
    """All processes in the twin's cgroups."""
    return {
        int(pid)
        for folder in cgroup_folders(name)
        for file in folder.rglob("cgroup.procs")
        for pid in _read(file).split()
    }


def memory_bytes(name: str) -> int:
    """The twin's memory: each process's own pages, and of shared ones its share (proportional set size)."""
    total = 0
    for pid in members(name):
        for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def end_all(name: str, patience: float = 30.0) -> bool:
    """Kills the twin's processes and waits until the last is gone; returns whether there were any.

    Raises TimeoutError, naming them, when some outlive that many seconds.
    """
    deadline = time.monotonic() + patience
    ended: set[int] = set()
    while pids := {pid for pid in {*supervisors(name), *members(name)} - {os.getpid()} if is_alive(pid)}:
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


def remove_cgroups(name: str, patience: float = 10.0) -> bool:
    """Removes the twin's empty cgroups, innermost first; returns whether there were any.

    Raises TimeoutError when the kernel still counts something in one after that many seconds.
    """
    deadline = time.monotonic() + patience
    any_found = False
    while folders := cgroup_folders(name):
        any_found = True
        for top in folders:
            inside = sorted((path.parent for path in top.rglob("cgroup.procs")), reverse=True)
            for folder in inside:
                try:
                    folder.rmdir()
                except OSError:  # busy for a moment after its last process
                    continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"cgroups {', '.join(map(str, folders))} stay busy")
        time.sleep(0.02)
    return any_found
