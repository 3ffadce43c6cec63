"""Who listens on a port, by the kernel's tables; who changed a file, by sudo's lines of the log."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flowmaster.host.remote import effective_config, listeners, writers

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
CONF = "/etc/nginx/nginx.conf"


def row(address: str, port: int, inode: str, state: str = "0A") -> str:
    queues = "00000000:00000000 00:00000000 00000000"
    return f"   0: {address}:{port:04X} 00000000:0000 {state} {queues}     0        0 {inode} 1\n"


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tables of the kernel with these rows; a socket of this process stands for its own."""
    monkeypatch.setattr(listeners, "TABLES", str(tmp_path))

    def write(tcp: str = "", tcp6: str = "") -> None:
        (tmp_path / "tcp").write_text(HEAD + tcp)
        (tmp_path / "tcp6").write_text(HEAD + tcp6)

    return write


@pytest.fixture
def own() -> Any:
    """The inode of a socket that this process holds."""
    with socket.socket() as held:
        yield str(Path(f"/proc/self/fd/{held.fileno()}").readlink())[8:-1]


def test_a_port_of_the_master_itself_has_no_other_holder(listening: Any, own: str) -> None:
    listening(tcp=row("00000000", 80, own))
    assert listeners.holders([80], os.getpid()) == {}


@pytest.mark.parametrize("master", [None, 1])
def test_who_else_holds_a_port_is_found_by_the_socket(listening: Any, own: str, master: int | None) -> None:
    listening(tcp=row("00000000", 80, own) + row("00000000", 81, "1"))
    [(port, holder)] = listeners.holders([80, 443], master).items()
    assert (port, holder["pid"], holder["inside"]) == ("80", os.getpid(), False)
    assert holder["program"] == str(Path("/proc/self/exe").readlink())
    assert holder["arguments"][0]


def test_one_socket_of_ipv6_may_serve_both(listening: Any, own: str) -> None:
    listening(tcp6=row("0" * 32, 80, own))
    assert set(listeners.holders([80], None)) == {"80"}
    listening(tcp=row("00000000", 80, "1"), tcp6=row("0" * 32, 80, own))
    assert listeners.holders([80], None) == {}


def test_loopback_and_connections_count_for_nobody(listening: Any, own: str) -> None:
    listening(tcp=row("0100007F", 80, own), tcp6=row("0" * 24 + "01000000", 80, own))
    assert listeners.holders([80], None) == {}
    listening(tcp=row("00000000", 80, own, "01"))
    assert listeners.holders([80], None) == {}


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ([], CONF),
        (["nginx", "-g", "daemon", "on;", "master_process", "on;"], CONF),
        (["nginx", "-c", "/opt/n.conf"], "/opt/n.conf"),
        (["nginx", "-c/opt/n.conf", "-g", "daemon on;"], "/opt/n.conf"),
        (["nginx", "-p", "/srv/n/", "-c", "conf/n.conf"], "/srv/n/conf/n.conf"),
        (["nginx", "-c", "n.conf"], "/usr/share/nginx/n.conf"),
        (["nginx", "-c"], CONF),
    ],
)
def test_the_file_that_nginx_was_started_with(words: list[str], file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effective_config, "started_with", lambda _: words)
    assert effective_config.main_file(7) == file


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(writers, "AUTH_LOG", str(tmp_path / "auth.log"))
    return tmp_path / "auth.log"


def sudo(when: float, command: str, who: str = "ben", folder: str = "/home/ben", *, iso: bool = True) -> str:
    moment = (
        datetime.fromtimestamp(when, UTC).isoformat() if iso else time.strftime("%b %e %H:%M:%S", time.localtime(when))
    )
    return f"{moment} demo sudo:      {who} : TTY=pts/0 ; PWD={folder} ; USER=root ; COMMAND={command}\n"


def writer(changed: float, **facts: Any) -> str | None:
    return writers.writers({CONF: {"mtime": changed, "sha256": "ab12", **facts}}, {}).get(CONF)


@pytest.mark.parametrize(
    ("command", "folder", "ago", "found"),
    [
        (f"/usr/bin/sed -i s/a/b/ {CONF}", "/", 1, True),
        ("/usr/bin/tee nginx.conf", "/etc/nginx", 1, True),
        (f"/bin/sh -c 'echo x >>{CONF}'", "/", 1, True),
        (f"/usr/bin/vim {CONF}", "/", 1800, True),
        (f"sudoedit {CONF}", "/", 1800, True),
        (f"/usr/bin/sed -i s/a/b/ {CONF}", "/", 600, False),
        (f"/usr/bin/vim {CONF}", "/", 7200, False),
        (f"/usr/bin/cat {CONF}", "/", 1, False),
        ("/usr/bin/tee nginx.conf", "/srv", 1, False),
        (f"/usr/bin/vim {CONF}.bak", "/", 1, False),
        (f"/usr/bin/sed -i s/a/b/ {CONF}", "/", -30, False),
    ],
)
def test_who_ran_sudo_on_a_file_when_it_changed(log: Path, command: str, folder: str, ago: float, found: bool) -> None:
    changed = time.time() - 10
    log.write_text(sudo(changed - ago, command, folder=folder) + sudo(changed - ago, "/usr/bin/apt update", "eve"))
    assert writer(changed) == ("ben" if found else None)


def test_the_last_one_counts_and_old_lines_have_no_year(log: Path) -> None:
    changed = time.time() - 10
    log.write_text(
        sudo(changed - 40, f"/bin/tee {CONF}", "eve", iso=False) + sudo(changed - 5, f"/bin/tee {CONF}", iso=False)
    )
    assert writer(changed) == "ben"


def test_the_log_is_not_opened_where_nothing_was_changed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text(sudo(time.time(), f"/bin/tee {CONF}"))
    monkeypatch.setattr(writers, "_log", lambda _: pytest.fail("the log was read"))
    files = {CONF: {"mtime": time.time(), "sha256": "ab12cd"}}
    assert writers.writers(files, {CONF: "ab12"}) == {}
    assert writers.writers({CONF: {"mtime": 1.0}}, {}) == {}


def test_only_the_end_of_a_log_is_read(log: Path) -> None:
    changed = time.time() - 10
    log.write_text(sudo(changed, f"/bin/tee {CONF}") + "x" * writers._TAIL)
    assert writer(changed) is None


def test_without_a_log_the_journal_is_asked(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = time.time() - 10
    line = f"{changed:.6f} demo sudo[7]: ben : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/tee {CONF}"
    monkeypatch.setattr(writers, "run", lambda command, timeout: (0, line))
    assert not log.exists()
    assert writer(changed) == "ben"
