"""The server's disk: which folders are its own, which it shares with the machine read-only, and what is in them.

The machine's /usr and /etc show through below the server's own files; nothing written in the twin reaches them,
and of /root, /home, /var and /opt nothing of the machine is visible.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from lab import tools
from lab.tools.errors import ToolError
from lab.twin import daemons, kubernetes
from lab.twin.errors import TwinError
from lab.twin.layout import (
    DNS_SERVICE_ADDRESS,
    NODE_NAME,
    POD_SUBNET,
    REGISTRY_PORT,
    SERVER_LINK,
    SERVICE_SUBNET,
    Layout,
)
from lab.twin.patience import patience

FILES = Path(__file__).parent / "files"
_BEN = 1000
_CABLE_PATIENCE = 30.0
_TOOLS_FOLDER = "/usr/local/lib/twin"
# Values that the kubelet wants of the machine's kernel; it finds them in files of the twin's own.
_SYSCTL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def build(layout: Layout) -> None:
    """Writes the server's disk and what the supervisor is to do. Raises TwinError where a tool is missing."""
    disk = layout.disk
    for folder in ("etc", "etc-work", "usr", "usr-work", "root", "home", "opt", "srv", "var", "sysctl"):
        (disk / folder).mkdir(parents=True)
    (disk / "root").chmod(0o700)
    links = _tool_links()
    _write_usr_local(disk / "usr-local", links)
    _write_var(disk / "var")
    _write_etc(layout)
    kubernetes.write_files(layout, disk / "etc")
    _write_users(layout)
    for name, value in _SYSCTL.items():
        (disk / "sysctl" / name.replace("/", "-")).write_text(value + "\n")
    (layout.state / "root").mkdir()
    layout.logs.mkdir()
    layout.specification.write_text(json.dumps(_specification(layout, links), indent=1))


def _tool_links() -> dict[str, Path]:
    """Program name -> file on the machine. Several names may be one file, whose pages are then shared."""
    try:
        return {name: tools.binary(name).resolve() for name in (*daemons.TOOLS, "docker-compose")}
    except ToolError as error:
        raise TwinError(f"{error}\nmake the tools available: lab/bootstrap") from error


def _mounted_at(file: Path) -> str:
    return f"{_TOOLS_FOLDER}/{file.parent.name}-{file.name}"


def _write_usr_local(folder: Path, links: dict[str, Path]) -> None:
    plugins = folder / "lib/docker/cli-plugins"
    plugins.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "sbin").mkdir()
    for name, file in links.items():
        place = plugins / name if name == "docker-compose" else folder / "bin" / name
        place.symlink_to(_mounted_at(file))
    shutil.copy(FILES / "systemctl", folder / "bin/systemctl")


def _write_var(var: Path) -> None:
    for name in ("lib/registry", "lib/nginx", "lib/etcd", "lib/cni", "lib/sudo", "cache", "spool", "log/nginx"):
        (var / name).mkdir(parents=True)
    (var / "lib/etcd").chmod(0o700)
    (var / "tmp").mkdir()
    (var / "tmp").chmod(0o1777)
    (var / "run").symlink_to("/run")


def _write_etc(layout: Layout) -> None:
    etc = layout.disk / "etc"
    texts = {
        "hostname": f"{NODE_NAME}\n",
        "hosts": f"127.0.0.1 localhost\n{layout.server_address} {NODE_NAME}\n::1 localhost ip6-localhost\n",
        "resolv.conf": f"nameserver {DNS_SERVICE_ADDRESS}\n",
        "environment": "",
        "sudoers": _SUDOERS,
        "sudo.conf": "Set disable_coredump false\n",
        "containerd/config.toml": (FILES / "containerd.toml").read_text(),
        "containerd/certs.d/ghcr.io/hosts.toml": _mirror("ghcr.io"),
        f"containerd/certs.d/localhost:{REGISTRY_PORT}/hosts.toml": _mirror(f"localhost:{REGISTRY_PORT}"),
        "docker/registry/config.yml": (FILES / "registry.yml").read_text(),
        "docker/daemon.json": "{}\n",
        "cni/net.d/10-flowmaster.conflist": json.dumps(_pod_network(), indent=1),
    }
    for name, text in texts.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text(text)
    (etc / "sudoers").chmod(0o440)
    restore_nginx(layout)
    ssh = layout.disk / "etc-ssh"
    ssh.mkdir()
    shutil.copy(FILES / "sshd_config", ssh / "sshd_config")
    shutil.copy(layout.keys / "ssh-host", ssh / "ssh_host_ed25519_key")
    shutil.copy(layout.keys / "ssh-host.pub", ssh / "ssh_host_ed25519_key.pub")
    (layout.disk / "etc-sudoers.d").mkdir(mode=0o750)
    (layout.disk / "etc-sudoers.d/ben").write_text("ben ALL=(ALL:ALL) NOPASSWD:ALL\n")
    (layout.disk / "etc-sudoers.d/ben").chmod(0o440)


_SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
"""


def _mirror(host: str) -> str:
    """Images of that host come from the twin's registry and from nowhere else."""
    local = f"http://localhost:{REGISTRY_PORT}"
    return f'# images of {host}\nserver = "{local}"\n\n[host."{local}"]\n  capabilities = ["pull", "resolve"]\n'


