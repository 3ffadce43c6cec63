"""Which locations of a template are asked, by what, and which services are behind them."""

from __future__ import annotations

import pytest

from config.reverse_proxy import SiteTemplate
from flowmaster.render import nginx
from flowmaster.render.template_routes import Check

BOTH = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream backend { server {{ api-gateway }} max_fails=3; server {{ engage-app }} backup; }
server {
    if ($host = shop.example) { return 301 https://$host$request_uri; } # managed by Certbot
    listen 80; listen [::]:80; server_name shop.example; return 404;
}
server {
    listen [::]:443 ssl; listen 443 ssl http2; server_name *.shop.example shop.example;
    set $chat {{ websocket-gateway }};
    location / { proxy_pass http://{{ frontend }}; }
    location = /health { proxy_pass http://{{ frontend:8080 }}/health; }
    location ^~ /api/ { proxy_pass https://backend/; location /api/v2/ { proxy_pass http://backend; } }
    location ~ ^/x/(.*)$ { proxy_pass http://{{ frontend }}/$1; }
    location /chat/ { if ($a) { return 403; } proxy_pass http://$chat; }
    location /static/ { root /srv/www; }
    location /private/ { internal; proxy_pass http://{{ frontend }}; }
    location @named { proxy_pass http://{{ frontend }}; }
    location /php { fastcgi_pass unix:/run/php.sock; }
}
server { listen 127.0.0.1:8080; location /own { proxy_pass http://{{ frontend }}; } }
"""


def template(text: str) -> SiteTemplate:
    return SiteTemplate(template="x").with_text(text)


def test_locations_that_pass_requests_on_are_asked_by_tls_and_a_name() -> None:
    found = dict(nginx.location_checks(template(BOTH)))
    assert found == {
        Check("/", "shop.example", 443, True): ("frontend",),
        Check("/health", "shop.example", 443, True): ("frontend",),
        Check("/api/", "shop.example", 443, True): ("api-gateway", "engage-app"),
        Check("/api/v2/", "shop.example", 443, True): ("api-gateway", "engage-app"),
        Check("/chat/", "shop.example", 443, True): ("websocket-gateway",),
        Check("/php", "shop.example", 443, True): (),
    }


def test_a_location_is_left_out_where_all_services_behind_it_have_no_replicas() -> None:
    asked = nginx.site_checks(template(BOTH), ("engage-app", "frontend"))
    assert [check.path for check in asked] == ["/api/", "/api/v2/", "/chat/", "/php"]


def test_services_and_their_paths() -> None:
    site = template(BOTH)
    assert nginx.services(site) == ["api-gateway", "engage-app", "frontend", "websocket-gateway"]
    assert ("frontend", "~ ^/x/(.*)$") in nginx.paths(site)
    assert ("engage-app", "^~ /api/") in nginx.paths(site)


@pytest.mark.parametrize(
    ("listens", "asked"),
    [
        ("", (80, False)),
        ("listen 8080 default_server;", (8080, False)),
        ("listen 80; listen 8443 ssl;", (8443, True)),
        ("listen 443; ssl on;", (443, True)),
        ("listen 443 quic; listen 80 proxy_protocol; listen 81;", (81, False)),
        ("listen unix:/run/x.sock;", None),
        ("listen 10.0.0.1:80;", None),
        ("listen [::]:80;", None),
    ],
)
def test_a_server_is_asked_on_a_port_of_all_addresses(listens: str, asked: tuple[int, bool] | None) -> None:
    found = nginx.site_checks(
        template(f"server {{ {listens} location / {{ proxy_pass http://{{{{ frontend }}}}; }} }}")
    )
    assert [(check.port, check.tls) for check in found] == ([asked] if asked else [])


def test_what_cannot_be_read_by_directives_is_not_asked() -> None:
    site = template("server { location / { proxy_pass http://{{ frontend }}; }")
    assert nginx.site_checks(site) == []
    assert nginx.services(site) == ["frontend"]
