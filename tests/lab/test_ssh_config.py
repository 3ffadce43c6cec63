"""The user's own ssh_config on the way to the server: aliases, jump hosts, agents, certificates, masters."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostKeyError, HostUnreachableError
from flowmaster.host.ssh import host_name
from lab.twin import Twin
from tests.lab.server import NEW, Server, until

GATE_PORT = 2222


@dataclass(frozen=True)
class Gate:
    """A second sshd on the server, with a host key of its own, which also takes what an authority has signed."""

    folder: Path
    host_key: str

    @property
    def authority(self) -> Path:
        """The key that signs those of users."""
        return self.folder / "authority"


@pytest.fixture(scope="module")
def gate(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    for key in ("host", "authority"):
        make_key(folder / key)
    server = Server.of(twin)
    server.sh("mkdir -m 700 -p /run/gate")
    for file in ("host", "authority.pub"):
        twin.exec(["sh", "-c", f"umask 077; cat >/run/gate/{file}"], text=(folder / file).read_text())
    own = "-h /run/gate/host -o PidFile=/run/gate/pid -o TrustedUserCAKeys=/run/gate/authority.pub"
    config = "grep -v ^HostKey /etc/ssh/sshd_config >/run/gate/config"
    server.sh(f"{config}; /usr/sbin/sshd -f /run/gate/config -p {GATE_PORT} {own}")
    until(lambda: bool(server.sh("cat /run/gate/pid 2>/dev/null || true")))
    yield Gate(folder, public(folder / "host"))
    server.sh("kill $(cat /run/gate/pid); rm -r /run/gate")


@pytest.fixture
def server(empty_twin: Twin) -> Server:
    return Server.with_old_site(empty_twin)


Configure = Callable[[str], None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Have the real client read another file than the user's own, which it finds by no variable."""
    file, client = tmp_path / "ssh_config", shutil.which("ssh")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {client} -F {shlex.quote(str(file))} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{Path('/usr/bin')}:/bin")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def write(text: str) -> None:
        file.write_text(text)

    return write


def test_an_alias_has_name_user_port_and_key_from_the_configuration(server: Server, configure: Configure) -> None:
    configure(alias(server))
    aliased = reached(server, host_key=server.access.host_key)
    assert aliased.state().nginx.running
    assert host_name(aliased.access) == server.access.address
    # what the stack says goes first
    configure(alias(server, User="nobody", Port="2"))
    with pytest.raises(HostUnreachableError, match=r"connection refused .* port 2: "):
        aliased.state()
    assert aliased.reached(user="ben", port=22).state().nginx.running


def test_without_a_host_key_of_the_stack_the_known_ones_decide(
    server: Server, configure: Configure, tmp_path: Path
) -> None:
    known, address = tmp_path / "known", server.access.address
    known.write_text(f"{address} {server.access.host_key}\n")
    trusting = {"UserKnownHostsFile": str(known), "StrictHostKeyChecking": "accept-new"}
    configure(alias(server, **trusting))
    assert reached(server).state().nginx.running
    known.write_text("")
    with pytest.raises(HostKeyError, match=f"the host key of {address} is not known"):
        reached(server).state()
    assert known.read_text() == ""
    other = make_key(tmp_path / "other")
    known.write_text(f"{address} {other}\n")
    with pytest.raises(HostKeyError, match=f"HOST KEY CHANGED: {address} has SHA256:.* but known_hosts has another"):
        reached(server).state()
    # a key of the stack is the only one that counts: neither those of a file nor those of a command
    known.write_text(f"{address} {server.access.host_key}\n")
    configure(alias(server, KnownHostsCommand=f"/bin/echo %H {server.access.host_key}", **trusting))
    with pytest.raises(HostKeyError, match=r"HOST KEY CHANGED: demo-server has SHA256:.* the known one is SHA256:"):
        reached(server, host_key=other).state()
    configure(alias(server, HostKeyAlgorithms="ecdsa-sha2-nistp256"))
    assert reached(server, host_key=server.access.host_key).state().nginx.running


def test_a_change_goes_through_a_jump_host(server: Server, gate: Gate, configure: Configure, tmp_path: Path) -> None:
    # as seen from the jump host; here somebody else has that address, or nobody
    behind = alias(server, HostName="127.0.0.1", ProxyJump="gate")
    configure(behind + jump(server, gate.host_key, tmp_path))
    beyond = reached(server, host_key=server.access.host_key)
    assert beyond.write(NEW).changed
    assert "client_max_body_size 2m" in server.text()
    with pytest.raises(HostKeyError, match="HOST KEY CHANGED: demo-server"):
        beyond.reached(host_key=gate.host_key).state()
    configure(behind + jump(server, make_key(tmp_path / "other"), tmp_path))
    with pytest.raises(HostKeyError, match=r"HOST KEY CHANGED: \S*2222 has SHA256:.* but known_hosts has another"):
        beyond.state()
    configure(behind + jump(server, gate.host_key, tmp_path))
    (tmp_path / "known_gate").write_text("")
    with pytest.raises(HostKeyError, match="demo-server is not reached: Host key verification failed"):
        beyond.state()
    configure(behind + jump(server, gate.host_key, tmp_path, port=2))
    with pytest.raises(HostUnreachableError, match=r"demo-server does not .* connection refused .* port 2: "):
        beyond.state()


