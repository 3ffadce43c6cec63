"""Drift of sites that are templates: told by directive, with the template's line; bytes alone are none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from config.reverse_proxy import ReverseProxy, SiteTemplate
from flowmaster.compare.finding import Finding, FindingClass
from flowmaster.drift.nginx import Comparison, compared_as_text, findings
from flowmaster.host.nginx import ENABLED, MAIN, File, HostState, Nginx
from flowmaster.render.nginx import site_text

ADDRESSES = {"frontend": "10.43.185.219:3000", "api-gateway": "10.43.193.134:9000"}
PATH = f"{ENABLED}/shop.example.conf"
NOW = datetime(2026, 2, 8, tzinfo=UTC)
TEMPLATE = """\
# the shop
map $http_upgrade $connection_upgrade {
\tdefault upgrade;
}
upstream backend {
\tserver {{ frontend }} max_fails=3;
}
server {
\tlisten 80 default_server;
\tserver_name shop.example;
\tlocation / {
\t\tproxy_pass http://backend;
\t}
\tlocation /api/ {
\t\tproxy_pass http://{{ api-gateway:9001 }}/;
\t\tproxy_set_header Host $host;
\t}
}
"""


def comparison(template: str = TEMPLATE, live: str | None = None) -> Comparison:
    site = SiteTemplate(template="nginx/demo/shop").with_text(template)
    text = site_text(site, ADDRESSES)
    content = text if live is None else live
    file = File(PATH, "file", "0644", "root", "root", content, "0" * 64, changed=NOW)
    main = File(MAIN, "file", content=f"events {{}}\nhttp {{ include {ENABLED}/*; }}\n")
    host = HostState("10.0.0.1", "demo", Nginx(installed=True, running=True), {MAIN: main, PATH: file})
    proxy = ReverseProxy(sites={"shop.example.conf": site})
    return Comparison(proxy=proxy, host=host, addresses=ADDRESSES, applied={"shop.example.conf": text})


def text(now: Comparison) -> str:
    return str(now.host.files[PATH].content)


def edited(old: str, new: str) -> list[Finding]:
    now = comparison()
    assert old in text(now)
    return findings(comparison(live=text(now).replace(old, new)))


def test_a_file_that_is_as_rendered_is_clean() -> None:
    assert findings(comparison()) == []
    assert compared_as_text(comparison()) == []


@pytest.mark.parametrize(("old", "new"), [("# the shop", "# our shop"), ("\t", "    "), ("    ", "\r\n")])
def test_bytes_alone_are_no_drift(old: str, new: str) -> None:
    assert findings(comparison(live=text(comparison()).replace(old, new))) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("upgrade;\n", "close;\n", "map[$http_upgrade $connection_upgrade].default", 3),
        ("server_name shop.example", "server_name shop.example b", "server[80 shop.example].server_name", 10),
        ("Host $host", "Host x", "server[80 shop.example].location[/api/].proxy_set_header.Host", 16),
        ("\t\tproxy_set_header Host $host;\n", "", "server[80 shop.example].location[/api/].proxy_set_header", 16),
        ("\tlocation / {", "\tgzip on;\n\tlocation / {", "server[80 shop.example].gzip", 8),
        ("\n}\nserver", "\nkeepalive 8;\n}\nserver", "upstream.backend.keepalive", 5),
    ],
)
def test_a_directive_that_differs_is_told_with_the_line_of_the_template(
    old: str, new: str, path: str, line: int
) -> None:
    found = edited(old, new)
    assert [(finding.path, finding.note) for finding in found] == [(path, f"nginx/demo/shop:{line}")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("10.43.185.219:3000", "10.43.9.9:3000",
         "no Service has the address 10.43.9.9:3000; frontend has 10.43.185.219:3000; nginx/demo/shop:6"),
        ("10.43.193.134:9001", "10.43.9.9:9001",
         "no Service has the address 10.43.9.9:9001; api-gateway has 10.43.193.134:9000; nginx/demo/shop:15"),
        ("10.43.193.134:9001", "10.43.185.219:9001", "nginx/demo/shop:15"),
    ],
)  # fmt: skip
def test_an_address_of_no_service_is_told_with_the_one_that_it_has(old: str, new: str, said: str) -> None:
    [finding] = edited(old, new)
    assert finding.cls is FindingClass.DRIFT
    assert finding.note == said


@pytest.mark.parametrize(
    "directive", ["set $hub {{ frontend }};", "allow {{ frontend.ip }};", "proxy_pass http://{{ frontend }}/x$uri;"]
)
def test_a_service_made_again_is_drift_wherever_its_address_stands(directive: str) -> None:
    now = comparison(f"server {{ location / {{ {directive} }} }}")
    assert findings(now) == []
    [finding] = findings(replace(now, addresses={**ADDRESSES, "frontend": "10.43.7.7:3000"}))
    assert finding.cls is FindingClass.DRIFT
    assert finding.note.startswith("no Service has the address 10.43.185.219")
    assert "; frontend has 10.43.7.7:3000; nginx/demo/shop:1" in finding.note
    [finding] = findings(replace(now, addresses={"api-gateway": "10.43.193.134:9000"}))
    assert "frontend does not exist" in finding.note


def test_all_services_made_again_are_one_difference_of_an_upstream() -> None:
    now = comparison("upstream a { server {{ frontend }}; server {{ api-gateway:81 }} backup; }")
    [finding] = findings(replace(now, addresses={"frontend": "10.43.7.7:3000", "api-gateway": "10.43.7.8:9000"}))
    assert (finding.cls, finding.path) == (FindingClass.DRIFT, "upstream.a.server")
    assert "no Service has the address 10.43." in finding.note


def test_a_service_made_again_is_drift_of_the_file() -> None:
    now = comparison()
    found = findings(replace(now, addresses={**ADDRESSES, "frontend": "10.43.7.7:3000"}))
    assert [(f.cls, f.path, f.declared) for f in found] == [
        (FindingClass.DRIFT, "upstream.backend.server", "10.43.7.7:3000 max_fails=3")
    ]


def test_what_cannot_be_read_by_directives_is_compared_as_text() -> None:
    odd = TEMPLATE.replace("\tdefault upgrade;\n}", "\tdefault upgrade;")
    assert findings(comparison(odd)) == []
    [said] = compared_as_text(comparison(odd))
    assert said.startswith("directives of the site shop.example.conf, which is compared as text (unexpected end")
    [finding] = [f for f in findings(comparison(odd, live=text(comparison()))) if f.path == "content"]
    assert finding.live == "another text from line 4 on"
    assert finding.note.startswith("compared as text: unexpected end of file")


def test_a_site_that_is_gone_is_told_with_its_template() -> None:
    now = comparison()
    found = findings(replace(now, host=replace(now.host, files={MAIN: now.host.files[MAIN]})))
    assert [finding.declared for finding in found] == ["nginx/demo/shop: shop.example on port 80, _ on port 80"]
