"""What nginx has loaded around the declared sites: not loaded, loaded twice, inherited, and by which process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from config.reverse_proxy import Recorded, ReverseProxy
from config.rules import Rule, apply_rules
from config.settings import Settings
from flowmaster.compare.finding import Change, Finding, FindingClass, consequence
from flowmaster.drift import effective_nginx
from flowmaster.drift.nginx import Comparison, findings
from flowmaster.host.effective_config import fingerprint
from flowmaster.host.nginx import AVAILABLE, ENABLED, MAIN, File, HostState, Nginx, Process
from flowmaster.render.nginx import site_text

ADDRESSES = {
    "frontend": "10.43.185.219:3000",
    "api-gateway": "10.43.193.134:9000",
    "websocket-gateway": "10.43.43.253:9010",
}
PATH, EXTRA = f"{ENABLED}/flowmaster", "/etc/nginx/conf.d/extra.conf"
NOW = datetime(2026, 2, 8, tzinfo=UTC)
CONF = """user www-data;
events { worker_connections 768; }
http {
    sendfile on;
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
"""
OTHER = "/opt/other.conf"


def file(path: str, content: str | None, **how: object) -> File:
    return replace(File(path, "file", "0644", "root", "root", content, changed=NOW), **how)  # type: ignore[arg-type]


@pytest.fixture
def healthy(demo: Settings) -> Comparison:
    """A server as declared, with what stands around its site recorded."""
    proxy = demo.stack.reverse_proxy
    assert proxy is not None
    text = site_text(proxy.sites["flowmaster"], ADDRESSES)
    master = Process(100, "nginx", "/usr/sbin/nginx", ("nginx",))
    nginx = Nginx(installed=True, running=True, process=master, since=NOW)
    host = HostState("10.0.0.1", "demo", nginx, {MAIN: file(MAIN, CONF), PATH: file(PATH, text)})
    now = Comparison(proxy=proxy, host=host, addresses=ADDRESSES, applied={"flowmaster": text})
    return recorded(now)


def recorded(now: Comparison) -> Comparison:
    """With what stands around its sites now as the record."""
    record = effective_nginx.record(now.host, now.effective, list(now.proxy.sites), NOW - timedelta(days=1))
    return with_record(now, record)


def with_record(now: Comparison, record: Recorded | None) -> Comparison:
    return replace(now, proxy=ReverseProxy(sites=now.proxy.sites, recorded=record))


def having(now: Comparison, files: Mapping[str, str | None], **nginx: object) -> Comparison:
    kept = {path: entry for path, entry in now.host.files.items() if path not in files}
    added = {path: file(path, content) for path, content in files.items()}
    host = replace(now.host, files={**kept, **added}, nginx=replace(now.host.nginx, **nginx))  # type: ignore[arg-type]
    return replace(now, host=host)


def one(now: Comparison) -> Finding:
    found = apply_rules(findings(now))
    assert len(found) == 1, found
    return found[0]


def test_as_recorded_there_is_nothing_to_say(healthy: Comparison) -> None:
    assert findings(healthy) == []
    assert effective_nginx.notes(healthy) == []
    assert healthy.proxy.recorded == Recorded(
        at="2026-02-07T00:00:00Z",
        configuration=MAIN,
        program="/usr/sbin/nginx",
        inherited={"events[worker_connections]": "768", "sendfile": "on"},
        files={MAIN: fingerprint(CONF)},
    )


def test_a_site_that_no_include_reaches_is_unhealthy_and_says_what_users_get(healthy: Comparison) -> None:
    without = CONF.replace("include /etc/nginx/sites-enabled/*;", "")
    found = one(having(healthy, {MAIN: without}))
    assert (found.cls, str(found.object), found.heals) == (FindingClass.UNHEALTHY, "NginxSite/flowmaster", False)
    assert found.live == f"nginx does not load {PATH}: no include of {MAIN} reaches it"
    assert found.note.startswith("nothing of nginx listens on port 80; put `include /etc/nginx/sites-enabled/*;` back")
    assert (found.when, consequence(found)) == (NOW, "up does not change it")
    pending = having(healthy, {MAIN: without}, newer=(MAIN,))
    first = next(f for f in findings(pending) if f.cls is FindingClass.UNHEALTHY)
    assert first.note.startswith("from the next reload on nothing of nginx listens")
    instead = CONF.replace("include /etc/nginx/sites-enabled/*;", "server { listen 80; return 204; }")
    assert one(having(healthy, {MAIN: instead})).note.startswith(f"{MAIN}:6 answers on port 80 instead")


def test_it_needs_no_record_to_be_told(healthy: Comparison) -> None:
    without = CONF.replace("include /etc/nginx/sites-enabled/*;", "")
    assert one(with_record(having(healthy, {MAIN: without}), None)).cls is FindingClass.UNHEALTHY


def test_whether_a_site_is_loaded_is_unknown_where_the_include_may_be_in_a_file_nobody_can_parse(
    healthy: Comparison,
) -> None:
    without = CONF.replace("include /etc/nginx/sites-enabled/*;", "")
    now = having(healthy, {MAIN: without, EXTRA: "set $pass{; include /etc/nginx/sites-enabled/*;"})
    assert one(now).cls is FindingClass.UNKNOWN


def test_a_site_that_is_loaded_twice(healthy: Comparison) -> None:
    found = one(having(healthy, {EXTRA: "include sites-enabled/flowmaster;"}))
    assert (found.cls, found.heals, found.change) == (FindingClass.FOREIGN, False, Change.STATE)
    assert found.live == f"nginx loads {PATH} 2 times: by {EXTRA}:1, {MAIN}:6"
    assert consequence(found) == "kept; reported only"


def test_a_second_link_to_the_file_of_a_site_loads_it_twice(healthy: Comparison) -> None:
    now = having(healthy, {})
    kept, copy = f"{AVAILABLE}/flowmaster", f"{ENABLED}/zzz"
    links = {path: replace(now.host.files[PATH], path=path, kind="link", target=kept) for path in (PATH, copy)}
    found = one(replace(now, host=replace(now.host, files={**now.host.files, **links})))
    assert "2 times" in str(found.live)


def test_inherited_directives_that_were_not_there_are_foreign_and_kept(healthy: Comparison) -> None:
    now = having(healthy, {EXTRA: "limit_rate 1k;\nclient_body_timeout 1s;"})
    found = {f.path: f for f in apply_rules(findings(now))}
    assert set(found) == {"inherited.limit_rate", "inherited.client_body_timeout"}
    rate = found["inherited.limit_rate"]
    assert (rate.cls, rate.change, rate.live, rate.when) == (FindingClass.FOREIGN, Change.ADDED, "1k", NOW)
    assert (str(rate.object), consequence(rate)) == ("Nginx/nginx", "kept; reported only")
    assert rate.note.startswith(f"in {EXTRA}:1; acts on flowmaster; recorded 2026-02-07T00:00:00Z; correct it there")
    assert effective_nginx.notes(now) == []


def test_one_that_changed_or_went_has_both_values(healthy: Comparison) -> None:
    changed = one(having(healthy, {MAIN: CONF.replace("sendfile on", "sendfile off")}))
    assert (changed.cls, changed.live, changed.declared) == (FindingClass.DRIFT, "off", "on")
    assert consequence(apply_rules([changed])[0]) == "up leaves it; reported only"
    gone = one(having(healthy, {MAIN: CONF.replace("    sendfile on;\n", "")}))
    assert (gone.change, gone.declared) == (Change.MISSING, "on")
    assert gone.note.startswith("in no file of nginx any more; acts on flowmaster")


def test_no_rule_makes_up_heal_what_it_does_not_write(healthy: Comparison) -> None:
    rules = [Rule.model_validate({"kind": "Nginx", "action": "heal"})]
    found = apply_rules(findings(having(healthy, {EXTRA: "limit_rate 1k;"})), rules)
    assert [f.heals for f in found] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "client_max_body_size 1k;",
        "server { listen 8099; server_name x; }",
        "upstream unused { server 10.0.0.1; }",
        "log_format nobody '$uri';",
    ],
)
def test_what_does_not_act_on_the_sites_is_a_note(healthy: Comparison, text: str) -> None:
    now = having(healthy, {EXTRA: text})
    assert findings(now) == []
    [note] = effective_nginx.notes(now)
    assert note == f"nginx: {EXTRA} added since 2026-02-07T00:00:00Z, without effect on the declared sites"
    assert effective_nginx.notes(recorded(now)) == []


def test_a_file_that_is_gone_or_changed_is_a_note(healthy: Comparison) -> None:
    before = recorded(having(healthy, {EXTRA: "# one"}))
    assert "changed since" in effective_nginx.notes(having(before, {EXTRA: "# two"}))[0]
    files = {path: entry for path, entry in before.host.files.items() if path != EXTRA}
    assert "gone since" in effective_nginx.notes(replace(before, host=replace(before.host, files=files)))[0]


def test_without_a_record_there_is_nothing_to_compare_with(healthy: Comparison) -> None:
    now = with_record(having(healthy, {EXTRA: "limit_rate 1k;"}), None)
    assert findings(now) == []
    assert effective_nginx.notes(now) == []


def test_a_credential_outside_is_compared_and_never_shown(healthy: Comparison) -> None:
    first = having(healthy, {EXTRA: 'proxy_set_header X-Api-Key "hunter2x";'})
    kept = recorded(first)
    assert kept.proxy.recorded is not None
    assert "hunter2x" not in str(kept.proxy.recorded)
    found = findings(having(kept, {EXTRA: 'proxy_set_header X-Api-Key "other3yz";'}))
    assert "other3yz" not in repr(found)
    # each location of the site has headers of its own, which replace those of http
    assert found == []
    added = findings(having(kept, {EXTRA: 'add_header X-Api-Key "other3yz";'}))
    assert [f.path for f in added] == ["inherited.add_header[X-API-Key]"]
    assert "other3yz" not in repr(added)


def test_a_neighbour_that_cannot_be_parsed_is_a_note_and_never_unknown(healthy: Comparison) -> None:
    now = having(healthy, {f"{ENABLED}/lua": "server { listen 8099; set $pass{; }"})
    assert findings(now) == []
    cannot, added = effective_nginx.notes(now)
    assert cannot.startswith(f"nginx: {ENABLED}/lua cannot be parsed (")
    assert "added since" in added
    assert len(effective_nginx.notes(recorded(now))) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read, or is larger than 1 MiB"), ("http {", "cannot be parsed: unexpected end of file")],
)
def test_a_main_file_that_is_not_understood_is_unknown(healthy: Comparison, content: str | None, words: str) -> None:
    found = one(having(healthy, {MAIN: content}))
    assert found.cls is FindingClass.UNKNOWN
    assert str(found.live).startswith(f"{MAIN} {words}")


def test_another_file_that_cannot_be_read_is_unknown(healthy: Comparison) -> None:
    found = one(having(healthy, {EXTRA: None}))
    assert (found.cls, found.live) == (FindingClass.UNKNOWN, f"{EXTRA} cannot be read")


def test_a_list_that_is_too_large_to_be_read_is_a_note(healthy: Comparison) -> None:
    conf = CONF.replace("sendfile on;", "sendfile on; geo $x { include /etc/nginx/block.list; }")
    now = recorded(having(healthy, {MAIN: conf, "/etc/nginx/block.list": None}))
    assert findings(now) == []
    [note] = effective_nginx.notes(now)
    assert note.startswith("nginx: /etc/nginx/block.list, included within geo, is not compared")


@pytest.mark.parametrize("path", ["inherited.limit_rate", "inherited.*", "inherited"])
def test_a_rule_ignores_what_is_meant(healthy: Comparison, path: str) -> None:
    found = findings(having(healthy, {EXTRA: "limit_rate 1k;"}))
    rule = Rule.model_validate({"kind": "Nginx", "path": path, "action": "ignore"})
    assert [str(f.action) for f in apply_rules(found, [rule])] == ["ignore"]


def test_nginx_that_was_started_with_another_file(healthy: Comparison) -> None:
    now = having(healthy, {OTHER: CONF})
    now = replace(now, host=replace(now.host, configuration=OTHER))
    found = one(now)
    assert (found.cls, found.path, found.live, found.declared) == (FindingClass.DRIFT, "configuration", OTHER, MAIN)
    assert not found.heals
    elsewhere = having(now, {OTHER: "events { } http { server { listen 80; } }"})
    told = {f.path: f for f in findings(elsewhere)}
    assert told[""].live == f"nginx does not load {PATH}: no include of {OTHER} reaches it"
    accepted = recorded(now)
    assert findings(accepted) == []


def test_another_nginx_on_our_port(healthy: Comparison) -> None:
    holder = Process(7, "nginx", "/usr/sbin/nginx", ("nginx", "-c", OTHER), login="ben")
    found = one(having(healthy, {}, running=False, process=None, holders={"80": holder}))
    assert (found.cls, found.manager, found.heals) == (FindingClass.UNHEALTHY, "ben (login)", False)
    assert (found.path, found.live) == (
        "ports[80]", f"another nginx (/usr/sbin/nginx -c {OTHER}, process 7) holds port 80",
    )  # fmt: skip
    assert "kill -QUIT 7" in found.note
    for told_by_its_port in (replace(holder, inside=True), Process(8, "haproxy")):
        assert findings(having(healthy, {}, holders={"80": told_by_its_port})) == []


def test_a_program_that_was_replaced(healthy: Comparison) -> None:
    found = one(having(healthy, {}, process=Process(100, "nginx", "/usr/sbin/nginx (deleted)")))
    assert (found.cls, found.path) == (FindingClass.STALE, "program")
    assert found.live == "/usr/sbin/nginx was replaced or removed since nginx was started"
    another = one(having(healthy, {}, process=Process(100, "nginx", "/opt/nginx/nginx")))
    assert (another.cls, another.live, another.declared) == (FindingClass.DRIFT, "/opt/nginx/nginx", "/usr/sbin/nginx")


def test_a_snippet_of_the_site_is_compared_by_its_directives(healthy: Comparison) -> None:
    snippet = "/etc/nginx/snippets/s.conf"
    site = healthy.proxy.sites["flowmaster"].model_copy(update={"extra": ("include snippets/s.conf;",)})
    text = site_text(site, ADDRESSES)
    now = having(healthy, {PATH: text, snippet: "deny 192.0.2.1;"})
    proxy = ReverseProxy(sites={"flowmaster": site})
    before = recorded(replace(now, proxy=proxy, applied={"flowmaster": text}))
    assert findings(before) == []
    found = one(having(before, {snippet: "deny 192.0.2.2;"}))
    assert (found.path, found.live) == (f"included[{snippet}].deny", "192.0.2.2")
    assert found.declared == "192.0.2.1"


def test_what_a_site_defines_beside_its_servers_is_its_own(healthy: Comparison) -> None:
    text = str(healthy.host.files[PATH].content)
    now = having(healthy, {PATH: f"upstream back {{ server 10.0.0.1; }}\n{text}"})
    assert [f for f in findings(now) if f.object.kind == "Nginx"] == []
    assert recorded(now).proxy.recorded == healthy.proxy.recorded


def test_who_changed_a_file_is_told_where_it_is_known(healthy: Comparison) -> None:
    now = having(healthy, {EXTRA: "limit_rate 1k;"})
    by_sudo = {**now.host.files, EXTRA: replace(now.host.files[EXTRA], writer="ben")}
    assert one(replace(now, host=replace(now.host, files=by_sudo))).manager == "ben (sudo)"
    owned = {**now.host.files, EXTRA: replace(now.host.files[EXTRA], owner="deploy")}
    assert one(replace(now, host=replace(now.host, files=owned))).manager == "deploy (owner)"
    assert one(now).manager is None
