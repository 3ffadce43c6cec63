"""The few system calls that namespaces need, with errors that name their argument.

Only the standard library: the supervisor imports this module before it leaves the machine's root folder.
"""

import ctypes
import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
MNT_DETACH = 0x2

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)

Result = TypeVar("Result")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Gives this process namespaces of its own; CLONE_NEWPID takes effect for its next child."""
    _checked(_libc.unshare(flags), "unshare")


def setns(namespace: Path, kind: int) -> None:
    """Moves the calling thread into the namespace that the file /proc/PID/ns/... stands for."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(descriptor, kind), f"setns {namespace}")
    finally:
        os.close(descriptor)


def mount_points() -> list[Path]:
    """Where something is mounted, as this process sees it."""
    return [Path(line.split(" ")[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError naming source and target."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked(_libc.mount(*arguments), f"mount {source} on {target}")


def unmount(target: str) -> None:
    """Takes a mount away at once; what still uses it keeps it until it ends."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"unmount {target}")


def pivot_root(new_root: str) -> None:
    """Makes new_root (a mount point) the root folder of this mount namespace and lets the old one go."""
    number = _PIVOT_ROOT[platform.machine()]
    os.chdir(new_root)
    # With both arguments the same, the old root is stacked on the new one, and "." is then the old one.
    _checked(_libc.syscall(number, b".", b"."), f"pivot_root {new_root}")
    unmount(".")
    os.chdir("/")


def in_network(pid: int, function: Callable[[], Result]) -> Result:
    """Calls the function inside the network of the process pid and returns or raises what it does.

    It runs in a thread of its own, the only one that moves; threads which the function starts are born there.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            setns(Path(f"/proc/{pid}/ns/net"), CLONE_NEWNET)
            outcome.append(function())
        except BaseException as error:  # handed over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name=f"network of {pid}", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
