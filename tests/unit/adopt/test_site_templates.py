"""Sites adopted as templates: which, with what for what reason left alone, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from config.reverse_proxy import Recorded, ReverseProxy, Site, SiteTemplate
from flowmaster.adopt import site_adoption, sites, write
from flowmaster.adopt.site_directives import SiteAdoptionError
from flowmaster.adopt.site_templates import site
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import FindingClass
from flowmaster.drift.nginx import Comparison, findings
from flowmaster.host.nginx import ENABLED, MAIN, File, HostState, Nginx
from flowmaster.render import nginx

ADDRESSES = {"frontend": "10.43.185.219:3000", "api-gateway": "10.43.193.134:9000"}
PASSED = "location / { proxy_pass http://10.43.185.219:3000; }"
SIMPLE = f"server {{\n  listen 80;\n  server_name a.example;\n  {PASSED}\n}}\n"
CERTBOT = """\
upstream app { server 10.43.185.219:3000; server 10.43.193.134:9001 backup; }
map $http_upgrade $connection { default upgrade; '' close; }
server {
\tserver_name shop.example; # ours
\tlocation / { proxy_pass http://app; proxy_set_header X-Forwarded-Ssl on; }
    listen [::]:443 ssl ipv6only=on; # managed by Certbot
    listen 443 ssl; # managed by Certbot
    ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem; # managed by Certbot
    ssl_certificate_key /etc/letsencrypt/live/shop.example/privkey.pem; # managed by Certbot
    include /etc/letsencrypt/options-ssl-nginx.conf; # managed by Certbot
    include snippets/own.conf;
    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem; # managed by Certbot
}
server {
    if ($host = shop.example) {
        return 301 https://$host$request_uri;
    } # managed by Certbot


\tlisten 80;
\tserver_name shop.example;
    return 404; # managed by Certbot
}
"""
SECRET = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "cTlYMnpMazdWcDNtUjhzVA=="}}


def host(**contents: str) -> HostState:
    files = {f"{ENABLED}/{n}": File(f"{ENABLED}/{n}", "file", "0644", "root", "root", c) for n, c in contents.items()}
    main = File(MAIN, "file", content=f"events {{}}\nhttp {{ include {ENABLED}/*; }}\n")
    return HostState("10.0.0.1", "demo", Nginx(installed=True, running=True), {MAIN: main, **files})


def wanted(**how: Any) -> sites.Wanted:
    return sites.Wanted(**{"declared": {}, "known": frozenset(ADDRESSES), "folder": "nginx/demo", **how})


@pytest.mark.parametrize(
    "text",
    [
        CERTBOT,
        CERTBOT.replace("\n", "\r\n"),
        "# gr\udcf6n {{ x }}\nserver { listen 80; }",
        "server { listen 80; location / { content_by_lua_block { local t = {{1}} } } }\n\n",
        "",
    ],
)
def test_the_template_renders_to_the_file_byte_for_byte(text: str) -> None:
    adopted = site("x", host(x=text), ADDRESSES, "nginx/demo/x")
    assert adopted.template is not None
    rendered = nginx.site_text(SiteTemplate(template="nginx/demo/x").with_text(adopted.template), ADDRESSES)
    assert rendered.encode("utf-8", "surrogateescape") == text.encode("utf-8", "surrogateescape")


def test_addresses_of_services_become_placeholders_and_files_around_are_named() -> None:
    adopted = site("x", host(x=CERTBOT), ADDRESSES, "nginx/demo/x")
    assert adopted.template is not None
    assert "server {{ frontend }}; server {{ api-gateway:9001 }} backup;" in adopted.template
    assert adopted.data == {"template": "nginx/demo/x"}
    assert adopted.depends == [
        "/etc/letsencrypt/live/shop.example/fullchain.pem",
        "/etc/letsencrypt/live/shop.example/privkey.pem",
        "/etc/letsencrypt/options-ssl-nginx.conf",
        "/etc/nginx/snippets/own.conf",
        "/etc/letsencrypt/ssl-dhparams.pem",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server {", "site x: unexpected end of file"),
        ("server { set $api_token S3CR3T; }", "line 1: set $api_token has a credential in the clear"),
        ("server {\n# set $api_token S3CR3T;\n}", "line 2: the comment set has a credential in the clear"),
        ("server {\n# q9X2zLk7Vp3mR8sT\n}", "line 2: a comment has a credential in the clear"),
        ("server { return 200 q9X2zLk7Vp3mR8sT; }", "line 1: return 200 has a credential in the clear"),
        ("server { location / { proxy_pass http://127.0.0.1:8083; } }", "proxy_pass: port 8083"),
        ("server { root /opt/plane/www; }", "root: /opt/plane/www"),
    ],
)
def test_what_is_no_template_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(SiteAdoptionError) as refused:
        site("x", host(x=text), ADDRESSES, "nginx/demo/x", Masker([SECRET]))
    assert said in str(refused.value)
    assert "S3CR3T" not in str(refused.value)
    assert "q9X2" not in str(refused.value)


def test_names_of_cookies_are_no_credentials() -> None:
    text = "server { if ($http_cookie ~* 'logged_in|author') { return 403; } set $memcached_key /x$uri; }"
    assert site("x", host(x=text), ADDRESSES, "x").template == text
    with pytest.raises(SiteAdoptionError):
        site("x", host(x=text.replace("author", "id=S3CR3T")), ADDRESSES, "x")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (replace(host(x=SIMPLE), problems={"x": "is a directory"}), "the site x is a directory"),
        (host(), "site x cannot be read (missing)"),
        (
            replace(
                host(x=SIMPLE),
                nginx=Nginx(installed=True, valid=False, words=f"nginx: [emerg] bad thing in {ENABLED}/x:3\nnginx: no"),
            ),
            "[emerg] bad thing",
        ),
    ],
)
def test_a_file_that_is_not_ours_to_write_is_refused(state: HostState, said: str) -> None:
    with pytest.raises(SiteAdoptionError) as refused:
        site("x", state, ADDRESSES, "x")
    assert said in str(refused.value)


TYPED = Site.model_validate({"locations": {"/": {"upstream": "10.0.0.9:1"}}})


def test_a_site_stays_typed_where_keys_say_the_same_and_is_a_template_else() -> None:
    state = host(**{"simple": SIMPLE, "odd": CERTBOT, "new.conf": SIMPLE.replace("a.ex", "b.ex"), "other": "x {}"})
    how = wanted(declared={"simple": TYPED, "odd": TYPED, "gone": TYPED}, further=frozenset({"new*"}))
    adopted, left = sites.sites(how, state, ADDRESSES, Masker())
    assert left == {}
    assert {name: entry.template is None for name, entry in adopted.items()} == {
        "simple": True, "odd": False, "new.conf": False
    }  # fmt: skip
    assert adopted["odd"].reason.startswith("line 1: directive 'upstream' beside the server cannot be taken over")
    assert adopted["new.conf"].data == {"template": "nginx/demo/new.conf"}
    adopted, _ = sites.sites(replace(how, typed=True), state, ADDRESSES, Masker())
    assert adopted["new.conf"].data["locations"]["/"]["service"] == "frontend"


def test_one_odd_site_stops_none_of_the_others() -> None:
    state = host(
        good=SIMPLE, key="server { listen 81; set $api_token S3CR3T; }", twice=SIMPLE, taken="server { listen 30500; }"
    )
    how = wanted(
        further=frozenset({"*"}), ports={30500: "the image registry", 80: "nginx"}, reserved=frozenset({"odd"})
    )
    adopted, left = sites.sites(how, state, ADDRESSES, Masker())
    assert list(adopted) == ["good"]
    assert left["key"].startswith("site key, line 1: set $api_token has a credential in the clear: ")
    assert left["twice"].startswith("sites good and twice both serve a.example on port 80: ")
    assert left["taken"] == "the stack says that port 30500 is taken by the image registry"


def test_a_site_that_nobody_has_is_an_error_with_those_there_are() -> None:
    with pytest.raises(SiteAdoptionError, match=r"no enabled site shpo \(did you mean 'shop'\?\)"):
        wanted(further=frozenset({"shpo"})).names(host(shop=SIMPLE))


def test_a_service_without_a_port_of_its_own_is_no_placeholder() -> None:
    adopted, _ = sites.sites(wanted(further=frozenset({"x"}), known=frozenset()), host(x=SIMPLE), ADDRESSES, Masker())
    assert adopted["x"].template == SIMPLE


def test_what_was_adopted_is_clean() -> None:
    state = host(x=CERTBOT)
    adopted = site("x", state, ADDRESSES, "nginx/demo/x")
    declared = SiteTemplate(template="nginx/demo/x").with_text(adopted.template or "")
    now = Comparison(proxy=ReverseProxy(sites={"x": declared}), host=state, addresses=ADDRESSES)
    assert findings(now) == []
    moved = findings(replace(now, addresses={**ADDRESSES, "frontend": "10.43.7.7:3000"}))
    note = "no Service has the address 10.43.185.219:3000; frontend has 10.43.7.7:3000; nginx/demo/x:1"
    assert [(finding.cls, finding.note) for finding in moved] == [(FindingClass.DRIFT, note)]


STACK = """\
config:
  flowmaster:reverseProxy:  # nginx
    sites:
      old: {template: nginx/demo/old}
"""
AMBIGUOUS = ["on", "No", "y", "~", "null", "10:20", "1_000", "1e3", "0x1f", "1.10", "2026-01-01", "", "= x", "<<"]


@pytest.mark.parametrize("text", [*AMBIGUOUS, "plain", "$host", "a: b", "100m"])
def test_texts_stay_texts_for_every_reader_of_the_stack(text: str) -> None:
    data = {
        "serverNames": [text or "a"], "locations": {"/": {"upstream": "a:1", "headers": {"X-A": text}}},
        "extra": [f"add_header {text};"],
    }  # fmt: skip
    recorded = Recorded(at="now", configuration="/etc/nginx/nginx.conf", inherited={"gzip": text})
    written = write.with_sites(write.with_sites(STACK, {"new": data}, (), None), {"x": {"template": "x"}}, (), recorded)
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(written)["config"]["flowmaster:reverseProxy"]["sites"]["new"] == data, version
    assert yaml.safe_load(written)["config"]["flowmaster:reverseProxy"]["sites"]["new"] == data


def test_sites_that_are_left_are_taken_out_of_the_stack() -> None:
    text = write.with_sites(STACK, {"new.conf": {"template": "nginx/demo/new.conf"}}, ["old"], None)
    assert text == STACK.replace("old", "new.conf")
    assert write.with_sites(STACK, {}, ["old"], None) == "config: {}\n"
    alone = write.with_sites("config:\n  a: 1\n", {"x": {"template": "x"}}, (), None)
    assert yaml.safe_load(alone)["config"]["flowmaster:reverseProxy"] == {"sites": {"x": {"template": "x"}}}


def test_templates_that_do_not_change_are_not_written(tmp_path: Path) -> None:
    adopted = {"x": site("x", host(x=CERTBOT), ADDRESSES, "nginx/x"), "y": sites.AdoptedSite({"locations": {}})}
    [draft] = site_adoption.drafts(adopted, tmp_path)
    assert (draft.path, draft.before) == (tmp_path / "nginx/x", "")
    draft.path.parent.mkdir()
    draft.path.write_bytes(draft.after.encode())
    assert site_adoption.drafts(adopted, tmp_path) == []