def _pod_network() -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,  # there is no outside to hide pod addresses from, and its rules cost each pod a while
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(POD_SUBNET)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {
        "cniVersion": "0.4.0",
        "name": "flowmaster",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def restore_nginx(layout: Layout) -> None:
    """Puts /etc/nginx back as Debian installs it, without its default site.

    The folder itself stays, for it is mounted in the running server.
    """
    own = layout.disk / "etc-nginx"
    own.mkdir(exist_ok=True)
    for entry in own.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for entry in Path("/etc/nginx").iterdir():
        if entry.name in {"sites-enabled", "sites-available", "conf.d"}:
            (own / entry.name).mkdir()
        elif entry.is_dir():
            shutil.copytree(entry, own / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, own / entry.name)


def _write_users(layout: Layout) -> None:
    """The machine's system accounts, which Debian's packages need, and the server's two people; no passwords."""
    etc = layout.disk / "etc"
    accounts = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    system = [fields for fields in accounts if int(fields[2]) < _BEN or fields[0] == "nobody"]
    people = [["ben", "x", str(_BEN), str(_BEN), "Ben", "/home/ben", "/bin/bash"]]
    passwd = [":".join(fields) for fields in system + people]
    groups = [line.split(":") for line in Path("/etc/group").read_text().splitlines()]
    group = [
        f"{name}:x:{number}:{'ben' if name in {'sudo', 'docker'} else ''}"
        for name, _, number, _ in groups
        if int(number) < _BEN or name == "nogroup"
    ]
    (etc / "passwd").write_text("\n".join(passwd) + "\n")
    (etc / "group").write_text("\n".join([*group, f"ben:x:{_BEN}:"]) + "\n")
    (etc / "shadow").touch(mode=0o640)
    (etc / "shadow").write_text("".join(f"{fields[0]}:*:19000:0:99999:7:::\n" for fields in system + people))
    (etc / "gshadow").touch(mode=0o640)
    (etc / "gshadow").write_text("")
    for stale in ("subuid", "subgid"):
        (etc / stale).write_text("")
    key = (layout.keys / "ssh-user.pub").read_text()
    for home, owner in ((layout.disk / "root", 0), (layout.disk / "home/ben", _BEN)):
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        (home / ".ssh/authorized_keys").write_text(key)
        (home / ".ssh/authorized_keys").chmod(0o600)
        for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
            os.chown(path, owner, owner)
    (layout.disk / "root/.kube").mkdir(mode=0o700)
    (layout.disk / "root/.kube/config").symlink_to("/etc/rancher/k3s/k3s.yaml")


def _specification(layout: Layout, links: dict[str, Path]) -> dict[str, Any]:
    return {
        "cgroup": layout.cgroup,
        "hostname": NODE_NAME,
        "state": str(layout.state),
        "pid_file": str(layout.pid_file),
        "root": str(layout.state / "root"),
        "links": _top_level_links(),
        "mounts": _mounts(layout, links),
        "sysctl_files": {name: str(layout.disk / "sysctl" / name.replace("/", "-")) for name in _SYSCTL},
        "network": {
            "link": SERVER_LINK,
            "address": f"{layout.server_address}/{layout.subnet.prefixlen}",
            "routes": [str(SERVICE_SUBNET)],
            "sysctl": {"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0"},
        },
        "patience": patience(_CABLE_PATIENCE),
        "setup": [
            # The registry is the server's own: from the machine it is reached through the API or SSH.
            _refuse_from_the_machine(REGISTRY_PORT),
            ["mkdir", "/run/sshd"],
            ["systemctl", "start", "nginx"],
        ],
        "logs": daemons.LOGS,
        "daemons": daemons.daemons(layout),
    }


def _refuse_from_the_machine(port: int) -> list[str]:
    return ["iptables", "-A", "INPUT", "-i", SERVER_LINK, "-p", "tcp", "--dport", str(port), "-j", "REJECT"]


def _top_level_links() -> dict[str, str]:
    """/bin and its kind, which on a Debian of today are links into /usr."""
    names = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
    return {name: str(Path("/", name).readlink()) for name in names if Path("/", name).is_symlink()}


def _mounts(layout: Layout, links: dict[str, Path]) -> list[dict[str, Any]]:
    disk = layout.disk

    def overlay(name: str) -> dict[str, Any]:
        own = {"upper": str(disk / name), "work": str(disk / f"{name}-work")}
        return {"kind": "overlay", "target": f"/{name}", "lower": f"/{name}", **own}

    def bind(target: str, source: Path, *, readonly: bool = False) -> dict[str, Any]:
        return {"kind": "bind", "target": target, "source": str(source), "readonly": readonly}

    return [
        overlay("usr"),
        bind("/usr/local", disk / "usr-local"),
        *(bind(_mounted_at(file), file, readonly=True) for file in sorted(set(links.values()))),
        overlay("etc"),
        *(bind(f"/etc/{name}", disk / f"etc-{name}") for name in ("nginx", "ssh", "sudoers.d")),
        *(bind(f"/{name}", disk / name) for name in ("root", "home", "opt", "srv", "var")),
        {"kind": "tmpfs", "target": "/run", "options": "mode=755"},
        {"kind": "tmpfs", "target": "/tmp", "options": "mode=1777"},  # noqa: S108 - the twin's own,
        bind(daemons.LOGS, layout.logs),
    ]