def test_a_key_with_a_passphrase_comes_from_an_agent(
    server: Server, configure: Configure, agent: Callable[[Path], None], tmp_path: Path
) -> None:
    key = tmp_path / "locked"
    allowed = make_key(key, passphrase="words")
    configure(alias(server, IdentityFile="none"))
    named = reached(server, host_key=server.access.host_key, key_file=str(key))
    anyone = reached(server, host_key=server.access.host_key)
    keys = "/root/.ssh/authorized_keys"
    with server.while_(f"cp -p {keys} /run/keys; echo {shlex.quote(allowed)} >>{keys}", f"cp -p /run/keys {keys}"):
        with pytest.raises(HostAccessError, match=r"it has a passphrase(.|\n)*ssh-add"):
            named.state()
        with pytest.raises(HostAccessError, match="does not let root in with the keys that ssh has here"):
            anyone.state()
        agent(key)
        assert named.state().nginx.running
        assert anyone.state().nginx.running


def test_a_certificate_beside_the_key_lets_in(server: Server, gate: Gate, tmp_path: Path, configure: Configure) -> None:
    configure("")
    key = tmp_path / "signed"
    make_key(key)
    at_gate = server.reached(port=GATE_PORT, host_key=gate.host_key, key_file=str(key))
    with pytest.raises(HostAccessError, match=r"does not let root in with .*signed"):
        at_gate.state()
    sign = ["ssh-keygen", "-q", "-s", str(gate.authority), "-I", "test", "-n", "root", f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    assert at_gate.state().nginx.running


def test_what_is_meant_for_a_terminal_does_no_harm(server: Server, configure: Configure, tmp_path: Path) -> None:
    wishes = {
        "RequestTTY": "force",
        "RemoteCommand": "exec top",
        "PermitLocalCommand": "yes",
        "LocalCommand": "echo hello",
        "LocalForward": "22 localhost:22",
        "ExitOnForwardFailure": "yes",
        "ForwardAgent": "yes",
        "LogLevel": "QUIET",
        "PreferredAuthentications": "password,publickey",
        "ControlMaster": "auto",
        "ControlPath": str(tmp_path / "master"),
        "ControlPersist": "yes",
    }
    known = tmp_path / "known"
    known.write_text(f"{server.access.address} {server.access.host_key}\n")
    configure(alias(server, UserKnownHostsFile=str(known), **wishes))
    assert reached(server).state().nginx.running
    assert not (tmp_path / "master").exists()
    with pytest.raises(HostAccessError, match="Permission denied"):
        reached(server, user="nobody").state()


def test_an_open_master_is_used_but_not_where_the_stack_has_the_host_key(
    server: Server, configure: Configure, tmp_path: Path
) -> None:
    path = tmp_path / "master"
    known = tmp_path / "known"
    known.write_text(f"{server.access.address} {server.access.host_key}\n")
    shared = {"ControlPath": str(path), "UserKnownHostsFile": str(known)}
    configure(alias(server, **shared))
    with subprocess.Popen(["ssh", "-M", "-N", "demo-server"], stdin=subprocess.DEVNULL) as master:
        until(path.exists)
        try:
            configure(alias(server, IdentityFile="none", **shared))
            assert reached(server).state().nginx.running
            assert path.exists()
            with pytest.raises(HostAccessError, match="does not let root in"):
                reached(server, host_key=server.access.host_key).state()
        finally:
            master.terminate()


def test_a_configuration_that_cannot_be_read_is_named(server: Server, configure: Configure) -> None:
    configure(alias(server, NoSuchThing="yes"))
    with pytest.raises(HostAccessError, match=r"ssh cannot be used for demo-server \(.*nosuchthing"):
        reached(server).state()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An agent for the time of a test, and what gives it a key whose passphrase is `words`."""
    socket = tmp_path / "agent"
    asked = tmp_path / "asked"
    asked.write_text("#!/bin/sh\necho words\n")
    asked.chmod(0o700)

    def add(key: Path) -> None:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        with monkeypatch.context() as asking:
            asking.setenv("SSH_ASKPASS", str(asked))
            asking.setenv("SSH_ASKPASS_REQUIRE", "force")
            subprocess.run(["ssh-add", "-q", str(key)], check=True)

    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as running:
        until(socket.exists)
        yield add
        running.terminate()


def reached(server: Server, **how: str | None) -> Server:
    """The same server by its alias, of which the stack says nothing else."""
    return Server(server.twin, Access(address="demo-server", timeout=5.0, **how))  # type: ignore[arg-type]


def alias(server: Server, **options: str) -> str:
    """What a user's ssh_config says of the server."""
    known = {"HostName": server.access.address, "User": "root", "IdentityFile": str(server.access.key_file)}
    return host("demo-server", {**known, "IdentitiesOnly": "yes" if "IdentityFile" not in options else "no", **options})


def jump(server: Server, host_key: str, folder: Path, port: int = GATE_PORT) -> str:
    """What it says of the jump host."""
    known = folder / "known_gate"
    known.write_text(f"[{server.access.address}]:{port} {host_key}\n")
    return host(
        "gate",
        {
            "HostName": server.access.address,
            "Port": str(port),
            "User": "ben",
            "IdentityFile": str(server.access.key_file),
            "UserKnownHostsFile": str(known),
        },
    )


def host(name: str, options: dict[str, str]) -> str:
    """A section of ssh_config."""
    return "\n".join((f"Host {name}", *(f"  {key} {value}" for key, value in options.items()), ""))


def make_key(path: Path, passphrase: str = "") -> str:
    """A new pair of keys; the public one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return public(path)


def public(path: Path) -> str:
    """The public one of a pair."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])
