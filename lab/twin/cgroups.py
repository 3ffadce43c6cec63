"""The cgroups of a twin as the machine sees them: made before its first process, found by its name, removed with it.

In version 2 the machine's root cgroup must hand the controllers down that the twin's containers are limited with.
What was switched on for that is written down until it is switched off again, after the last twin.
"""

import errno
import time
from contextlib import suppress
from pathlib import Path

from lab.supervisor import cgroups
from lab.supervisor.cgroups import CONTROLLERS, LEAF
from lab.twin import locks
from lab.twin.errors import TwinError
from lab.twin.layout import cgroup_name
from lab.twin.patience import patience

_SWITCHED_ON = Path("/run/flowmaster-twin-controllers")
"""Controllers that twins switched on in the root cgroup; gone with the next boot, as what it tells of."""
_LOCK = "the machine's root cgroup"
_BUSY = """\
the root cgroup of this machine cannot hand down the controllers that containers need: {error}
A container is such a machine, as long as its own processes are in its root cgroup. Move them into a leaf:
  mkdir -p {root}/init && xargs -rn1 </{root}/cgroup.procs >{root}/init/cgroup.procs"""


def make(name: str) -> None:
    """Makes the twin's cgroup in every hierarchy. Raises TwinError where the machine cannot hand controllers down."""
    own = cgroup_name(name)
    if cgroups.is_version_2():
        _make_in_version_2(cgroups.ROOT, own)
        return
    for hierarchy in cgroups.hierarchies():
        (hierarchy / own).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts them empty, and then nothing may run there
            if (hierarchy / own / file).exists() and (hierarchy / "cgroup.clone_children").exists():
                (hierarchy / own / file).write_text((hierarchy / file).read_text())


def _make_in_version_2(root: Path, own: str) -> None:
    with locks.held(_LOCK, patience(60)):
        off = cgroups.words(root / "cgroup.controllers") & set(CONTROLLERS)
        off -= cgroups.words(root / "cgroup.subtree_control")
        if off:  # written down first: a crash between the two is put right, too
            _SWITCHED_ON.write_text(" ".join(sorted(off | _switched_on())))
        (root / own).mkdir(exist_ok=True)
        try:
            cgroups.hand_down(root, off)
        except OSError as error:
            raise TwinError(_BUSY.format(error=error, root=root)) from error
    (root / own / LEAF).mkdir(exist_ok=True)


def _switched_on() -> set[str]:
    try:
        return cgroups.words(_SWITCHED_ON)
    except FileNotFoundError:
        return set()


def folders(name: str) -> list[Path]:
    """The twin's cgroup in every hierarchy of the machine."""
    own = cgroup_name(name)
    places = [cgroups.ROOT / own, *(folder / own for folder in cgroups.ROOT.iterdir() if folder.is_dir())]
    return sorted({place.resolve() for place in places if (place / "cgroup.procs").exists()})


def joined(name: str) -> list[Path]:
    """The files that a process writes its number into to belong to the twin."""
    found = []
    for folder in folders(name):
        leaf = folder / LEAF
        found.append((leaf if leaf.exists() else folder) / "cgroup.procs")
    return found


def members(name: str) -> set[int]:
    """All processes in the twin's cgroups."""
    found: set[int] = set()
    for folder in folders(name):
        for file in folder.rglob("cgroup.procs"):
            with suppress(OSError):  # the cgroup has been removed meanwhile
                found |= {int(pid) for pid in file.read_text().split()}
    return found


def remove(name: str, seconds: float = 10.0) -> bool:
    """Removes the twin's empty cgroups, innermost first; returns whether there were any.

    After the last twin of the machine, the root cgroup hands down again what it did before the first.
    Raises TimeoutError when the kernel still counts something in one after that many seconds.
    """
    deadline = time.monotonic() + patience(seconds)
    any_found = False
    while found := folders(name):
        any_found = True
        for top in found:
            inside = sorted((path.parent for path in top.rglob("cgroup.procs")), reverse=True)
            for folder in inside:
                with suppress(OSError):  # busy for a moment after its last process
                    folder.rmdir()
        if time.monotonic() > deadline:
            raise TimeoutError(f"cgroups {', '.join(map(str, found))} stay busy")
        time.sleep(0.02)
    _put_back()
    return any_found


def _put_back() -> None:
    if not _SWITCHED_ON.exists():
        return
    with locks.held(_LOCK, patience(60)):
        if any(cgroups.ROOT.glob(cgroup_name("*"))):
            return
        for controller in sorted(_switched_on()):
            try:
                (cgroups.ROOT / "cgroup.subtree_control").write_text(f"-{controller}")
            except OSError as error:
                if error.errno != errno.EBUSY:  # busy: by now somebody else hands it further down
                    raise
        _SWITCHED_ON.unlink(missing_ok=True)
