"""From what was read of the server to findings: each kind of drift of nginx is exactly one, and said in its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from config.reverse_proxy import ReverseProxy, Site
from config.rules import apply_rules
from config.settings import Settings
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import Change, Finding, FindingClass, consequence
from flowmaster.drift.nginx import Comparison, findings
from flowmaster.host import nginx_credentials
from flowmaster.host.nginx import AVAILABLE, ENABLED, MAIN, File, HostState, Nginx, Process
from flowmaster.render.nginx import site_text
from flowmaster.report.values import line

ADDRESSES = {
    "frontend": "10.43.185.219:3000",
    "api-gateway": "10.43.193.134:9000",
    "websocket-gateway": "10.43.43.253:9010",
}
PATH = f"{ENABLED}/flowmaster"
NOW = datetime(2026, 2, 8, tzinfo=UTC)
NGINX_CONF = "events { } http { include /etc/nginx/conf.d/*.conf; include /etc/nginx/sites-enabled/*; }"
API = "server[80 _].location[/api/]"


@pytest.fixture
def healthy(demo: Settings) -> Comparison:
    """A server that is as declared and was applied so."""
    proxy = demo.stack.reverse_proxy
    assert proxy is not None
    text = site_text(proxy.sites["flowmaster"], ADDRESSES)
    file = File(PATH, "file", "0644", "root", "root", text, "0" * 64, changed=NOW)
    files = {MAIN: File(MAIN, "file", "0644", "root", "root", NGINX_CONF, changed=NOW), PATH: file}
    host = HostState("10.0.0.1", "demo", Nginx(installed=True, running=True), files)
    return Comparison(proxy=proxy, host=host, addresses=ADDRESSES, applied={"flowmaster": text})


def text(now: Comparison) -> str:
    return str(now.host.files[PATH].content)


def with_file(now: Comparison, path: str = PATH, **how: Any) -> Comparison:
    files = {
        **now.host.files,
        path: replace(now.host.files.get(path, File(path, "file", "0644", "root", "root")), **how),
    }
    return replace(now, host=replace(now.host, files=files))


def edited(now: Comparison, old: str, new: str) -> Comparison:
    assert old in text(now)
    return with_file(now, content=text(now).replace(old, new))


def without_file(now: Comparison) -> Comparison:
    return replace(now, host=replace(now.host, files={p: f for p, f in now.host.files.items() if p != PATH}))


def with_nginx(now: Comparison, **how: Any) -> Comparison:
    return replace(now, host=replace(now.host, nginx=replace(now.host.nginx, **how)))


def one(now: Comparison) -> Finding:
    found = apply_rules(findings(now))
    assert len(found) == 1, found
    return found[0]


def test_a_healthy_server_has_none(healthy: Comparison) -> None:
    assert findings(healthy) == []
    assert findings(edited(healthy, "3600s", "1h")) == []
    assert findings(edited(healthy, "server {", "# a comment\nserver {")) == []


def test_an_edit_is_drift_of_that_directive(healthy: Comparison) -> None:
    found = one(edited(healthy, "proxy_read_timeout 3600s", "proxy_read_timeout 60s"))
    assert (found.cls, found.path) == (FindingClass.DRIFT, f"{API}.proxy_read_timeout")
    assert (found.live, found.declared, found.when, found.heals) == ("60s", "3600s", NOW, True)
    assert str(found.object) == "NginxSite/flowmaster"


def test_an_added_directive_is_foreign_and_is_removed(healthy: Comparison) -> None:
    found = one(edited(healthy, "proxy_buffering off;", "proxy_buffering off;\n        deny 1.2.3.4;"))
    assert (found.cls, found.change, found.live) == (FindingClass.FOREIGN, Change.ADDED, "1.2.3.4")
    assert consequence(found) == "up removes it"


def test_a_removed_directive_is_drift(healthy: Comparison) -> None:
    found = one(edited(healthy, "proxy_buffering off;", ""))
    assert (found.cls, found.change, found.declared) == (FindingClass.DRIFT, Change.MISSING, "off")


def test_a_change_of_the_program_is_pending(healthy: Comparison) -> None:
    sites = {name: site.model_copy(update={"max_body_size": "1g"}) for name, site in healthy.proxy.sites.items()}
    found = one(replace(healthy, proxy=ReverseProxy(sites=sites)))
    assert (found.cls, found.live, found.declared) == (FindingClass.PENDING, "100m", "1g")


def test_a_change_of_both_is_a_conflict(healthy: Comparison) -> None:
    sites = {name: site.model_copy(update={"max_body_size": "1g"}) for name, site in healthy.proxy.sites.items()}
    found = one(replace(edited(healthy, "100m", "5m"), proxy=ReverseProxy(sites=sites)))
    assert found.cls is FindingClass.CONFLICT


def test_a_site_that_was_never_applied_is_pending(healthy: Comparison) -> None:
    assert one(replace(without_file(healthy), applied={})).cls is FindingClass.PENDING
    found = one(replace(edited(healthy, "3600s;\n        proxy_b", "30s;\n        proxy_b"), applied={}))
    assert found.cls is FindingClass.PENDING


def test_a_deleted_site(healthy: Comparison) -> None:
    found = one(without_file(healthy))
    assert (found.cls, found.change, found.path) == (FindingClass.DRIFT, Change.MISSING, "")
    assert consequence(found) == "up creates it again"


def test_a_disabled_site(healthy: Comparison) -> None:
    found = one(with_file(without_file(healthy), f"{AVAILABLE}/flowmaster", content=text(healthy)))
    assert found.cls is FindingClass.DRIFT
    assert found.note == "disabled: it exists only as /etc/nginx/sites-available/flowmaster"


def test_mode_and_owner(healthy: Comparison) -> None:
    assert [(f.path, f.live, f.declared) for f in findings(with_file(healthy, mode="0666", owner="ben"))] == [
        ("mode", "0666", "0644"),
        ("owner", "ben:root", "root:root"),
    ]


def test_mode_was_changed_when_the_file_was_touched(healthy: Comparison) -> None:
    later = NOW.replace(day=9)
    assert one(with_file(healthy, mode="0666", touched=later)).when == later


def test_a_site_that_is_not_written_is_one_finding_and_promises_nothing(healthy: Comparison) -> None:
    def elsewhere(now: Comparison) -> Finding:
        words = "leads to /srv/n/fm.conf, which is not below /etc/nginx"
        return one(replace(now, host=replace(now.host, problems={"flowmaster": words})))

    found = elsewhere(edited(healthy, "3600s", "60s"))
    assert (found.cls, found.heals, consequence(found)) == (FindingClass.UNHEALTHY, False, "up does not change it")
    assert found.live == "the site leads to /srv/n/fm.conf, which is not below /etc/nginx"
    assert found.note == f"not as declared, but up does not write there; remove {PATH} first"
    assert elsewhere(healthy).note.startswith("as declared, but up does not write there")
    assert elsewhere(with_file(healthy, kind="other", content=None)).note.startswith("not as declared")


def test_text_that_is_no_configuration(healthy: Comparison) -> None:
    broken = with_nginx(with_file(healthy, content="server { listen 80"), valid=False, words=f"nginx: [emerg] {PATH}:1")
    found = one(broken)
    assert (found.cls, found.path, found.heals) == (FindingClass.DRIFT, "content", True)


def test_an_upstream_that_is_no_live_address_is_drift_although_the_program_says_another_now(
    healthy: Comparison,
) -> None:
    found = one(replace(healthy, addresses={**ADDRESSES, "api-gateway": "10.43.9.9:9000"}))
    assert (found.cls, found.path) == (FindingClass.DRIFT, f"{API}.proxy_pass")
    assert (found.live, found.declared) == ("http://10.43.193.134:9000", "http://10.43.9.9:9000")
    assert found.note == "no Service has the address 10.43.193.134:9000; api-gateway has 10.43.9.9:9000"


def test_an_upstream_whose_service_is_not_there(healthy: Comparison) -> None:
    found = one(replace(healthy, addresses={k: v for k, v in ADDRESSES.items() if k != "frontend"}))
    assert found.note == "no Service has the address 10.43.185.219:3000; frontend does not exist"
    assert found.declared == "http://address-of-frontend:0"


def test_nginx_stopped(healthy: Comparison) -> None:
    found = one(with_nginx(healthy, running=False, holders={"80": Process(7, "lighttpd")}))
    assert (found.cls, found.path, found.live, found.heals) == (FindingClass.DRIFT, "state", "stopped", True)
    assert found.note == "port 80 is taken by lighttpd"


def test_nginx_not_installed(healthy: Comparison) -> None:
    found = one(with_nginx(healthy, installed=False))
    assert (found.cls, found.live, found.heals) == (FindingClass.UNHEALTHY, "nginx is not installed", False)


def test_nginx_runs_an_older_configuration_than_our_file(healthy: Comparison) -> None:
    found = one(with_nginx(healthy, newer=(PATH,)))
    assert (found.cls, found.heals) == (FindingClass.STALE, True)
    assert consequence(found) == "up reloads it"


def test_nginx_runs_an_older_configuration_than_somebody_elses_file(healthy: Comparison) -> None:
    found = one(with_nginx(healthy, newer=("/etc/nginx/nginx.conf",)))
    assert (found.cls, found.heals, str(found.object)) == (FindingClass.STALE, False, "Nginx/nginx")


def test_a_foreign_reason_for_which_nginx_would_not_start_again(healthy: Comparison) -> None:
    words = (
        'nginx: [emerg] unknown directive "x" in /etc/nginx/sites-enabled/zzz:1\nnginx: configuration file test failed'
    )
    found = one(with_nginx(healthy, valid=False, words=words))
    assert (found.cls, found.heals) == (FindingClass.UNHEALTHY, False)
    assert found.live == '[emerg] unknown directive "x" in /etc/nginx/sites-enabled/zzz:1'


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("000-other", "server { listen 80; server_name _; }", "nginx sends the requests to it"),
        ("zzz", "server { listen 80 default_server; server_name z; }", "flowmaster, which comes first"),
        ("zzz", "server { server_name _; }", "flowmaster, which comes first"),
    ],
)
def test_another_site_that_takes_our_port_and_name(healthy: Comparison, name: str, content: str, note: str) -> None:
    found = one(with_file(healthy, f"{ENABLED}/{name}", content=content, changed=NOW))
    assert (found.cls, found.path, found.heals) == (FindingClass.FOREIGN, "", False)
    assert str(found.object) == f"NginxSite/{name}"
    assert note in found.note


HOST = "10.0.0.1"


@pytest.mark.parametrize(
    ("content", "live", "note"),
    [
        (
            f"listen {HOST}:80; server_name other.example;",
            f"all requests to {HOST}:80",
            "listens on that address",
        ),
        (f"listen {HOST}; server_name other.example;", f"all requests to {HOST}:80", "listens on that address"),
        ("server_name ~.;", "any name on port 80", "its server_name ~. matches"),
        (r"server_name ~^(?<all>.+)$;", "any name on port 80", "matches"),
        (f"listen 80; server_name {HOST};", f"{HOST} on port 80", f"its server_name {HOST} matches"),
        ("server_name 10.9.9.9;", "10.9.9.9 on port 80", "matches"),
        ("server_name 10.0.*;", f"{HOST} on port 80", "its server_name 10.0.* matches"),
    ],
)
def test_another_site_that_answers_our_requests(healthy: Comparison, content: str, live: str, note: str) -> None:
    path = "/etc/nginx/conf.d/x.conf"
    now = replace(healthy, host=replace(healthy.host, addresses=(HOST, "10.9.9.9")))
    found = one(with_file(now, path, content=f"server {{ {content} return 502 hijacked; }}", changed=NOW))
    assert (found.cls, found.path, found.heals, found.when) == (FindingClass.FOREIGN, "", False, NOW)
    assert str(found.object) == "NginxSite/x.conf"
    assert found.live == f"answers {live}"
    assert found.note.startswith("in place of flowmaster: ")
    assert path in found.note
    assert note in found.note


def test_a_server_of_nginx_conf_itself_is_one_of_others(healthy: Comparison) -> None:
    text = "events { } http { include sites-enabled/*; server { server_name ~.; } }"
    assert str(one(with_file(healthy, "/etc/nginx/nginx.conf", content=text)).object) == "NginxSite/nginx.conf"


@pytest.mark.parametrize(
    "content",
    [
        r"server { server_name ~^www\d+\.example\.com$; }",
        "server { server_name *.example.com; }",
        "server { listen 10.0.0.1:8083; server_name _; }",
        "server { listen [fd00::1]:80; server_name z; }",
        "server { listen unix:/run/x.sock; server_name _; }",
    ],
)
def test_another_site_that_answers_none_of_our_requests(healthy: Comparison, content: str) -> None:
    now = replace(healthy, host=replace(healthy.host, addresses=(HOST,)))
    assert findings(with_file(now, "/etc/nginx/conf.d/x.conf", content=content)) == []


@pytest.mark.parametrize("content", ["server { listen 8083; }", "server { listen 80; server_name a.b; }", "server {"])
def test_other_sites_are_nobodys_business(healthy: Comparison, content: str) -> None:
    assert findings(with_file(healthy, f"{ENABLED}/other", content=content)) == []


def test_credentials_in_headers_are_never_shown(healthy: Comparison) -> None:
    first = one(edited(healthy, "off;", 'off;\n proxy_set_header Authorization "Bearer abc123";'))
    assert first.live == "(secret)"
    assert first.secret
    second = one(edited(healthy, "off;", 'off;\n proxy_set_header Authorization "Bearer xyz789";'))
    assert first.revision != second.revision
    assert "abc123" not in repr(first)


def test_a_credential_is_shown_nowhere_in_a_report(healthy: Comparison) -> None:
    """In values, conditions, whole blocks and the order of directives alike."""
    added = """off;
        set $api_token sEcReT1;
        if ($http_x_api_key != "sEcReT2") { return 403; }
        if ($arg_token ~ "sEcReT 3") { set $auth sEcReT4; return 401; }
        add_header X-Api-Key sEcReT5 always;
        secure_link_md5 "$uri sEcReT6";
        location /api/x { proxy_set_header authorization "Bearer sEcReT7"; }"""
    found = apply_rules(findings(edited(healthy, "off;", added)))
    assert len(found) == 6
    told = " ".join(repr(one) + line(one, NOW) for one in found)
    assert "ecret" in told.lower()
    assert "sEcReT" not in told
    by_path = {one.path.removeprefix(API): one.live for one in found}
    assert by_path[".if"] == {
        "$http_x_api_key != (secret)": {"return": "403"},
        "$arg_token ~ (secret)": {
            "set": {"$auth": "(secret)"},
            "return": "401",
            "(order)": ["set $auth", "return 401"],
        },
    }
    assert by_path["[(order)]"] == ["set $api_token", "if $http_x_api_key != (secret)", "if $arg_token ~ (secret)"]


def test_a_credential_in_a_condition_is_not_shown_in_a_path() -> None:
    path = ("server", "80 _", "if", '$http_x_api_key != "sEcReT 1" (2)', "return")
    assert nginx_credentials.where(path, Masker()) == "server[80 _].if[$http_x_api_key != (secret) (2)].return"


@pytest.mark.parametrize(
    "directive",
    [
        "set $auth 1;",
        "set $api_token $http_x_api_key;",
        'proxy_set_header Authorization "Bearer $token";',
        "add_header Access-Control-Allow-Credentials true always;",
        'if ($http_authorization = "") { return 401; }',
        'if ($http_authorization !~ "^Bearer ") { return 401; }',
        "add_header X-Frame-Options DENY;",
    ],
)
def test_what_is_no_credential_is_shown(healthy: Comparison, directive: str) -> None:
    assert not any(found.secret for found in findings(edited(healthy, "off;", f"off;\n{directive}")))


def test_another_port_of_a_service_is_a_live_address(healthy: Comparison) -> None:
    """`port` of a location is not the port that the Service is known by."""
    site = healthy.proxy.sites["flowmaster"]
    assert isinstance(site, Site)
    changed = site.locations["/"].model_copy(update={"port": 9100, "path": "/x"})
    sites = {"flowmaster": site.model_copy(update={"locations": {**site.locations, "/": changed}})}
    found = one(
        replace(
            edited(healthy, "10.43.185.219:3000", "10.43.185.219:9100"), proxy=ReverseProxy(sites=sites), applied={}
        )
    )
    assert (found.declared, found.cls, found.note) == ("http://10.43.185.219:9100/x", FindingClass.PENDING, "")
