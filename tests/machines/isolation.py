"""Work in namespaces of its own, so that mounts, interfaces and processes of it end with it, however it ends."""

import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from lab.supervisor import linux

_PR_SET_PDEATHSIG = 1


def isolated(work: Callable[[], int]) -> int:
    """Does the work as process 1 of a PID namespace with mounts of its own; returns its exit code.

    When this process ends, by whatever signal, the kernel ends process 1, and with it all that it began.
    """
    # A process between: one that has lost the first process of its namespace can begin no others.
    pid = _child(lambda: _wait(_unshared(work)))
    try:
        return _wait(pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _unshared(work: Callable[[], int]) -> int:
    linux.unshare(linux.CLONE_NEWPID)
    return _child(lambda: _first_process(work))


def _first_process(work: Callable[[], int]) -> int:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    return work()


def _wait(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        raise MachineError(f"the run was ended by {signal.Signals(-code).name}\nrun it again")
    return code


def _child(work: Callable[[], int]) -> int:
    """A child that does the work and ends with its exit code, or when this process ends; returns its number."""
    alive, held = os.pipe()
    pid = os.fork()
    if pid:
        os.close(alive)  # the other end stays open for as long as this process lives
        return pid
    os.close(held)
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)  # it ended before it was watched
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to take: a key press reaches all
        code = work()
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class MachineError(Exception):
    """What is in the way of a machine, and what to do about it."""


def bind(source: Path, target: Path, *, readonly: bool = False) -> None:
    """Shows a folder or a file of this machine at another place, too."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    linux.mount(str(source), str(target), flags=linux.MS_BIND | linux.MS_REC)
    if readonly:
        linux.mount("none", str(target), flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY)


def mount_kernel_folders(root: Path) -> None:
    """/proc, /sys and /dev below a root folder, and a /tmp of memory whose files may run."""
    linux.mount("proc", str(root / "proc"), "proc")
    bind(Path("/sys"), root / "sys")
    bind(Path("/dev"), root / "dev")
    linux.mount("machine", str(root / "tmp"), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777,size=14g")
