"""What can go wrong on the server during a change: the old site keeps answering, and the next run ends it."""

from __future__ import annotations

import shlex
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from config.reverse_proxy import Location, Site
from flowmaster.host.connection import PYTHON, RefusedError, ask, told
from flowmaster.host.errors import HostAccessError, HostError, HostKeyError, HostUnreachableError
from flowmaster.render.nginx import site_text
from lab.twin import Twin
from tests.lab.server import (
    DEAD,
    ENABLED,
    FULL_DISK,
    NEW,
    OLD,
    SITE,
    Server,
    refusal,
    small_site,
    then_finishes,
    unharmed,
    until,
)


@pytest.fixture
def server(empty_twin: Twin) -> Server:
    """A server whose nginx serves the old site."""
    return Server.with_old_site(empty_twin)


def test_another_host_key_is_refused_loudly_and_nothing_is_sent(server: Server, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    with pytest.raises(HostKeyError, match="HOST KEY CHANGED") as refused:
        server.reached(host_key=other).write(NEW)
    assert "nothing was sent to it" in str(refused.value)
    unharmed(server)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_type_is_refused(server: Server, tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    with pytest.raises(HostKeyError, match="HOST KEY CHANGED"):
        server.reached(host_key=other).state()


def test_a_refused_key_is_named(server: Server, tmp_path: Path) -> None:
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with pytest.raises(HostAccessError, match=r"does not let root in with .*stranger"):
        server.reached(key_file=str(key)).write(NEW)
    unharmed(server)


def test_a_key_may_come_from_an_agent_or_the_configuration(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    key = str(server.access.key_file)
    assert server.reached(key_file=None, private_key=Path(key).read_text()).state().nginx.running
    said = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    agent = dict(part.split("=", 1) for part in said.replace("\n", "").split(";") if "=" in part)
    for name, value in agent.items():
        monkeypatch.setenv(name, value)
    try:
        with pytest.raises(HostError):
            server.reached(key_file=None).state()
        subprocess.run(["ssh-add", "-q", key], check=True)
        assert server.reached(key_file=None).state().nginx.running
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)


def test_a_key_with_a_passphrase_is_named(server: Server, tmp_path: Path) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "words", "-f", str(key)], check=True)
    with pytest.raises(HostAccessError, match="cannot be used as an SSH key"):
        server.reached(key_file=str(key)).state()


def test_a_server_that_is_down_is_said_to_be(server: Server) -> None:
    with pytest.raises(HostUnreachableError, match="connection refused"):
        server.reached(port=2).state()
    server.twin.pause_process("sshd")
    try:
        with pytest.raises(HostUnreachableError):
            server.reached(timeout=1.0).write(NEW)
    finally:
        server.twin.start_process("sshd")
    unharmed(server)
    then_finishes(server)


