"""A machine of its own on this one: Debian's User Mode Linux, with systemd as process 1 and cgroups of version 2.

https://docs.kernel.org/virt/uml/user_mode_linux_howto_v2.html. It has one CPU and is several times slower than the
machine that it runs on.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.machines.isolation import MachineError, bind, mount_kernel_folders

ADDRESS = "10.9.0.2"
_GATEWAY = "10.9.0.1/24"
_MAPS = Path("/proc/sys/vm/max_map_count")
_MAPS_NEEDED = 1048576
"""Each page of a process there may be a mapping here."""
_CPU = Path("/proc/cpuinfo")
_BOOT_SECONDS = 600.0
_NETWORK = f"""
ip link set lo up
ip tuntap add uml0 mode tap
ip address add {_GATEWAY} dev uml0
ip link set uml0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
iptables -t nat -A POSTROUTING -s 10.9.0.0/24 -o tap0 -j MASQUERADE
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine that is up. It sees `shared` as /machine."""

    shared: Path
    kernel: "subprocess.Popen[bytes]"
    enter: tuple[str, ...]
    """The words before a command that put it into the network that leads to the machine."""

    def command(self, script: str) -> list[str]:
        """The words that run a script of sh on it, as root."""
        options = {
            "IdentityFile": self.shared / "key",
            "UserKnownHostsFile": self.shared / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "60",
            "ServerAliveCountMax": "20",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [*self.enter, "ssh", *words, f"root@{ADDRESS}", script]

    def run(self, script: str) -> int:
        """Runs the script, whose output is shown as it comes; returns its exit code."""
        return subprocess.run(self.command(script), stdin=subprocess.DEVNULL, check=False).returncode

    def await_ssh(self) -> None:
        """Raises MachineError where it does not answer."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while subprocess.run(self.command("true"), capture_output=True, check=False).returncode != 0:
            if self.kernel.poll() is not None or time.monotonic() > deadline:
                said = (self.shared / "console.log").read_text(errors="replace").splitlines()[-15:]
                raise MachineError("the machine does not come up:\n" + "\n".join(said))
            time.sleep(1)

    def power_off(self) -> None:
        """Ends it; what it did not finish within two minutes is lost."""
        self.run("systemctl poweroff")
        try:
            self.kernel.wait(120)
        except subprocess.TimeoutExpired:
            self.kernel.kill()


def _preload(shared: Path) -> list[str]:
    """The variable that has the kernel run on a CPU with AMX (xstate.c); none on others.

    It is compiled for this run: /machine is the shared folder there. Raises MachineError without gcc.
    """
    if "amx_tile" not in _CPU.read_text():
        return []
    if not shutil.which("gcc"):
        raise MachineError(
            "this CPU has AMX, for which a part is compiled, and gcc is missing\nbring it: apt-get install gcc"
        )
    source = Path(__file__).with_name("xstate.c")
    words = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(shared / "xstate.so"), str(source), "-ldl"]
    subprocess.run(words, check=True)
    return ["LD_PRELOAD=/machine/xstate.so"]


def boot(root: Path, disk: Path, shared: Path, memory: str, say: Callable[[str], None]) -> Machine:
    """Boots a copy of the disk with the kernel that lies in the root folder. Raises MachineError where it stays down.

    To be called in namespaces of its own (isolation.isolated): nothing here is taken back.
    """
    for program in ("slirp4netns", "nsenter", "ssh-keygen"):
        if not shutil.which(program):
            raise MachineError(f"{program} is missing\nbring it: apt-get install slirp4netns util-linux openssh-client")
    if int(_MAPS.read_text()) < _MAPS_NEEDED:
        raise MachineError(
            f"{_MAPS} is {_MAPS.read_text().strip()}: a process with more pages than that ends with SIGSEGV in the\n"
            f"machine, kube-apiserver for one\nallow more here: sysctl vm.max_map_count={_MAPS_NEEDED}"
        )
    mount_kernel_folders(root)
    bind(shared, root / "machine")
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(disk), str(shared / "disk")], check=True)
    _make_key(root, shared)
    network = _network()
    enter = ("nsenter", f"--net=/proc/{network.pid}/ns/net", "--")
    words = [
        f"mem={memory}", "ubd0=/machine/disk", "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1",
        "vec0:transport=tap,ifname=uml0,depth=64",
    ]  # fmt: skip
    say("booting (console.log in the folder of the run)")
    kernel = subprocess.Popen(
        [
            *enter,
            "chroot",
            str(root),
            "env",
            "-i",
            "PATH=/usr/bin:/usr/sbin",
            "HOME=/tmp",
            "TMPDIR=/tmp",
            *_preload(shared),
            "linux.uml",
            *words,
        ],
        stdin=subprocess.DEVNULL,
        stdout=(shared / "console.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    machine = Machine(shared=shared, kernel=kernel, enter=enter)
    machine.await_ssh()
    return machine


def _make_key(root: Path, shared: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "machine", "-f", str(shared / "key")]
    subprocess.run(command, check=True)
    shutil.copy(shared / "key.pub", shared / "authorized_keys")
    host_key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (shared / "known_hosts").write_text(f"{ADDRESS} {' '.join(host_key.split()[:2])}\n")


def _network() -> "subprocess.Popen[bytes]":
    """A network with a cable for the machine and a way out without privileges; it is that of the process returned."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()  # in its own network by now
    outside = ["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback", str(holder.pid), "tap0"]
    subprocess.Popen(outside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    entered = ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--", "sh", "-ec", _NETWORK]
    done = subprocess.run(entered, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"no network for the machine: {done.stderr.strip()}")
    return holder
