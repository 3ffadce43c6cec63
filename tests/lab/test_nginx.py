"""nginx on a real server under Pulumi: each kind of drift is found, shown by preview and healed by up."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin
from tests.lab.clients import get
from tests.lab.operate import Operator
from tests.lab.server import Server, until
from tests.lab.sockets import Socket

SITES = ("edited", "added", "deleted", "permitted", "disabled", "stale")
TEMPLATE = "written.conf"
TEMPLATE_TEXT = """\
upstream written { server {{ frontend }}; server {{ api-gateway }} backup; }
server { listen 8107; set $chat {{ websocket-gateway.ip }}; location / { proxy_pass http://written; } }
"""
"""A site as a template: three addresses of Services in two directives."""
ENABLED = "/etc/nginx/sites-enabled"
AVAILABLE = "/etc/nginx/sites-available"
REQUESTS, SOCKETS = 1000, 50


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody who has brought FlowMaster up on a fresh server, with a site for each thing that may happen to one."""
    operator = Operator.of(empty_twin)

    def declare(settings: dict[str, Any]) -> None:
        for port, name in enumerate(SITES, 8101):
            location = {"service": "frontend", "timeout": 30}
            settings["reverseProxy"]["sites"][name] = {"listen": port, "locations": {"/": location}}
        settings["reverseProxy"]["sites"][TEMPLATE] = {"template": TEMPLATE}

    stack = Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"])
    (stack.parent / TEMPLATE).write_text(TEMPLATE_TEXT)
    operator.edit_stack(declare)
    operator.up()
    return operator


@pytest.fixture(scope="module")
def server(operator: Operator) -> Server:
    return Server.of(operator.twin)


def hosts_findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in report["findings"] if f["object"]["kind"] in ("NginxSite", "Nginx", "Host")]


def told(report: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """By object and path: class, what is live, and what up does."""
    return {
        f"{f['object']['name']} {f['path']}".strip(): (f["class"], str(f.get("live", "")), f["outcome"])
        for f in hosts_findings(report)
    }


def changed_sites(text: str) -> set[str]:
    return set(re.findall(r"^ ~ +pulumi-python:dynamic/flowmaster:NginxSite (\S+) update", text, re.MULTILINE))


def clean(operator: Operator) -> None:
    assert hosts_findings(operator.report()) == []
    operator.preview("--expect-no-changes")


def test_after_up_everything_answers_and_nothing_differs(operator: Operator, server: Server) -> None:
    for path, service in (("/", "frontend"), ("/api/x", "api-gateway"), ("/ws/x", "websocket-gateway")):
        status, answer = get(server.access.address, 80, path)
        assert (status, answer["service"]) == (200, service)
    clean(operator)


def test_every_change_of_a_site_is_one_finding_is_shown_and_is_healed(operator: Operator, server: Server) -> None:
    server.sh(f"""
        sed -i 's/proxy_read_timeout 30s/proxy_read_timeout 5s/' {ENABLED}/edited
        sed -i 's/proxy_http_version 1.1;/&\\n        deny 192.0.2.1;\\n        default_type gr\\xf6n;/' {ENABLED}/added
        rm {ENABLED}/deleted
        printf '# gr\\366n\\n' >>{ENABLED}/permitted; chmod 0666 {ENABLED}/permitted
        mv {ENABLED}/disabled {AVAILABLE}/disabled
        cp -p {ENABLED}/stale /tmp/stale; sed -i s/100m/50m/ {ENABLED}/stale
        printf 'server {{ listen 80; server_name _; return 204; }}' >{ENABLED}/zzz-other
        systemctl reload nginx; sleep 0.3; cat /tmp/stale >{ENABLED}/stale
    """)
    where = "server[8101 _].location[/].proxy_read_timeout"
    report = operator.report()
    assert told(report) == {
        f"edited {where}": ("drift", "5s", "up sets 30s"),
        "added server[8102 _].location[/].deny": ("foreign", "192.0.2.1", "up removes it"),
        "added server[8102 _].location[/].default_type": ("foreign", "gr\\xf6n", "up removes it"),
        "deleted": ("drift", "", "up creates it again"),
        "permitted mode": ("drift", "0666", "up sets 0644"),
        "disabled": ("drift", "", "up creates it again"),
        "stale": ("stale", "nginx runs an older configuration than this file", "up reloads it"),
        "zzz-other": ("foreign", f"{ENABLED}/zzz-other serves _ on port 80, as flowmaster does", "kept; reported only"),
    }
    preview = operator.preview()
    assert changed_sites(preview.text) == set(SITES)
    assert f"drift: NginxSite/edited {where}: 5s, declared 30s" in preview.text
    operator.up()
    assert set(told(operator.report())) == {"zzz-other"}
    server.sh(f"rm {ENABLED}/zzz-other; systemctl reload nginx")
    clean(operator)
    assert all(server.answers("/", port) for port in range(8101, 8107))
    # what says the same stays as it is, to the byte
    assert server.sh(f"LC_ALL=C grep -c '# gr.n$' {ENABLED}/permitted").strip() == "1"
    operator.run("pulumi", "refresh", "--yes", "--skip-preview")
    clean(operator)


def test_nginx_stopped_is_started_again(operator: Operator, server: Server) -> None:
    server.sh("systemctl stop nginx")
    assert told(operator.report()) == {"nginx state": ("drift", "stopped", "up sets running")}
    operator.up()
    assert server.answers("/")
    clean(operator)


def test_a_broken_site_of_somebody_else_is_told_and_refused_only_where_something_is_to_be_written(
    operator: Operator, server: Server
) -> None:
    with server.while_(f"echo 'server {{ nonsense' >{ENABLED}/zzz", f"rm {ENABLED}/zzz"):
        report = operator.report()
        (cls, live, outcome) = told(report)["nginx"]
        assert (cls, outcome) == ("unhealthy", "up does not change it")
        assert f"{ENABLED}/zzz" in live
        operator.up()
        server.sh(f"sed -i s/30s/6s/ {ENABLED}/edited")
        failed = operator.up(code=None)
        assert failed.code != 0
        assert f"{ENABLED}/zzz" in failed.text
        assert "the old configuration is in place and served" in failed.text
        assert server.answers("/")
    operator.up()
    clean(operator)


def test_a_server_out_of_reach_is_unknown_and_never_clean(operator: Operator) -> None:
    away = operator.knowing(FLOWMASTER_HOST_PORT="2")
    report = away.report()
    assert report["exitCode"] == 5
    (finding,) = hosts_findings(report)
    assert finding["class"] == "unknown"
    assert "port 2 does not answer over SSH: connection refused" in finding["live"]
    assert "unknown: Host/" in away.preview().text


def test_another_host_key_stops_everything(operator: Operator, server: Server) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDK/iy0CXIT06fLC0PaKr69/X2VXiTgQIWAoi+ky3lp1"
    fooled = operator.knowing(FLOWMASTER_HOST_PUBLIC_KEY=other)
    assert "HOST KEY CHANGED" in json.dumps(fooled.report())
    for refused in (fooled.preview(code=None), fooled.up(code=None)):
        assert refused.code != 0
        assert "HOST KEY CHANGED" in refused.text
        assert "Traceback" not in refused.text


class Client(threading.Thread):
    """Asks all the time, and keeps when each answer came and whether it was one."""

    def __init__(self, address: str, path: str = "/") -> None:
        super().__init__(daemon=True)
        self.address, self.path = address, path
        self.answers: list[tuple[float, bool]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                ok = get(self.address, 80, self.path)[0] == 200
            except OSError:
                ok = False
            self.answers.append((time.monotonic(), ok))

    @property
    def gap(self) -> float:
        """Seconds from the first failure to the first success after the last one."""
        failed = [when for when, ok in self.answers if not ok]
        if not failed:
            return 0.0
        return next(when for when, ok in self.answers if ok and when > failed[-1]) - failed[0]


@contextmanager
def asking(address: str, path: str = "/") -> Iterator[Client]:
    client = Client(address, path)
    client.start()
    try:
        yield client
        until(lambda: client.answers[-1][1], 30)
    finally:
        client.over.set()
        client.join()


def made_again(operator: Operator, *, pinned: bool) -> None:
    """Delete all Services and make them again from the same manifests, as somebody by hand."""
    services = json.loads(operator.kubectl("get", "services", "--output", "json"))["items"]
    for service in services:
        service["metadata"] = {key: service["metadata"][key] for key in ("name", "namespace", "labels")}
        del service["status"]
        if not pinned and "clusterIP" in service["spec"]:
            del service["spec"]["clusterIP"]
        service["spec"].pop("clusterIPs", None)
    operator.kubectl("delete", "services", "--all")
    operator.kubectl(
        "apply", "--filename", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": services})
    )


def test_services_made_again_at_their_addresses_need_nothing_of_nginx(
    operator: Operator, server: Server, record_property: Any
) -> None:
    with asking(server.access.address) as client:
        made_again(operator, pinned=True)
        until(lambda: client.answers[-1][1], 30)
    record_property("seconds of outage, pinned", round(client.gap, 2))
    print(f"outage with pinned addresses: {client.gap:.2f} s, the Services' own absence")
    assert hosts_findings(operator.report()) == []


def test_services_made_again_at_new_addresses_need_one_up(
    operator: Operator, server: Server, record_property: Any
) -> None:
    def unpin(settings: dict[str, Any]) -> None:
        for release in settings["services"].values():
            release.pop("clusterIP", None)

    operator.edit_stack(unpin)
    operator.up()
    with asking(server.access.address) as client:
        made_again(operator, pinned=False)
        found = hosts_findings(operator.report())
        assert {f["class"] for f in found} == {"drift"}
        # of the template two: both servers of its upstream are one value
        assert len(found) == 3 + len(SITES) + 2
        assert all("no Service has the address" in f["note"] for f in found)
        started = time.monotonic()
        operator.up()
        seconds = time.monotonic() - started
    record_property("seconds of outage, new addresses", round(client.gap, 2))
    print(f"outage with new addresses: {client.gap:.2f} s, the up took {seconds:.2f} s of it")
    for path in ("/", "/api/x", "/ws/x"):
        assert get(server.access.address, 80, path)[0] == 200
    clean(operator)


def test_nobody_is_cut_off_by_an_update_that_reloads_nginx(operator: Operator, server: Server) -> None:
    sockets = [Socket(server.access.address, 80, "/ws/echo") for _ in range(SOCKETS)]
    operator.edit_stack(lambda s: s["reverseProxy"]["sites"]["flowmaster"].update(maxBodySize="64m"))
    before = server.sh("pgrep -P $(cat /run/nginx.pid)").split()
    with asking(server.access.address) as one, asking(server.access.address, "/api/x") as other:
        operator.up()
        until(lambda: len(one.answers) + len(other.answers) >= REQUESTS, 120)
    assert "client_max_body_size 64m" in server.text()
    assert set(server.sh("pgrep -P $(cat /run/nginx.pid)").split()) != set(before)
    answers = [ok for _, ok in one.answers + other.answers]
    assert len(answers) >= REQUESTS
    assert all(answers)
    for number, connection in enumerate(sockets):
        assert connection.echo(f"still here {number}") == f"still here {number}"
        connection.close()


def test_no_key_and_no_secret_is_kept_or_said(operator: Operator, server: Server) -> None:
    key = Path(operator.environ["FLOWMASTER_HOST_KEY_FILE"]).read_text().splitlines()[1]
    everything = operator.state() + "\n".join(operator.said)
    assert len(everything) > 10_000
    assert key not in everything
    assert "PRIVATE KEY" not in everything
    assert key not in server.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_without_the_section_nginx_is_nobodys_business(operator: Operator, server: Server) -> None:
    operator.edit_stack(lambda settings: settings.pop("reverseProxy"))
    assert hosts_findings(operator.report()) == []
    operator.up()
    assert server.sh(f"ls {ENABLED}") == ""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.access.address, 80), timeout=5).close()