def test_a_connection_lost_before_all_was_sent_does_nothing(server: Server) -> None:
    whole = told({"verb": "change", "name": SITE, "content": site_text(NEW, {}), "checks": []})
    for length in (len(whole) // 2, len(whole) - 2):
        server.twin.exec(shlex.split(PYTHON), text=whole[:length], check=False)
        unharmed(server)


def test_a_connection_lost_in_the_middle_ends_or_undoes_the_change_by_itself(server: Server) -> None:
    failed: list[Exception] = []

    def change() -> None:
        try:
            server.write(small_site(DEAD), patience=4)
        except HostError as err:
            failed.append(err)

    thread = threading.Thread(target=change)
    thread.start()
    # the new file is in place, and its location is being asked again and again
    until(lambda: DEAD in server.text())
    server.sh("for p in $(pgrep -f 'sshd: root@[n]otty'); do kill -9 $p; done")
    thread.join()
    assert isinstance(failed[0], HostUnreachableError)
    assert "finishes or undoes by itself" in str(failed[0])
    until(lambda: DEAD not in server.text(), 30)
    then_finishes(server)


def test_a_full_disk(server: Server) -> None:
    with server.while_(FULL_DISK, "umount /etc/nginx; rm -rf /run/nginx-copy"):
        assert "the disk is full" in refusal(server).words
        assert "client_max_body_size 1m" in server.text()
        assert server.answers()
    unharmed(server)
    then_finishes(server)


def test_a_read_only_file_system(server: Server) -> None:
    readonly = "mount --bind /etc/nginx /etc/nginx; mount -o remount,bind,ro /etc/nginx"
    with server.while_(readonly, "umount /etc/nginx"):
        assert "the file system is read-only" in refusal(server).words
        assert server.answers()
    unharmed(server)
    then_finishes(server)


def test_no_nginx(server: Server) -> None:
    with server.while_("mv /usr/sbin/nginx /usr/sbin/nginx.away", "mv /usr/sbin/nginx.away /usr/sbin/nginx"):
        refused = refusal(server)
        assert "nginx is not installed" in refused.words
        assert "apt-get install nginx" in str(refused)
        assert not server.state().nginx.installed
    then_finishes(server)


def test_a_broken_site_of_somebody_else(server: Server) -> None:
    with server.while_("echo 'server { listen 99 ' >/etc/nginx/sites-enabled/zzz", "rm /etc/nginx/sites-enabled/zzz"):
        refused = refusal(server)
        assert refused.stage == "foreign"
        assert "/etc/nginx/sites-enabled/zzz" in refused.words
        assert server.answers()
    unharmed(server)
    then_finishes(server)


def test_port_80_taken_while_nginx_is_stopped(server: Server) -> None:
    take = "systemctl stop nginx; setsid python3 -m http.server 80 >/dev/null 2>&1 & echo $! >/run/taken"
    with server.while_(take, "kill $(cat /run/taken); rm /run/taken"):
        until(lambda: server.answers("/"))
        assert server.state().nginx.taken == {"80": "python3"}
        refused = refusal(server)
        assert refused.stage == "start"
        assert "bind() to 0.0.0.0:80 failed (98" in refused.words
        assert "client_max_body_size 1m" in server.text()
    until(lambda: not server.answers("/"))
    then_finishes(server)


def test_a_port_taken_that_a_reload_would_need(server: Server) -> None:
    take = "setsid python3 -m http.server 8888 >/dev/null 2>&1 & echo $! >/run/taken"
    with server.while_(take, "kill $(cat /run/taken); rm /run/taken"):
        until(lambda: server.answers("/", 8888))
        with pytest.raises(RefusedError, match=r"bind\(\) to 0.0.0.0:8888 failed") as refused:
            server.write(small_site(listen=8888))
        assert refused.value.stage == "reload"
        unharmed(server)
    then_finishes(server)


def test_an_invalid_candidate_in_nginx_own_words(server: Server) -> None:
    with pytest.raises(RefusedError, match='unknown directive "nonsense"'):
        server.write(small_site(extra=("nonsense on;",)))
    unharmed(server)


def test_a_location_that_does_not_answer_puts_the_old_file_back(server: Server) -> None:
    with pytest.raises(RefusedError, match="/ answers 502") as refused:
        server.write(small_site(DEAD), patience=1)
    assert refused.value.stage == "answer"
    unharmed(server)


def test_a_site_of_wildcard_names_is_asked_itself_and_not_the_default_site(server: Server) -> None:
    wild = Site(server_names=("*.b.example",), locations={"/": Location(upstream=DEAD)})
    with pytest.raises(RefusedError, match="/ answers 502"):
        server.write(wild, name="wild", patience=0.2)
    assert server.text("wild") == ""
    unharmed(server)


def test_a_worker_that_died_or_only_ends_what_it_has_tells_nothing_of_what_nginx_has_read(server: Server) -> None:
    reload = "systemctl reload nginx; sleep 0.5"
    server.sh(f"cp -p {ENABLED} /run/old; sed -i s/1m/7m/ {ENABLED}; {reload}; cp -p /run/old {ENABLED}")
    server.sh("kill -9 $(pgrep -P $(cat /run/nginx.pid) | head -1); sleep 0.5")
    assert server.state().nginx.newer == (ENABLED,)
    other = "/etc/nginx/conf.d/x.conf"
    server.sh(f"echo 'server {{ listen 8099; }}' >{other}")
    assert server.write(NEW).changed
    with socket.create_connection((server.access.address, 80)) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        server.sh(f"sleep 0.2; rm {other}; {reload}")
        assert "shutting down" in server.sh("ps -eo args")
        assert server.state().nginx.newer == ()


def test_sudo_that_asks_for_a_password(server: Server) -> None:
    ben = server.reached(user="ben")
    assert ben.state().nginx.running
    spoil = "cp -a /etc/sudoers.d/ben /run/ben; echo 'ben ALL=(ALL:ALL) ALL' >/etc/sudoers.d/ben"
    with server.while_(spoil, "cp -a /run/ben /etc/sudoers.d/ben"):
        with pytest.raises(HostAccessError, match="sudo asks ben for a password"):
            ben.write(NEW)
        unharmed(server)
    then_finishes(ben)


def test_two_updates_at_once_come_one_after_the_other(server: Server) -> None:
    sizes = [f"{size}m" for size in range(3, 9)]
    errors: list[Exception] = []

    def change(size: str) -> None:
        try:
            server.write(small_site(max_body_size=size))
        except HostError as err:
            errors.append(err)

    threads = [threading.Thread(target=change, args=[size]) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert server.text() in {site_text(small_site(max_body_size=size), {}) for size in sizes}
    assert server.answers()
    assert server.left_over() == []


def test_an_update_that_waits_too_long_for_another_says_so(server: Server) -> None:
    hold = "setsid flock /run/flowmaster/lock sleep 60 >/dev/null 2>&1 & echo $! >/run/holder"
    with server.while_(hold, "kill -- -$(cat /run/holder); rm /run/holder"):
        refused = refusal(server, lockSeconds=0.5)
        assert refused.stage == "lock"
        assert server.answers()
    then_finishes(server)


def test_a_file_changed_since_it_was_looked_at_is_left_alone(server: Server) -> None:
    seen = server.state().site(SITE)
    assert seen is not None
    server.sh(f"sed -i s/1m/7m/ {ENABLED}")
    refused = refusal(server, expected=seen.sha256)
    assert refused.stage == "expected"
    assert "client_max_body_size 7m" in server.text()


def test_nothing_is_written_where_nothing_differs(server: Server) -> None:
    before = server.sh(f"stat -c %i {ENABLED}; cat /run/nginx.pid; pgrep -P $(cat /run/nginx.pid)")
    outcome = server.write(OLD)
    assert (outcome.changed, outcome.reloaded) == (False, False)
    assert server.sh(f"stat -c %i {ENABLED}; cat /run/nginx.pid; pgrep -P $(cat /run/nginx.pid)") == before


def test_mode_owner_and_backups(server: Server) -> None:
    server.sh(f"chmod 666 {ENABLED}; chown ben {ENABLED}")
    assert server.write(OLD).changed
    assert server.sh(f"stat -c '%a %U:%G' {ENABLED}").strip() == "644 root:root"
    for size in range(2, 10):
        server.write(small_site(max_body_size=f"{size}m"))
    assert len(server.sh("ls /etc/nginx/.flowmaster").split()) == 5
    assert server.sh("stat -c %a /etc/nginx/.flowmaster").strip() == "700"


def test_nothing_secret_is_seen_in_the_processes_of_the_server(server: Server) -> None:
    ps = "for i in $(seq 40); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.02; done"
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(server.sh(ps)))
    thread.start()
    server.write(small_site(extra=("add_header X-Marker marker-4711;",)))
    thread.join()
    assert "python3 -I -S -c" in seen[0]
    assert "marker-4711" not in seen[0]


def test_the_server_refuses_what_it_does_not_know(server: Server) -> None:
    with pytest.raises(RefusedError, match="unknown verb"):
        ask(server.access, {"verb": "delete-everything"})
