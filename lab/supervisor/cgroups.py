"""The cgroup that a twin lives in, as its first process needs it. Standard library only, as all of the supervisor.

Version 1 has a hierarchy for each controller, version 2 one for all. In version 2 a cgroup either holds processes or
hands controllers down to the cgroups below it (`cgroup.subtree_control`), so the twin's own cgroup must be empty by
the time that controllers are handed down: whatever runs in the twin runs in a leaf of it.
See https://docs.kernel.org/admin-guide/cgroup-v2.html, "No Internal Process Constraint".
"""

import errno
import os
from pathlib import Path

from lab.supervisor import linux

ROOT = Path("/sys/fs/cgroup")
LEAF = "init"
# What the kubelet and runc count and limit with; a kernel may have fewer of them.
CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")


def is_version_2() -> bool:
    """Whether version 2 is all that the machine has. Beside version 1 it is one more hierarchy, with no controllers."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The root of each hierarchy. Raises RuntimeError where none is mounted."""
    if is_version_2():
        return [ROOT]
    found = sorted({path.resolve() for path in ROOT.iterdir() if (path / "cgroup.procs").exists()})
    if not found:
        raise RuntimeError(f"no cgroups are mounted below {ROOT}")
    return found


def words(file: Path) -> set[str]:
    """The words in a file of the kernel's, such as the controllers in `cgroup.subtree_control`."""
    return set(file.read_text().split())


def hand_down(folder: Path, controllers: set[str]) -> None:
    """Enables the controllers for the cgroups below the folder. Raises OSError that says which and where."""
    for controller in sorted(controllers):
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            what = f"cannot hand down {controller}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, what, str(folder)) from error


def enter(name: str) -> None:
    """Moves this process into the cgroups of that name and makes them the root of its cgroup namespace.

    In version 2 the process then goes on into the leaf, and the cgroup hands its controllers down. All of this is
    done by the one process that is in there, before it has children: nobody else can be in the way.
    """
    for hierarchy in hierarchies():
        (hierarchy / name / "cgroup.procs").write_text(str(os.getpid()))
    linux.unshare(linux.CLONE_NEWCGROUP)
    if not is_version_2():
        return
    own = ROOT / name
    (own / LEAF).mkdir(exist_ok=True)
    (own / LEAF / "cgroup.procs").write_text(str(os.getpid()))
    if left := sorted(words(own / "cgroup.procs")):
        raise OSError(errno.EBUSY, f"processes {', '.join(left)} are in it and not in {LEAF}", str(own))
    hand_down(own, words(own / "cgroup.controllers") & set(CONTROLLERS))


def mount_points() -> list[tuple[Path, str, str]]:
    """(mount point, file system, options) of each hierarchy of the machine, as the twin is to mount it again."""
    wanted = [ROOT] if is_version_2() else hierarchies()
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        where = Path(left.split(" ")[4])
        if kind in {"cgroup", "cgroup2"} and where in wanted:
            own = ",".join(option for option in options.split(",") if option not in {"rw", "ro"})
            found[where] = (where, kind, own if kind == "cgroup" else "")
    return list(found.values())
