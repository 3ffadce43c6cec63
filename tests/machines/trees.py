"""Root folders of releases, made by mmdebstrap from their own packages and kept for the next time."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.tools.cache import cache_root
from tests.machines.isolation import MachineError

FILES = Path(__file__).parent / "files"
_KERNEL = "user-mode-linux"
_SYSTEM = ("dbus", "iproute2", "iptables", "kmod", "openssh-server", "systemd", "systemd-sysv", "udev")
_BASE = ("ca-certificates", "git", "make", "procps", "python3", "python3-venv")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release as mmdebstrap knows it."""

    suite: str
    distribution: str = "debian"
    components: str = "main"
    packages: tuple[str, ...] = _BASE
    options: tuple[str, ...] = ()
    """Further ones of mmdebstrap."""
    keyring_of: "Release | None" = None
    """The release that has the keys of this one's packages (ubuntu-keyring), where this machine need not have them."""

    @property
    def name(self) -> str:
        mixed = hashlib.sha256(repr(self).encode())
        for file in sorted(FILES.rglob("*")) if _KERNEL in self.packages else ():
            mixed.update(file.read_bytes() if file.is_file() else b"")
        return f"{self.suite}-{mixed.hexdigest()[:10]}"


_UBUNTU_KEYRING = "usr/share/keyrings/ubuntu-archive-keyring.gpg"
_TRIXIE = Release(suite="trixie", packages=(*_BASE, "ubuntu-keyring"))
RELEASES = {
    "trixie": _TRIXIE,
    # Of sid any state will do: a mirror that is some weeks behind, too.
    "sid": Release(suite="sid", options=('--aptopt=Acquire::Check-Valid-Until "false"',)),
    "noble": Release(suite="noble", distribution="ubuntu", components="main,universe", keyring_of=_TRIXIE),
}
"""Releases whose userland is tried on this machine's kernel, by name: Debian 13, what comes next, Ubuntu 24.04."""
MACHINE = Release(
    suite="trixie",
    packages=(*_BASE, *_SYSTEM, _KERNEL),
)
"""The machine that runs: systemd, and the kernel that it is run with."""


def folder() -> Path:
    """Where trees, images and runs are kept."""
    return cache_root() / "machines"


def tree(release: Release) -> Path:
    """The release's root folder, made if it is not there yet. Raises MachineError where that fails."""
    kept = folder() / release.name
    if kept.exists():
        return kept
    if not shutil.which("mmdebstrap"):
        raise MachineError("mmdebstrap is missing, which makes the root folder\nbring it: apt-get install mmdebstrap")
    keys = [f"--keyring={tree(release.keyring_of) / _UBUNTU_KEYRING}"] if release.keyring_of else []
    new = folder() / f".new-{os.getpid()}"
    print(f"making the root folder of {release.suite}, once", flush=True)
    options = [f"--include={','.join(release.packages)}", f"--components={release.components}", "--variant=important"]
    try:
        _run("mmdebstrap", "--quiet", *options, *release.options, *keys, release.suite, str(new), _mirror(release))
        _finish(new)
        new.rename(kept)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return kept


def _mirror(release: Release) -> str:
    """Where the release's packages are: what FLOWMASTER_MIRROR_DEBIAN or _UBUNTU says, else where this machine's are.

    Raises MachineError where neither says so.
    """
    variable = f"FLOWMASTER_MIRROR_{release.distribution.upper()}"
    if named := os.environ.get(variable):
        return named
    apt = Path("/etc/apt")
    for file in (apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))):
        for word in file.read_text().split() if file.is_file() else ():
            if "://" in word and word.rstrip("/").endswith(f"/{release.distribution}"):
                return word
    raise MachineError(
        f"this machine's apt knows no mirror of {release.distribution}\nname one: {variable}=URL, as in sources.list"
    )


def _finish(root: Path) -> None:
    """What this machine trusts, the new one trusts too; the rest is what it needs to be one."""
    own = Path("/usr/local/share/ca-certificates")
    if any(own.glob("*.crt")):
        shutil.copytree(own, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
        _run("chroot", str(root), "update-ca-certificates")
    if (root / "usr/lib/uml").exists():
        shutil.copytree(FILES, root, dirs_exist_ok=True)
        (root / "machine").mkdir()
        _run("chroot", str(root), "sh", "-e", "/usr/local/sbin/machine-setup")


def image(release: Release) -> Path:
    """The release's root folder as a disk of 40 GB (most of it a hole), made if it is not there yet."""
    kept = folder() / f"{release.name}.ext4"
    if not kept.exists():
        new = kept.with_suffix(f".new-{os.getpid()}")
        try:
            with new.open("wb") as file:
                file.truncate(40 * 10**9)
            _run("mke2fs", "-q", "-t", "ext4", "-d", str(tree(release)), str(new))
            new.rename(kept)
        finally:
            new.unlink(missing_ok=True)
    return kept


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"{command[0]} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
