"""What is in effect on a real server: changes around the declared sites are told, and put right by hand are gone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.twin import Twin
from tests.lab.nginx_rows import BACK, CONF, EXTRA, RELOAD, ROWS, SITE, HostRow
from tests.lab.operate import Operator, named
from tests.lab.row import Expected
from tests.lab.server import Server, until

KEEP = f"cp -p {CONF} /run/nginx.conf.kept; cp -p {SITE} /run/site.kept"
SIDE = ("NginxSite", "Nginx", "Host")
SHOWN = ("include of sites-enabled taken out, reload", "nginx.conf larger than 1 MiB")
"""Rows of which the other commands are looked at, too."""


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody who has brought FlowMaster up."""
    operator = Operator.of(empty_twin)
    operator.up()
    return operator


@pytest.fixture(scope="module")
def server(operator: Operator) -> Server:
    return Server.of(operator.twin)


@pytest.fixture(scope="module")
def recorded(operator: Operator) -> Operator:
    """The same person, who has also recorded what stands around the site."""
    operator.run("flowmaster", "adopt", "--nginx")
    return operator


def of_host(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for finding in report["findings"] if finding["object"]["kind"] in SIDE]


def record(operator: Operator) -> Any:
    text = Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"]).read_text()
    return yaml.safe_load(text)["config"]["flowmaster:reverseProxy"].get("recorded")


def clean(operator: Operator) -> None:
    report = operator.report()
    assert of_host(report) == []
    assert not [text for text in report["notes"] if "nginx" in text]


def nginx_line(operator: Operator) -> str:
    lines = operator.run("flowmaster", "status", code=None).stdout.splitlines()
    return next(line for line in lines if " nginx  " in line)


@contextmanager
def changed(server: Server, script: str, back: str = f"{BACK}; {RELOAD}") -> Iterator[None]:
    with server.while_(f"{KEEP}; {script}", back):
        yield


def check(found: dict[str, Any], row: HostRow, expected: Expected) -> None:
    assert named(found) == (expected.object or row.object)
    assert (found["class"], found["path"], found["action"]) == (expected.cls, expected.path, expected.action)
    assert found.get("declared") == expected.declared
    live = str(found.get("live"))
    assert live == str(expected.live) or re.fullmatch(str(expected.live), live), live
    assert expected.note in found["note"]


def test_what_stands_around_the_sites_is_recorded_and_then_compared(operator: Operator) -> None:
    assert any("flowmaster adopt --nginx" in text for text in operator.report()["coverage"]["notLookedAt"])
    assert "+      inherited:" in operator.run("flowmaster", "adopt", "--nginx", "--dry-run").stdout
    assert record(operator) is None
    operator.run("flowmaster", "adopt", "--nginx")
    kept = record(operator)
    assert (kept["configuration"], kept["program"]) == (CONF, "/usr/sbin/nginx")
    assert set(kept["files"]) >= {CONF, "/etc/nginx/mime.types"}
    assert SITE not in kept["files"]
    assert kept["inherited"]["sendfile"] == "on"
    assert "nothing to do" in operator.run("flowmaster", "adopt", "--nginx").stdout
    assert not any("--nginx" in text for text in operator.report()["coverage"]["notLookedAt"])
    clean(operator)
    assert ", as declared" in nginx_line(operator)
    operator.preview("--expect-no-changes")


@pytest.mark.parametrize("name", ROWS)
def test_a_change_around_the_sites_is_told_until_it_is_put_right(recorded: Operator, server: Server, name: str) -> None:
    row = ROWS[name]
    with changed(server, row.script, row.back):
        report = recorded.report()
        found = sorted(of_host(report), key=lambda f: (f["class"], f["path"], named(f)))
        wanted = sorted(row.findings, key=lambda e: (e.cls, e.path, e.object or row.object))
        assert len(found) == len(wanted), found
        for one, expected in zip(found, wanted, strict=True):
            check(one, row, expected)
        assert report["exitCode"] in (2, 4, 5)
        if name in SHOWN:
            assert "as declared" not in nginx_line(recorded)
            preview = recorded.preview()
            assert all(str(expected.live) in preview.text for expected in row.findings)
            assert not preview.changes
    clean(recorded)


def test_users_get_nothing_where_a_site_is_not_loaded(recorded: Operator, server: Server) -> None:
    with changed(server, ROWS[SHOWN[0]].script), pytest.raises(OSError, match="refused"):
        socket.create_connection((server.access.address, 80), timeout=5).close()
    until(lambda: server.answers("/"))
    clean(recorded)


def test_a_change_is_accepted_by_recording_it(recorded: Operator, server: Server) -> None:
    with changed(server, ROWS["directive of nginx.conf changed, reload"].script):
        assert len(of_host(recorded.report())) == 1
        recorded.run("flowmaster", "adopt", "--nginx")
        clean(recorded)
    [found] = of_host(recorded.report())
    assert (found["path"], found["live"], found["declared"]) == ("inherited.sendfile", "on", "off")
    recorded.run("flowmaster", "adopt", "--nginx")
    clean(recorded)


def test_a_change_that_does_not_act_on_the_site_is_a_note(recorded: Operator, server: Server) -> None:
    with changed(server, f"echo 'server {{ listen 8099; return 204; }}' >{EXTRA}; {RELOAD}"):
        report = recorded.report()
        assert of_host(report) == []
        [note] = [text for text in report["notes"] if "nginx" in text]
        assert note.startswith(f"nginx: {EXTRA} added since ")
    clean(recorded)


def test_a_main_file_that_is_none_is_never_clean(recorded: Operator, server: Server) -> None:
    with changed(server, f"mv {CONF} /run/away; mkdir {CONF}", f"rm -rf {CONF}; {BACK}; {RELOAD}"):
        report = recorded.report()
        assert "unknown" in {finding["class"] for finding in of_host(report)}
        assert report["exitCode"] == 5
    clean(recorded)


def test_who_changed_a_file_is_told_from_the_log_of_sudo(recorded: Operator, server: Server) -> None:
    line = f"demo sudo: ben : TTY=pts/0 ; PWD=/home/ben ; USER=root ; COMMAND=/usr/bin/tee {EXTRA}"
    log = f"mkdir -p /var/log; date -Iseconds | sed 's|$| {line}|' >/var/log/auth.log"
    with changed(server, f"echo 'limit_rate 1m;' >{EXTRA}; {log}; {RELOAD}", f"rm /var/log/auth.log; {BACK}; {RELOAD}"):
        assert [finding["manager"] for finding in of_host(recorded.report())] == ["ben (sudo)"]
    with changed(server, f"echo 'limit_rate 1m;' >{EXTRA}; chown nobody {EXTRA}; {RELOAD}"):
        assert [finding["manager"] for finding in of_host(recorded.report())] == ["nobody (owner)"]
    clean(recorded)


def test_after_all_of_it_nothing_is_left(recorded: Operator, server: Server) -> None:
    until(lambda: server.answers("/"))
    recorded.preview("--expect-no-changes")
