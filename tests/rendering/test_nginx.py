"""The text of nginx's sites: golden files, read back by a parser of nginx's language and by nginx itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import crossplane
import pytest
from pydantic import ValidationError

from config.reverse_proxy import ReverseProxy, Site
from config.settings import Settings
from flowmaster.host import nginx_tree
from flowmaster.render import nginx

GOLDEN = Path(__file__).parent / "golden"
ADDRESSES = {
    "frontend": "10.43.185.219:3000",
    "api-gateway": "10.43.193.134:9000",
    "websocket-gateway": "10.43.43.253:9010",
}
LOCATIONS: dict[str, Any] = {"/": {"service": "frontend"}}
SITES: dict[str, dict[str, Any]] = {
    "tls": {
        "serverNames": ["app.example"],
        "tls": {"certificate": "/etc/ssl/app.pem", "key": "/etc/ssl/app.key"},
        "locations": LOCATIONS,
    },
    "tls-beside-plain": {
        "listen": 8080,
        "serverNames": ["app.example", "www.app.example"],
        "tls": {"certificate": "/etc/ssl/app.pem", "key": "/etc/ssl/app.key", "port": 8443, "redirect": False},
        "locations": LOCATIONS,
    },
    "tls-redirect-elsewhere": {
        "default": True,
        "tls": {"certificate": "/etc/ssl/app.pem", "key": "/etc/ssl/app.key", "port": 8443},
        "locations": LOCATIONS,
    },
    "everything": {
        "serverNames": ["sdx.example"],
        "maxBodySize": "1g",
        "extra": ["gzip on;", "location = /health {\n    return 200;\n}"],
        "locations": {
            "/": {"upstream": "127.0.0.1:3010", "path": "/app/"},
            "= /exact": {"service": "frontend", "port": 3001},
            "~ ^/v[0-9]+/": {"service": "api-gateway", "httpVersion": None, "headers": {}},
            "/stream/": {
                "service": "api-gateway",
                "streaming": True,
                "timeout": 60,
                "connectTimeout": 5,
                "maxBodySize": "10m",
                "headers": {"Host": "$host", "X-Note": 'two words; and "quotes"'},
                "extra": ["add_header X-Served-By flowmaster always;"],
            },
        },
    },
    "bare": {"serverNames": [], "maxBodySize": None, "locations": LOCATIONS},
}


def text_of(name: str, demo: Settings) -> str:
    if name == "demo":
        assert demo.stack.reverse_proxy is not None
        return nginx.site_text(demo.stack.reverse_proxy.sites["flowmaster"], ADDRESSES)
    return nginx.site_text(Site.model_validate(SITES[name]), ADDRESSES)


NAMES = ["demo", *SITES]


def test_patterns_stand_in_their_order_whatever_that_of_the_keys() -> None:
    def locations(*orders: int | None) -> dict[str, Any]:
        paths = ("~ ^/a", "~ ^/z", "~* ^/zz")
        patterns = {path: {"service": "frontend", "order": n} for path, n in zip(paths, orders, strict=True)}
        return {"locations": {"/": {"service": "frontend"}, **patterns}}

    text = nginx.site_text(Site.model_validate(locations(3, 2, 1)), ADDRESSES)
    assert re.findall(r"location (.*) \{", text) == ["/", "~* ^/zz", "~ ^/z", "~ ^/a"]
    for unclear in ((3, 2, 2), (3, 2, None), (None, None, None)):
        with pytest.raises(ValidationError, match="patterns without an order"):
            Site.model_validate(locations(*unclear))


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_the_golden_one(name: str, demo: Settings) -> None:
    """`UPDATE_GOLDEN=1` writes the files anew; read the difference before it is committed."""
    golden, text = GOLDEN / f"{name}.conf", text_of(name, demo)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_of_nginx_language_reads_it_back(name: str, demo: Settings, tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.write_text(text_of(name, demo))
    payload = crossplane.parse(str(file), single=True, check_ctx=False)
    assert payload["errors"] == []
    assert nginx_tree.meaning(crossplane.build(payload["config"][0]["parsed"])) == nginx_tree.meaning(file.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_nginx_itself_takes_it(name: str, demo: Settings, tmp_path: Path) -> None:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "lab/bootstrap installs nginx"
    text = text_of(name, demo)
    if "ssl_certificate " in text:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "1", "-subj", "/CN=app.example", "-keyout", tmp_path / "app.key", "-out", tmp_path / "app.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        text = text.replace("/etc/ssl/", f"{tmp_path}/")
    # ports that anybody may have: the test must not need the machine's port 80
    text = re.sub(r"listen (\d+)", lambda match: f"listen 127.0.0.1:{20000 + int(match[1]) % 10000}", text)
    (tmp_path / "site.conf").write_text(text)
    whole = (
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include {tmp_path}/site.conf; }}"
    )
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [program, "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_site_is_that_of_the_snapshot(demo: Settings) -> None:
    said = nginx_tree.meaning(text_of("demo", demo))["server"]["80 _"]["location"]
    assert {path: entry["proxy_pass"] for path, entry in said.items()} == {
        "/": "http://10.43.185.219:3000",
        "/api/": "http://10.43.193.134:9000",
        "/ws/": "http://10.43.43.253:9010",
    }
    assert said["/api/"]["proxy_read_timeout"] == "3600s"
    assert said["/ws/"]["proxy_read_timeout"] == "86400s"
    assert said["/ws/"]["proxy_set_header"]["Upgrade"] == "$http_upgrade"
    assert said["/api/"]["proxy_buffering"] == "off"


def test_what_is_asked_to_see_that_it_answers(demo: Settings) -> None:
    assert demo.stack.reverse_proxy is not None
    asked = nginx.site_checks(demo.stack.reverse_proxy.sites["flowmaster"])
    assert [(check.path, check.host, check.port, check.tls) for check in asked] == [
        ("/", "localhost", 80, False),
        ("/api/", "localhost", 80, False),
        ("/ws/", "localhost", 80, False),
    ]
    asked = nginx.site_checks(Site.model_validate(SITES["everything"]))
    assert [check.path for check in asked] == ["/", "/exact", "/stream/"]
    asked = nginx.site_checks(Site.model_validate(SITES["tls"]))
    assert [(check.host, check.port, check.tls) for check in asked] == [("app.example", 443, True)]


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["*.b.example"], "flowmaster-check.b.example"),
        ([".b.example"], "b.example"),
        (["www.*"], "www.test"),
        (["_", "*.b.example", "a.example"], "a.example"),
        (["~^a"], "localhost"),
        ([], "localhost"),
    ],
)
def test_a_site_is_asked_by_a_name_that_it_answers(names: list[str], host: str) -> None:
    site = Site.model_validate({"serverNames": names, "locations": {"/": {"upstream": "127.0.0.1:1"}}})
    assert [check.host for check in nginx.site_checks(site)] == [host]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("server { listen 80; }", "server{listen *:80;}# x"),
        ("server { listen 80; a_timeout 1h; }", "server { a_timeout 60m; }"),
        ("server { client_max_body_size 1m; }", "server { client_max_body_size 1024k; }"),
        ("server { a b; c d; }", "server { c d; a b; }"),
        ('server { proxy_set_header A "b"; }', "server { proxy_set_header A b; }"),
        ("server { proxy_set_header host $host; }", "server { proxy_set_header Host $host; }"),
        ("server { add_header x-xss-protection 0; }", "server { add_header X-XSS-Protection 0; }"),
        ('server { if ($a ~ "x") { break; } }', "server { if ($a ~ x) { break; } }"),
        (
            "server { server_name a; } server { listen 80 default_server; server_name b; }",
            "server { listen 80 default_server; server_name b; } server { server_name a; }",
        ),
        ("server { listen 81; } server { listen 82; }", "server { listen 82; } server { listen 81; }"),
    ],
)
def test_the_same_said_in_other_words_is_the_same(one: str, other: str) -> None:
    assert nginx_tree.same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("server { listen 80; }", "server { listen 81; }"),
        ("server { location ~ a {} location ~ b {} }", "server { location ~ b {} location ~ a {} }"),
        ("server { allow all; deny 1.2.3.4; }", "server { deny 1.2.3.4; allow all; }"),
        ("server { a_timeout 1m; }", "server { a_timeout 1h; }"),
        ("server { location / {} }", "server { location / {} location / {} }"),
        ("server { a b; }", "server { a b; "),
        ('server { add_header X "DENY always"; }', "server { add_header X DENY always; }"),
        ('server { if ($a ~ "x y") { break; } }', "server { if ($a ~ x y) { break; } }"),
        ("server { server_name a; } server { server_name b; }", "server { server_name b; } server { server_name a; }"),
        (
            "server { if ($a = 1) { break; } if ($a = 2) { return 1; } }",
            "server { if ($a = 2) { return 1; } if ($a = 1) { break; } }",
        ),
        ("server { rewrite ^/a /b; rewrite ^/a /c; }", "server { rewrite ^/a /c; rewrite ^/a /b; }"),
        ("server { set $a 1; set $a 2; }", "server { set $a 2; set $a 1; }"),
        ('server { set $a ""; set $b x; }', "server { set $a x; set $b x; }"),
    ],
)
def test_what_says_something_else_is_not_the_same(one: str, other: str) -> None:
    assert not nginx_tree.same(one, other)


@pytest.mark.parametrize("words", [["a"], ["a", "b c"], [""], ['a"b', "c\\d", "\\"], ["a b\\", "'"], ["a#;{}"], []])
def test_words_are_kept_apart(words: list[str]) -> None:
    assert nginx_tree.split(nginx_tree.joined(words)) == words


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ({}, "reverseProxy has no sites"),
        ({"a": {"locations": {"/": {}}}}, "a location leads to one place"),
        ({"a": {"locations": {"/": {"service": "x", "upstream": "y:1"}}}}, "a location leads to one place"),
        ({"a": {"maxBodySize": "much", "locations": {}}}, "is not a size for nginx"),
        ({"a": {"extra": ["gzip on"], "locations": {}}}, "is not a whole directive"),
        ({"a": {"serverNames": ["x; }"], "locations": {}}}, "cannot stand in nginx's configuration"),
        ({"a": {"locations": {}}, "b": {"locations": {}}}, "sites a and b both serve _ on port 80"),
    ],
)
def test_what_cannot_be_a_site_is_refused(sites: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ReverseProxy.model_validate({"sites": sites})
