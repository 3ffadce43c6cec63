"""Daemons that fail and come back, systemctl's answers, and the way back to a fresh server."""

import time
from pathlib import Path

import pytest

from lab.twin import Twin, TwinError
from lab.twin.api import Api
from lab.twin.patience import patience


@pytest.fixture
def server(empty_twin: Twin) -> Twin:
    return empty_twin


def test_an_empty_server_has_no_trace_of_flowmaster(server: Twin) -> None:
    with server.api() as api:
        names = {item["metadata"]["name"] for item in api.items("/api/v1/namespaces")}
    assert "flowmaster" not in names
    assert "databases" in names
    assert server.exec(["docker", "ps", "--all", "--quiet"]).stdout == ""
    assert server.exec(["docker", "volume", "ls", "--quiet"]).stdout == ""
    assert server.exec(["ls", "-A", "/opt", "/etc/nginx/sites-enabled"]).stdout.split() == [
        "/etc/nginx/sites-enabled:",
        "/opt:",
    ]
    assert server.exec(["systemctl", "is-active", "nginx"]).stdout.strip() == "active"


def test_up_again_changes_nothing(server: Twin) -> None:
    before = {name: daemon["pid"] for name, daemon in server.daemons().items()}
    server.up()
    assert {name: daemon["pid"] for name, daemon in server.daemons().items()} == before


def test_a_paused_api_server_says_nothing_and_a_resumed_one_answers(
    server: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.twin.api._PATIENCE", 1.0)
    server.pause_process("kube-apiserver")
    try:
        with pytest.raises(TwinError, match="timed out"), Api(server.layout) as api:
            api.get("/version")
    finally:
        server.start_process("kube-apiserver")
    with server.api() as api:
        assert api.get("/version")


def test_a_killed_api_server_stays_down_until_started(server: Twin) -> None:
    server.kill_process("kube-apiserver")
    try:
        assert server.daemons()["kube-apiserver"]["state"] == "stopped"
        with pytest.raises(TwinError, match="refused"), server.api() as api:
            api.get("/version")
    finally:
        server.start_process("kube-apiserver")
    with server.api() as api:
        assert api.get("/version")


def test_a_daemon_that_dies_by_itself_is_started_again(server: Twin) -> None:
    before = server.daemons()["coredns"]
    server.exec(["kill", "-9", str(before["pid"])])
    deadline = time.monotonic() + patience(20)
    while (now := server.daemons()["coredns"])["pid"] in (0, before["pid"]) or now["state"] != "ready":
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    assert now["restarts"] == before["restarts"] + 1
    assert now["last_exit"] == "signal 9"


def test_an_unknown_daemon_is_named_with_the_known_ones(server: Twin) -> None:
    with pytest.raises(TwinError, match=r"'kube-mailer'; there are containerd, coredns"):
        server.pause_process("kube-mailer")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("is-active nginx", 0, "active"),
        ("is-active ssh docker.service", 0, "active\nactive"),
        ("is-active mail", 4, "inactive"),
        ("is-enabled nginx.service", 0, "enabled"),
        ("status mail", 4, "Unit mail.service could not be found."),
        ("restart mail", 5, "Failed to restart mail.service: Unit mail.service not found."),
    ],
)
def test_systemctl_answers_as_systemd(server: Twin, command: str, code: int, said: str) -> None:
    done = server.exec(["systemctl", *command.split()], check=False)
    assert (done.returncode, (done.stdout + done.stderr).strip()) == (code, said)


def test_systemctl_stops_and_starts_nginx(server: Twin) -> None:
    server.exec(["systemctl", "stop", "nginx"])
    assert server.exec(["systemctl", "is-active", "nginx"], check=False).returncode == 3
    assert "not active, cannot reload" in server.exec(["systemctl", "reload", "nginx"], check=False).stderr
    server.exec(["systemctl", "start", "nginx"])
    assert server.exec(["systemctl", "is-active", "nginx"]).stdout == "active\n"


def test_a_reload_with_a_broken_site_fails_and_nginx_goes_on(server: Twin) -> None:
    site = Path("/etc/nginx/sites-enabled/broken")
    server.exec(["tee", str(site)], text="server { listen 80; no_such_word; }\n")
    try:
        assert server.exec(["nginx", "-t"], check=False).returncode == 1
        done = server.exec(["systemctl", "reload", "nginx"], check=False)
        assert (done.returncode, "Job for nginx.service failed" in done.stderr) == (1, True)
        assert server.exec(["systemctl", "is-active", "nginx"]).stdout == "active\n"
    finally:
        server.exec(["rm", str(site)])


def test_only_root_may_reload(server: Twin) -> None:
    done = server.exec(["systemctl", "reload", "nginx"], user="ben", check=False)
    assert (done.returncode, "Interactive authentication required" in done.stderr) == (1, True)
    server.exec(["sudo", "-n", "systemctl", "reload", "nginx"], user="ben")
