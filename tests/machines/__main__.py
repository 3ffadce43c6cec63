"""Try the project on another machine. `python3 -m tests.machines --help` says how."""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lab.supervisor import linux
from lab.tools import cache, manifest
from lab.twin import cleanup, service
from tests.machines import trees, uml
from tests.machines.isolation import MachineError, bind, isolated, mount_kernel_folders

ROOT = Path(__file__).resolve().parents[2]
JOBS = Path(__file__).parent / "jobs"
_STARTED = time.monotonic()
TWIN = "elsewhere"
_TRUST = "/etc/ssl/certs/ca-certificates.crt"


def main() -> int:
    """Runs the job on the machine that was asked for; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.machines", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    machine = kinds.add_parser("machine", help="Debian 13 with systemd and cgroup v2: main job, and tests of the lab")
    machine.add_argument("--memory", default="6G", help="its memory (default: %(default)s)")
    userland = kinds.add_parser("userland", help="a release's programs on this kernel: lint, and tests without a twin")
    userland.add_argument("--release", default="trixie", choices=sorted(trees.RELEASES))
    for kind in (machine, userland):
        kind.add_argument("script", nargs="?", help="what to run there instead, in the project's folder; text of sh")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, told_to_end)
    if os.geteuid() != 0:
        print("error: root is needed, for mounts and namespaces\nrun it with sudo or as root", file=sys.stderr)
        return 1
    try:
        release = trees.MACHINE if arguments.kind == "machine" else trees.RELEASES[arguments.release]
        trees.folder().mkdir(parents=True, exist_ok=True)
        root = trees.tree(release)
        disk = trees.image(release) if arguments.kind == "machine" else None
        with run_folder() as folder:
            job = "".join((JOBS / f"{name}.sh").read_text() for name in ("steps", arguments.kind))
            script = arguments.script or job
            write_project(folder / "project")
            write_tools(folder / "tools")
            if disk:
                return isolated(lambda: on_machine(root, disk, folder, script, arguments.memory))
            try:
                return isolated(lambda: in_userland(root, folder, script))
            finally:
                cleanup.remove(TWIN)
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def told_to_end(number: int, _: object) -> NoReturn:
    """Ends as asked, with all that `finally` has to do."""
    say(f"ended by {signal.Signals(number).name}")
    sys.exit(128 + number)


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for this run. What a killed run left is removed, at the end of this one what it made."""
    for old in trees.folder().glob("run-*"):
        with (old / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # somebody else's, at work
            shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=trees.folder()))
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def write_project(folder: Path) -> None:
    """The files of this clone that git knows, as they are now."""
    folder.mkdir()
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def write_tools(folder: Path) -> None:
    """The tools of this clone that are there; compiled on the other machine, they would take hours."""
    programs = manifest.programs(manifest.DEFAULT_GROUPS)
    if lacking := [program.name for program in programs if not cache.is_there(program)]:
        say(f"not here, so the other machine must have them or bring them: {', '.join(lacking)} (lab/bootstrap)")
    there = [cache.folder(program) for program in programs if cache.is_there(program)]
    for path in (*there, service.program().parent):
        shutil.copytree(path, folder / path.parent.name / path.name, symlinks=True)


def on_machine(root: Path, disk: Path, folder: Path, script: str, memory: str) -> int:
    """Boots the machine, runs the script on it, switches it off."""
    machine = uml.boot(root, disk, folder, memory, say)
    say("up; the project and the tools are copied to it")
    begun = machine.run(
        "mkdir -p .cache/flowmaster && cp -a /machine/project project && cp -a /machine/tools .cache/flowmaster/tools"
    )
    code = begun or machine.run(f"cd project\n{_variables()}\n{script}")
    say(f"ended with {code}; switching off")
    machine.power_off()
    return code


def in_userland(root: Path, folder: Path, script: str) -> int:
    """Runs the script in the release's root folder, whose files it may change: they are a layer that goes."""
    changed, work, top = folder / "changed", folder / "work", folder / "root"
    for made in (changed, work, top):
        made.mkdir()
    linux.mount("machine", str(top), "overlay", options=f"lowerdir={root},upperdir={changed},workdir={work}")
    mount_kernel_folders(top)
    (top / "etc/resolv.conf").unlink(missing_ok=True)  # of a release with systemd-resolved, a link into /run
    shutil.copy("/etc/resolv.conf", top / "etc/resolv.conf")
    shutil.copytree(folder / "project", top / "root/project", symlinks=True)
    (folder / "cache").mkdir()  # the twin's disk cannot be a layer
    (folder / "tools").rename(folder / "cache/tools")
    bind(folder / "cache", top / "root/.cache/flowmaster")
    command = ["chroot", str(top), "env", "-i", "HOME=/root", f"PATH={_PATH}", "sh", "-c"]
    code = subprocess.run([*command, f"cd /root/project\n{_variables()}\n{script}"], check=False).returncode
    say(f"ended with {code}")
    return code


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _variables() -> str:
    """What programs with certificates of their own need to trust what the system trusts."""
    return f"export LANG=C.UTF-8 SSL_CERT_FILE={_TRUST} PIP_CERT={_TRUST} FLOWMASTER_TWIN={TWIN}"


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:4.0f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
