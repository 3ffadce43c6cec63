"""Sites as templates on a real server: adopted to the byte, told by directive, healed to the byte."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.twin import Twin
from tests.lab.batch import until
from tests.lab.operate import Operator, named
from tests.lab.server import Server

FOLDER = "/etc/nginx/sites-enabled"
NAME = "shop.example.conf"
FILE = f"{FOLDER}/{NAME}"
SEEN = f"sha256sum {FILE}; stat -c '%i %Y' {FILE}; pgrep -P $(cat /run/nginx.pid)"
LIVE = "/etc/letsencrypt/live/shop.example"
TEXT = """\
# written by hand, and by certbot
map $http_upgrade $shop_connection {
\tdefault upgrade;
\t''      close;
}
upstream shop { server FRONTEND max_fails=3; keepalive 8; }

server {
\tserver_name shop.example www.shop.example; # gr\xf6n
\tlocation / {
\t\tproxy_pass http://shop;
\t\tproxy_http_version 1.1;
\t\tproxy_set_header Connection $shop_connection;
\t\tproxy_set_header X-Forwarded-Ssl on;
\t\tproxy_read_timeout 30s;
\t}
\tset $hub KNOWLEDGE;
\tlocation /hub/ { proxy_pass http://$hub; }

    listen [::]:443 ssl ipv6only=on; # managed by Certbot
    listen 443 ssl; # managed by Certbot
    ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem; # managed by Certbot
    ssl_certificate_key /etc/letsencrypt/live/shop.example/privkey.pem; # managed by Certbot
    include snippets/shop.conf;
}
server {
    if ($host = www.shop.example) {
        return 301 https://$host$request_uri;
    } # managed by Certbot


\tlisten 80;
\tlisten [::]:80;
\tserver_name shop.example www.shop.example;
    return 404; # managed by Certbot
}
"""


@dataclass(frozen=True)
class Adopted:
    """What an adoption said, and what there was on the server before."""

    operator: Operator
    said: str
    seen: str


@pytest.fixture(scope="module")
def adopted(hand_made_twin: Twin) -> Adopted:
    """A server adopted with a site that no key can say, beside one with a credential in the clear."""
    operator, server = Operator.of(hand_made_twin), Server.of(hand_made_twin)
    text = TEXT
    for name, word in (("frontend", "FRONTEND"), ("knowledge-hub", "KNOWLEDGE")):
        spec = operator.get(f"Service/{name}")["spec"]
        text = text.replace(word, f"{spec['clusterIP']}:{spec['ports'][0]['port']}")
    server.sh(
        f"mkdir -p {LIVE} /etc/nginx/snippets; echo 'add_header X-Shop 1;' > /etc/nginx/snippets/shop.conf\n"
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=shop.example"
        f" -addext subjectAltName=DNS:shop.example,DNS:www.shop.example"
        f" -keyout {LIVE}/privkey.pem -out {LIVE}/fullchain.pem 2>/dev/null\n"
        f"echo {b64encode(text.encode('latin-1')).decode()} | base64 -d > {FILE}\n"
        f"echo 'server {{ listen 8099; set $api_token S3CR3Tq; }}' > {FOLDER}/token.conf\n"
        "nginx -t -q; systemctl reload nginx; sleep 0.5"
    )
    seen = server.sh(SEEN)
    return Adopted(
        operator, operator.run("flowmaster", "adopt", "--site", "shop*", "--site", "token.conf").stdout, seen
    )


@pytest.fixture(scope="module")
def operator(adopted: Adopted) -> Operator:
    return adopted.operator


@pytest.fixture(scope="module")
def server(operator: Operator) -> Server:
    return Server.of(operator.twin)


def template(operator: Operator) -> Path:
    return Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"]).parent / f"nginx/demo/{NAME}"


def told(operator: Operator) -> dict[str, tuple[str, str, str]]:
    """By object and path, of what is on the host: class, what is live, and the note."""
    report = operator.report("--no-registry")
    hosts = [f for f in report["findings"] if f["object"]["kind"] in ("Nginx", "NginxSite", "Host")]
    return {f"{named(f)} {f['path']}".strip(): (f["class"], str(f.get("live")), f["note"]) for f in hosts}


def address(operator: Operator, name: str) -> str:
    """The address of a Service, with its port."""
    spec = operator.get(f"Service/{name}")["spec"]
    return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


def test_what_certbot_and_a_person_wrote_is_adopted_and_not_a_byte_changes(adopted: Adopted, server: Server) -> None:
    operator, said = adopted.operator, adopted.said
    assert f"{NAME}: nginx/demo/{NAME}" in said
    assert f"{NAME}: {LIVE}/fullchain.pem" in said
    assert f"{NAME}: /etc/nginx/snippets/shop.conf" in said
    assert "token.conf: site token.conf, line 1: set $api_token has a credential in the clear" in said
    assert "S3CR3Tq" not in said
    live = server.sh(f"base64 -w0 {FILE}")
    text = template(operator).read_bytes()
    assert b"gr\xf6n" in text
    assert b"server {{ frontend }} max_fails=3;" in text
    assert b"set $hub {{ knowledge-hub }};" in text
    operator.up()
    assert server.sh(SEEN) == adopted.seen
    assert server.sh(f"base64 -w0 {FILE}") == live
    until(lambda: operator.report("--no-registry")["findings"] == [], "calm after the crashes of before", 60)
    operator.preview("--expect-no-changes")


def test_a_directive_edited_by_hand_is_told_with_the_line_of_the_template_and_healed_to_the_byte(
    operator: Operator, server: Server
) -> None:
    whole = server.sh(f"sha256sum {FILE}")
    server.sh(f"sed -i 's/proxy_read_timeout 30s/proxy_read_timeout 5s/; s/# written/# edited/' {FILE}")
    server.sh("systemctl reload nginx")
    where = "NginxSite/shop.example.conf server[443,[::]:443 shop.example].location[/].proxy_read_timeout"
    assert told(operator) == {where: ("drift", "5s", f"nginx/demo/{NAME}:15")}
    operator.up()
    assert server.sh(f"sha256sum {FILE}") == whole
    assert told(operator) == {}
    server.sh(f"sed -i 's/# written/# edited/' {FILE}")
    assert set(told(operator)) <= {"NginxSite/shop.example.conf"}
    server.sh("systemctl reload nginx; sleep 0.5")
    assert told(operator) == {}
    operator.preview("--expect-no-changes")


def test_a_site_is_added_to_an_adopted_stack_and_nothing_else_of_it_changes(operator: Operator, server: Server) -> None:
    stack = Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"])
    passed = f"proxy_pass http://{address(operator, 'frontend')}; proxy_set_header X-Forwarded-Ssl on;"
    text = f"server {{ listen 8098; server_name one.example; location / {{ {passed} }} }}"
    server.sh(f"echo '{text}' > {FOLDER}/one; systemctl reload nginx")
    before = stack.read_text()
    operator.run("flowmaster", "adopt", "--site", "one", "--typed")
    assert "X-Forwarded-Ssl: 'on'" in stack.read_text()
    assert before.split("flowmaster:reverseProxy")[0] == stack.read_text().split("flowmaster:reverseProxy")[0]
    operator.up()
    assert told(operator) == {}
    operator.preview("--expect-no-changes")
    refused = operator.run("flowmaster", "adopt", "--site", "token.conf", code=None)
    assert refused.returncode == 1
    assert "has a credential in the clear" in refused.stderr
