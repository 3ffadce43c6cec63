"""Taking over sites that were written by hand: what they say is carried over, or they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.bodies import nginx
from config.reverse_proxy import Site
from drift.host import meaning
from host import adopt

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = {
    "frontend": "10.43.185.219:3000",
    "api-gateway": "10.43.193.134:9000",
    "websocket-gateway": "10.43.43.253:9010",
}


def site(inside: str, before: str = "", after: str = "") -> str:
    return f"{before}server {{\n listen 80;\n server_name x.example;\n{inside}\n}}\n{after}"


def test_the_site_of_the_demo_server_is_taken_over_with_nothing_left_over() -> None:
    text = (ROOT / "lab/handmade/nginx/flowmaster").read_text()
    adopted = adopt.site("flowmaster", text, ADDRESSES)
    assert adopted.extras == []
    assert adopted.data["locations"]["/"] == {"service": "frontend"}
    assert adopted.data["locations"]["/api/"] == {"service": "api-gateway", "timeout": 3600, "connectTimeout": 60}
    assert adopted.data["locations"]["/ws/"]["websocket"] is True
    assert "AI operations take long" in adopted.comments
    rendered = nginx.site(Site.model_validate(adopted.data), ADDRESSES)
    assert meaning.same(rendered, text)


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
    adopted = adopt.site("x", text, ADDRESSES)
    for words in carried:
        assert any(words in extra for extra in adopted.extras), adopted.extras
    assert len(adopted.extras) == len(carried)
    assert meaning.same(nginx.site(Site.model_validate(adopted.data), ADDRESSES), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server { listen 80", "flowmaster: "),
        (site("location / { root /var/www; }"), "location / does not pass requests on"),
        (site("location / { proxy_pass https://x:1; }"), "proxy_pass https://x:1"),
        (site("location / { proxy_pass http://pool; }", before="upstream pool { server 10.0.0.1:1; }\n"), "upstream"),
        (site("location / { proxy_pass http://$backend; }"), "upstream"),
        (
            site('location / { proxy_pass http://a:1; proxy_set_header Authorization "Basic c2VjcmV0"; }'),
            "sets Authorization to a credential in the clear",
        ),
        (site("") + site("") + site(""), "3 server blocks"),
    ],
)
def test_what_cannot_be_carried_is_refused_and_said(text: str, said: str) -> None:
    with pytest.raises(adopt.AdoptError) as refused:
        adopt.site("flowmaster", text, ADDRESSES)
    assert said in str(refused.value)
    assert "c2VjcmV0" not in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3
