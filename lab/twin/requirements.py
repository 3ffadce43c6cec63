"""What the machine must have before a twin can come up."""

import os
import platform
import shutil
from pathlib import Path

from lab.twin.errors import TwinError

# Program -> Debian package; those of the server come from the machine's own packages.
_PROGRAMS = {
    "containerd": "containerd",
    "curl": "curl",
    "docker": "docker-cli",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "iptables": "iptables",
    "nginx": "nginx-light",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "sudo": "sudo",
}
# What the twin shares with the machine; /usr/local is its own.
_SEARCHED = "/usr/sbin:/usr/bin:/sbin:/bin"
# File systems that an overlay cannot write to; the first is what a container's own disk is.
_NO_DISK = {"overlay", "nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "vfat"}
_NETWORK_PLUGINS = Path("/usr/lib/cni/bridge")


def check_folder(folder: Path, mounts: str | None = None) -> None:
    """Raises TwinError where the server's disk cannot lie in that folder. `mounts` is as in /proc/self/mountinfo."""
    remedy = "set FLOWMASTER_CACHE to a folder on a disk of this machine (ext4, xfs, btrfs)"
    if "," in str(folder):
        raise TwinError(f"the folder {folder} has a comma in its name, which mounts cannot have\n{remedy}")
    found = (line.split(" ") for line in (mounts or Path("/proc/self/mountinfo").read_text()).splitlines())
    kinds = {Path(words[4]): words[words.index("-") + 1] for words in found}
    kind = next(kinds[parent] for parent in [folder, *folder.parents] if parent in kinds)
    if kind in _NO_DISK:
        raise TwinError(f"the folder {folder} is on a file system of kind {kind}, which cannot be layered\n{remedy}")


def program(name: str) -> str:
    """Where the machine has that program. Raises TwinError where it lacks it."""
    found = _find(name)
    if not found:
        raise TwinError(f"the program {name} is missing\nbring it: apt-get install {_PROGRAMS[name]}")
    return found


def _find(name: str) -> str | None:
    return shutil.which(name, path=_SEARCHED)


def check() -> None:
    """Raises TwinError that names everything missing and the command that brings it."""
    if platform.system() != "Linux":
        raise TwinError(f"the twin needs Linux, this is {platform.system()}\nrun it in a Linux virtual machine")
    if os.geteuid() != 0:
        raise TwinError("the twin needs root, for it makes namespaces and mounts\nrun it with sudo or as root")
    missing = missing_packages()
    if missing:
        raise TwinError(
            f"the twin needs Debian packages that this machine lacks: {', '.join(missing)}\n"
            "bring them: lab/bootstrap, or apt-get install --no-install-recommends " + " ".join(missing)
        )
    if not any(Path("/sys/fs/cgroup").rglob("cgroup.procs")):
        raise TwinError("no cgroups are mounted below /sys/fs/cgroup\nmount them: the twin's containers need them")


def missing_packages() -> list[str]:
    """Debian packages the machine lacks, sorted."""
    missing = {package for program, package in _PROGRAMS.items() if not _find(program)}
    if not _NETWORK_PLUGINS.exists():
        missing.add("containernetworking-plugins")
    if "docker.io" in missing:  # which brings the command on most releases; Debian 13 has it in a package of its own
        missing.discard("docker-cli")
    return sorted(missing)
