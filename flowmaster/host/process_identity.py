"""Process identity that survives PID reuse and reboots, to tell whether a process is gone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def identity(pid: int | None = None) -> str | None:
    """What no other process ever is: this start of the machine, its namespace, the number in it, and when it began.

    None where the kernel does not tell (no `/proc`), or where there is no such process.

    :param pid: another process than this one.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {_namespace()} {pid or os.getpid()} {_began(pid or os.getpid())}"
    except (OSError, LookupError):
        return None


def is_gone(known: str | None) -> bool:
    """Whether the process of that :func:`identity` certainly runs no more.

    False where that cannot be told from here: it is of another machine, of another container, or of somebody unknown.
    """
    here = identity()
    if not known or not here or known.split()[:2] != here.split()[:2]:
        return False
    with suppress(ValueError, IndexError):
        return identity(int(known.split()[2])) != known
    return False


def _namespace() -> str:
    """Numbers of processes mean something only in their own."""
    return (_PROC / "self/ns/pid").readlink().name


def _began(pid: int) -> str:
    """In the kernel's ticks since the start of the machine.

    :raises LookupError: where it has ended, and only waits for whoever began it to notice.
    """
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise LookupError(pid)
    return fields[19]
