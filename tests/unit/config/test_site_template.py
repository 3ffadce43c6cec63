"""Templates of sites: what becomes of a file is that file again, byte for byte, and addresses are those of Services."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import site_template
from config.errors import ConfigError
from config.load import settings
from config.reverse_proxy import ReverseProxy, Site, SiteTemplate, ports, served
from config.settings import Settings
from config.site_files import decoded

ADDRESSES = {"frontend": "10.43.185.219:3000", "api-gateway": "10.43.193.134:9000"}
NEW = {"frontend": "10.43.1.1:3000", "api-gateway": "10.43.1.2:9000"}


@pytest.mark.parametrize(
    ("file", "template", "later"),
    [
        ("a http://10.43.185.219:3000/;", "a http://{{ frontend }}/;", "a http://10.43.1.1:3000/;"),
        ("a 10.43.185.219:8080;", "a {{ frontend:8080 }};", "a 10.43.1.1:8080;"),
        ("allow 10.43.185.219/32;", "allow {{ frontend.ip }}/32;", "allow 10.43.1.1/32;"),
        ("a 10.43.185.219:$port;", "a {{ frontend.ip }}:$port;", "a 10.43.1.1:$port;"),
        (
            "b 10.43.185.219:3000 10.43.193.134:9000;",
            "b {{ frontend }} {{ api-gateway }};",
            "b 10.43.1.1:3000 10.43.1.2:9000;",
        ),
        ("{10.43.185.219:3000}", "{{{ frontend }}}", "{10.43.1.1:3000}"),
        ("lua {{1}} {{{", "lua {{ '{{' }}1}} {{ '{{' }}{", "lua {{1}} {{{"),
        ("\t# at 10.43.185.219:3000\r\n", "\t# at 10.43.185.219:3000\r\n", "\t# at 10.43.185.219:3000\r\n"),
        *((no, no, no) for no in ("110.43.185.219:3000", "10.43.185.2190", "1.10.43.185.219", "x-10.43.185.219")),
        ("# h\udcf6rer {{\n", "# h\udcf6rer {{ '{{' }}\n", "# h\udcf6rer {{\n"),
    ],
)  # fmt: skip
def test_a_file_is_made_a_template_and_rendered(file: str, template: str, later: str) -> None:
    assert site_template.made_of(file, ADDRESSES) == template
    assert site_template.rendered(template, ADDRESSES) == file
    assert site_template.rendered(template, NEW) == later


@pytest.mark.parametrize(
    "text", ["a;\nb {{ frontend", "\n{{ Frontend }}", "\n{{ frontend.port }}", "\n{{}}", "\n{{ '{' }}"]
)
def test_what_is_no_placeholder_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^line 2: .* is no placeholder"):
        site_template.parts(text)


TEMPLATE = """
upstream all { server {{ frontend }}; }
server { listen 80; listen [::]:80; listen 127.0.0.1:81; server_name Shop.example www.shop.example; }
server { listen *:8443 ssl default_server; server_name shop.example; }
"""


def test_ports_and_names_are_those_of_the_template() -> None:
    site = SiteTemplate(template="nginx/shop").with_text(TEMPLATE)
    assert sorted(served(site)) == [
        (80, "shop.example"), (80, "www.shop.example"), (8443, "_"), (8443, "shop.example")
    ]  # fmt: skip
    assert ports(site) == {80, 81, 8443}
    assert served(site.with_text("server {")) == []


def with_sites(demo: Settings, sites: dict[str, object], root: Path) -> Settings:
    values = demo.stack.model_dump(by_alias=True, exclude={"secrets", "sealed"})
    values["catalogue"] = str(Path(__file__).resolve().parents[3] / "config/catalogue.yaml")
    return settings("demo", {**values, "reverseProxy": {"sites": sites}}, "stack", root)


def test_a_template_is_read_from_the_folder_of_the_stack(demo: Settings, tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx/shop").write_bytes(TEMPLATE.encode() + b"# \xf6\r\n")
    loaded = with_sites(demo, {"shop.example.conf": {"template": "nginx/shop"}}, tmp_path)
    assert loaded.stack.reverse_proxy is not None
    site = loaded.stack.reverse_proxy.sites["shop.example.conf"]
    assert isinstance(site, SiteTemplate)
    assert site.text == decoded(TEMPLATE.encode() + b"# \xf6\r\n")


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ({"a": {"template": "nginx/none"}}, "sites.a: there is no file nginx/none"),
        ({"a": {"template": "nginx"}}, "sites.a: there is no file nginx"),
        ({"a": {"template": "../nginx"}}, "is no file below the folder of the stack's file"),
        ({"a": {"template": "/etc/passwd"}}, "is no file below the folder of the stack's file"),
        ({"a": {"template": "nginx/broken"}}, "sites.a: nginx/broken, line 2: '{{ x' is no placeholder"),
        ({"a": {"template": "nginx/unknown"}}, "nginx/unknown, line 3 leads to frontent, which is no service that"),
        ({"a": {"template": "nginx/shop", "listen": 80}}, "unknown key 'listen'"),
        ({"a": {"template": "nginx/shop"}, "b": {"template": "nginx/shop"}}, "sites a and b both serve shop.example"),
        ({"a": {"template": "nginx/taken"}}, "port 30500 of the host is taken by the image registry"),
        ({"a": {"lokations": {}}}, "reverseProxy.sites.a: unknown key 'lokations' (did you mean 'locations'?)"),
        ({"../a": {"template": "nginx/shop"}}, "'../a' is no name of a site's file"),
    ],
)
def test_what_cannot_be_a_template_is_refused(
    demo: Settings, tmp_path: Path, sites: dict[str, object], said: str
) -> None:
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx/shop").write_text(TEMPLATE)
    (tmp_path / "nginx/broken").write_text("server {}\n{{ x\n")
    (tmp_path / "nginx/unknown").write_text("\n\nserver { location / { proxy_pass http://{{ frontent }}; } }")
    (tmp_path / "nginx/taken").write_text("server { listen [::]:30500; }")
    with pytest.raises(ConfigError) as caught:
        with_sites(demo, sites, tmp_path)
    assert said in str(caught.value)


def test_a_key_of_another_form_is_no_key_of_a_template() -> None:
    assert isinstance(ReverseProxy.model_validate({"sites": {"a": {"locations": {}}}}).sites["a"], Site)
