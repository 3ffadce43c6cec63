"""From a process of the machine to process 1 of a server of its own.

Every process, mount, interface and rule of a twin hangs on the namespaces made here, and these on process 1:
when it ends, however it ends, the kernel takes all of it away.
"""

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from lab.supervisor import cgroups, linux

Specification = dict[str, Any]

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun")


def enter_namespaces() -> None:
    """Leaves the machine's namespaces behind; the next child is process 1 of the new ones."""
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC | linux.CLONE_NEWPID)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)


def build_root(specification: Specification) -> None:
    """Mounts the server's folders and makes them the root folder. Raises OSError where a mount fails."""
    hierarchies = cgroups.mount_points()
    root = specification["root"]
    linux.mount("twin", root, "tmpfs", linux.MS_NOSUID, "mode=755,size=16m")
    for name, target in specification["links"].items():
        Path(root, name).symlink_to(target)
    for entry in specification["mounts"]:
        _mount(root, entry)
    _mount_devices(root)
    _mount_proc(root, specification["sysctl_files"])
    _mount_sys(root, hierarchies)
    linux.pivot_root(root)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SHARED)  # containers get what is mounted later


def _mount(root: str, entry: dict[str, Any]) -> None:
    target = Path(root + entry["target"])
    kind = entry["kind"]
    if kind == "bind" and not Path(entry["source"]).is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    else:
        target.mkdir(parents=True, exist_ok=True)
    if kind == "bind":
        linux.mount(entry["source"], str(target), flags=linux.MS_BIND)
        if entry.get("readonly"):
            linux.mount("none", str(target), flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY)
    elif kind == "overlay":
        options = f"lowerdir={entry['lower']},upperdir={entry['upper']},workdir={entry['work']}"
        linux.mount("twin", str(target), "overlay", options=options)
    elif kind == "tmpfs":
        linux.mount("twin", str(target), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, entry["options"])
    else:
        raise ValueError(f"unknown kind of mount {kind!r}")


def _mount_devices(root: str) -> None:
    """A /dev of the server's own that has the harmless devices only."""
    dev = Path(root, "dev")
    dev.mkdir()
    linux.mount("twin", str(dev), "tmpfs", linux.MS_NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        if Path("/dev", name).exists():
            (dev / name).parent.mkdir(exist_ok=True)
            (dev / name).touch()
            linux.mount(f"/dev/{name}", str(dev / name), flags=linux.MS_BIND)
    for folder, kind, options in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
    ):
        (dev / folder).mkdir()
        linux.mount("twin", str(dev / folder), kind, linux.MS_NOSUID | linux.MS_NOEXEC, options)
    for link, where in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        (dev / link).symlink_to(where)
    for link, number in (("stdout", 1), ("stderr", 2)):
        (dev / link).symlink_to(f"/proc/self/fd/{number}")


def _mount_proc(root: str, sysctl_files: dict[str, str]) -> None:
    """/proc, where all settings but the network's belong to the whole machine and must not be written from here.

    The kubelet insists on some: it finds files of the twin's own with the values that it wants. Files of /proc that
    the machine shows otherwise than its kernel (lxcfs does so, for one) are shown so in the twin, too.
    """
    shown = [point for point in linux.mount_points() if point.parent == Path("/proc") and point.is_file()]
    proc = Path(root, "proc")
    proc.mkdir()
    linux.mount("proc", str(proc), "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    settings = str(proc / "sys")
    linux.mount(settings, settings, flags=linux.MS_BIND)
    linux.mount("none", settings, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY)
    linux.mount(f"{settings}/net", f"{settings}/net", flags=linux.MS_BIND)
    linux.mount("none", f"{settings}/net", flags=linux.MS_BIND | linux.MS_REMOUNT)
    for file in shown:
        linux.mount(str(file), str(proc / file.name), flags=linux.MS_BIND)
    for name, value in sysctl_files.items():
        if (proc / "sys" / name).exists():
            linux.mount(value, str(proc / "sys" / name), flags=linux.MS_BIND)


def _mount_sys(root: str, hierarchies: list[tuple[Path, str, str]]) -> None:
    """/sys of the new network, and cgroups whose root is the twin's own cgroup."""
    sys = Path(root, "sys")
    sys.mkdir()
    linux.mount("sysfs", str(sys), "sysfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    target = sys / "fs/cgroup"
    if [where for where, _, _ in hierarchies] != [cgroups.ROOT]:
        linux.mount("twin", str(target), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    for where, kind, options in hierarchies:
        folder = target / where.relative_to(cgroups.ROOT)
        folder.mkdir(exist_ok=True)
        linux.mount("cgroup", str(folder), kind, options=options)


def bring_up_network(specification: Specification) -> None:
    """Waits for the cable that the machine plugs in, then gives it its address. Raises RuntimeError without one.

    There is no route to anywhere else and no default route: nothing sent in the twin can leave it.
    """
    network = specification["network"]
    patience = specification["patience"]
    deadline = time.monotonic() + patience
    while network["link"] not in [name for _, name in socket.if_nameindex()]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no interface {network['link']} within {patience:.0f} s")
        time.sleep(0.01)
    lines = [
        "link set lo up",
        f"addr add {network['address']} dev {network['link']}",
        f"link set {network['link']} up",
        # Service addresses are rewritten on their way out, so they need a way out.
        *(f"route add {subnet} dev {network['link']}" for subnet in network["routes"]),
    ]
    _run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    for name, value in network["sysctl"].items():
        Path("/proc/sys/net", name).write_text(value)
    for command in specification["setup"]:
        _run(command)


def _run(command: list[str], text: str = "") -> None:
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=path, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
