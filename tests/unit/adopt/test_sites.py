"""Taking over sites that were written by hand: what they say is carried over, or they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.reverse_proxy import Site
from flowmaster.adopt import sites
from flowmaster.host import nginx_tree
from flowmaster.host.nginx import ENABLED, File, HostState, Nginx
from flowmaster.render import nginx

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = {
    "frontend": "10.43.185.219:3000",
    "api-gateway": "10.43.193.134:9000",
    "websocket-gateway": "10.43.43.253:9010",
}
PASSED = "location / { proxy_pass http://10.43.185.219:3000; }"
TLS = "ssl_certificate /c/f.pem; ssl_certificate_key /c/k.pem; ssl_protocols TLSv1.2 TLSv1.3;"


def site(inside: str, before: str = "", after: str = "") -> str:
    return f"{before}server {{\n listen 80;\n server_name x.example;\n{inside}\n}}\n{after}"


def test_the_site_of_the_demo_server_is_taken_over_with_nothing_left_over() -> None:
    text = (ROOT / "lab/handmade/nginx/flowmaster").read_text()
    adopted = sites.site("flowmaster", text, ADDRESSES)
    assert adopted.extras == []
    assert adopted.data["locations"]["/"] == {"service": "frontend"}
    assert adopted.data["locations"]["/api/"] == {"service": "api-gateway", "timeout": 3600, "connectTimeout": 60}
    assert adopted.data["locations"]["/ws/"]["websocket"] is True
    assert "AI operations take long" in adopted.comments
    rendered = nginx.site_text(Site.model_validate(adopted.data), ADDRESSES)
    assert nginx_tree.same(rendered, text)


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        (site("location / { proxy_pass http://10.43.185.219:3000; add_header X-A b; }"), ["add_header X-A b;"]),
        (site("gzip on;\nlocation / { proxy_pass http://10.43.185.219:3000; }"), ["gzip on;"]),
        (
            site("location / { proxy_pass http://10.43.185.219:3000; proxy_read_timeout 5m; }"),
            ["proxy_read_timeout 300s;"],
        ),
        (site("location / { proxy_pass http://10.43.185.219:3000; if ($a) { return 403; } }"), ["if ($a)"]),
        (site("location / { proxy_pass http://127.0.0.1:3010/sub; }"), []),
        (site("location ~ ^/x { proxy_pass http://10.43.185.219:3000; }"), []),
        (site(f"listen [::]:80;\n{PASSED}"), ["listen [::]:80;"]),
        (site(f"listen unix:/run/x.sock;\n{PASSED}"), ["listen unix:/run/x.sock;"]),
        (f"server {{ listen [::]:80 default_server; listen 80 default_server; {PASSED} }}", ["listen [::]:80 def"]),
        (
            f"server {{ listen 80; listen 443 ssl; listen [::]:443 ssl ipv6only=on; {TLS} {PASSED} }}",
            ["listen [::]:443 ssl ipv6only=on;"],
        ),
        (site(f"{PASSED} add_header X 'DENY always'; set $auth 1;"), ["add_header X 'DENY always';", "set $auth 1;"]),
        (site("location / { proxy_pass http://10.43.185.219:3000; proxy_set_header host $host; }"), []),
        (
            site(
                "location ~ ^/zz { proxy_pass http://10.43.185.219:3000; }\n"
                "location ~* ^/z { proxy_pass http://10.43.193.134:9000; }\n"
                "location / { proxy_pass http://10.43.185.219:3000; }\n"
                "location ~ ^/a { proxy_pass http://10.43.193.134:9000; }"
            ),
            [],
        ),
        (
            "server { listen 80; server_name a.b; return 301 https://$host$request_uri; }\n"
            "server { listen 443 ssl; server_name a.b; ssl_certificate /c/f.pem; ssl_certificate_key /c/k.pem;"
            " ssl_protocols TLSv1.2 TLSv1.3; location / { proxy_pass http://10.43.185.219:3000; } }",
            [],
        ),
    ],
)
def test_what_has_no_field_is_carried_as_it_stands(text: str, carried: list[str]) -> None:
    adopted = sites.site("x", text, ADDRESSES)
    for words in carried:
        assert any(words in extra for extra in adopted.extras), adopted.extras
    assert len(adopted.extras) == len(carried)
    assert nginx_tree.same(nginx.site_text(Site.model_validate(adopted.data), ADDRESSES), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server { listen 80", "flowmaster: "),
        (site("location / { proxy_pass http://a:1; default_type gr\udcf6n; }"), "has bytes that are no UTF-8"),
        (site("location / { root /var/www; }"), "location / does not pass requests on"),
        (site("location / { proxy_pass https://x:1; }"), "proxy_pass https://x:1"),
        (site("location / { proxy_pass http://pool; }", before="upstream pool { server 10.0.0.1:1; }\n"), "upstream"),
        (site("location / { proxy_pass http://$backend; }"), "line 4: `proxy_pass http://$backend` is not"),
        (
            site('location / { proxy_pass http://a:1; proxy_set_header Authorization "Basic c2VjcmV0"; }'),
            "line 4: proxy_set_header Authorization has a credential in the clear",
        ),
        (site("") + site("") + site(""), "3 server blocks"),
    ],
)
def test_what_cannot_be_carried_is_refused_and_said(text: str, said: str) -> None:
    with pytest.raises(sites.SiteAdoptionError) as refused:
        sites.site("flowmaster", text, ADDRESSES)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ('proxy_set_header Authorization "Basic S3CR3T";', "proxy_set_header Authorization"),
        ("set $api_token S3CR3T;", "set $api_token"),
        ("add_header X-Api-Key S3CR3T;", "add_header X-Api-Key"),
        ('if ($http_x_api_key != "S3CR3T") { return 403; }', "if $http_x_api_key"),
        ("if ($a) { set $password S3CR3T; }", "set $password"),
        ("location /y { location /y/z { proxy_set_header X-Auth S3CR3T; } }", "proxy_set_header X-Auth"),
        ("location /y { proxy_pass http://a:1; proxy_set_header Cookie k=S3CR3T; }", "proxy_set_header Cookie"),
        ("secure_link_md5 '$uri S3CR3T';", "secure_link_md5"),
        ("return 301 https://user:S3CR3T@b.example;", "return 301"),
    ],
)
def test_a_credential_in_the_clear_is_refused_wherever_it_stands(inside: str, said: str) -> None:
    with pytest.raises(sites.SiteAdoptionError) as refused:
        sites.site("flowmaster", site(f"{PASSED}\n{inside}"), ADDRESSES)
    assert f"line 5: {said} has a credential in the clear" in str(refused.value)
    assert "S3CR3T" not in str(refused.value)


def test_a_credential_in_a_comment_is_not_told() -> None:
    adopted = sites.site("x", site(f"# set $api_token S3CR3T;\n# by ben\n{PASSED}"), ADDRESSES)
    assert adopted.comments == ["set (secret)", "by ben"]


@pytest.mark.parametrize(
    ("text", "said", "usual"),
    [
        (f"server {{\nlisten 10.0.0.1:80;\n{PASSED} }}", "line 2: `listen 10.0.0.1:80` is not", "`listen 80;`"),
        (site(f"listen 81;\n{PASSED}"), "line 4: `listen 81` is not understood: a second port", "take that line out"),
        (site(f"listen [::]:81;\n{PASSED}"), "line 4: `listen [::]:81` is not understood", "`listen 81;`"),
        (site(f"listen 443 ssl http2;\n{TLS} {PASSED}"), "not understood: `http2`", "`listen 443 ssl;`"),
        (f"server {{\nlisten 80 reuseport;\n{PASSED} }}", "not understood: `reuseport`", "`listen 80;`"),
        (
            site(f"listen 443 ssl;\n{TLS.partition(' ssl_pro')[0]} {PASSED}"),
            "line 1: this server has TLS",
            "add that line",
        ),
        (site(f"listen 443 ssl;\n{TLS[:-1]} TLSv1.1;\n{PASSED}"), "other versions of TLS", "ssl_protocols TLSv1.2"),
        (f"server {{ listen 443 ssl; {TLS} {PASSED} }}", "no plain port", "`listen 80; listen 443 ssl;`"),
        (site(f"listen 443 ssl default_server;\n{TLS} {PASSED}"), "line 2: `listen 80` is not", "80 default_server;`"),
        (
            f"server {{ listen 80; listen [::]:80; return 301 https://$host$request_uri; }}\n"
            f"server {{ listen 443 ssl; {TLS} {PASSED} }}",
            "line 1: `listen [::]:80` is not understood: more than the one plain port of a redirect",
            "`listen 80;`",
        ),
        (
            f"server {{ listen 80; return 302 https://$host$request_uri; }}server {{listen 443 ssl; {TLS} {PASSED} }}",
            "line 1: `return 302 https://$host$request_uri` is not understood",
            "`return 301 https://$host$request_uri;`",
        ),
        (
            "server {\nlocation / {\nproxy_pass http://a:1;\nproxy_pass http://b:1; } }",
            "line 3: `proxy_pass` stands there 2 times, and configuration says it once",
            "write it so",
        ),
        (
            "server {\nlocation / { proxy_pass http://a:1; proxy_http_version 1.1;\nproxy_http_version 1.1; } }",
            "line 2: `proxy_http_version` stands there 2 times, and configuration says it once",
            "write it so",
        ),
    ],
)
def test_what_is_not_understood_is_said_by_its_line_and_never_as_a_dump(text: str, said: str, usual: str) -> None:
    with pytest.raises(sites.SiteAdoptionError) as refused:
        sites.site("flowmaster", text, ADDRESSES)
    assert said in str(refused.value)
    assert usual in str(refused.value)
    assert "{" not in str(refused.value)
    assert all(len(line) < 240 for line in str(refused.value).splitlines())


def test_another_port_of_a_known_service_is_that_service() -> None:
    text = site("location / { proxy_pass http://10.43.185.219:9100/x; proxy_http_version 1.1; }")
    adopted = sites.site("x", text, ADDRESSES)
    assert adopted.data["locations"]["/"] == {"service": "frontend", "port": 9100, "path": "/x", "headers": {}}


def test_enabled_sites_that_are_not_declared_are_told_by_their_files() -> None:
    contents = {
        f"{ENABLED}/flowmaster": site(PASSED),
        f"{ENABLED}/flowmaster.conf": "server { listen 80; listen [::]:80; server_name b.example; }",
        f"{ENABLED}/odd": "server {",
        "/etc/nginx/sites-available/kept": site(PASSED),
        "/etc/nginx/nginx.conf": "events {}",
    }
    files = {path: File(path, "file", content=content) for path, content in contents.items()}
    host = HostState("10.0.0.1", "demo", Nginx(installed=True), files)
    assert sites.unadopted(["flowmaster"], host) == [
        (f"{ENABLED}/flowmaster.conf", "b.example on port 80"),
        (f"{ENABLED}/odd", "cannot be read"),
    ]
