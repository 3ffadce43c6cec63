"""Which servers nginx loads, from where, and what they inherit: by nginx's rules of includes and levels."""

from __future__ import annotations

import pytest

from flowmaster.host.effective_config import Configuration, load
from flowmaster.host.nginx import MAIN

SITE = "/etc/nginx/sites-enabled/ours"
CONF = """user www-data;
events { worker_connections 768; }
http {
    %s
    include /etc/nginx/mime.types;
    include conf.d/*.conf;
    include "/etc/nginx/sites-enabled/*";
}
"""
OURS = "server { listen 80 default_server; server_name a.example; location / { proxy_pass http://10.43.0.1:80; } }"


def config(http: str = "", **files: str | None) -> Configuration:
    """Named by the last parts of their paths: `conf_d__x` is conf.d/x.conf, `sites__x` sites-enabled/x."""
    places = {"conf_d": "/etc/nginx/conf.d/{}.conf", "sites": "/etc/nginx/sites-enabled/{}"}
    texts: dict[str, str | None] = {MAIN: CONF % http, "/etc/nginx/mime.types": "types { text/html html; }", SITE: OURS}
    for name, text in files.items():
        folder, _, rest = name.partition("__")
        texts[places.get(folder, "/etc/nginx/" + folder + "/{}").format(rest)] = text
    return load(texts, MAIN)


def test_servers_come_in_the_order_of_includes_with_file_and_line() -> None:
    found = config(conf_d__b="\n\nserver { listen 81; }", conf_d__a="server { listen 82; }", sites__zzz="server { }")
    assert [str(server.place) for server in found.servers] == [
        "/etc/nginx/conf.d/a.conf:1",
        "/etc/nginx/conf.d/b.conf:3",
        f"{SITE}:1",
        "/etc/nginx/sites-enabled/zzz:1",
    ]
    assert found.servers[2].match.names == ("a.example",)
    assert [str(load.by) for load in found.loaded(SITE)] == [f"{MAIN}:7"]


def test_a_site_that_no_include_reaches_is_not_loaded() -> None:
    text = (CONF % "").replace('include "/etc/nginx/sites-enabled/*";', "# include /etc/nginx/sites-enabled/*;")
    found = load({MAIN: text, SITE: OURS, "/etc/nginx/mime.types": ""}, MAIN)
    assert found.loaded(SITE) == []
    assert found.servers == []


def test_a_site_that_is_included_within_a_server_is_not_loaded_as_one() -> None:
    text = "events { } http { server { include sites-enabled/ours; } }"
    found = load({MAIN: text, SITE: "return 204;"}, MAIN)
    assert found.loaded(SITE) == []
    assert [load.context for load in found.loads[SITE]] == ["server"]


def test_a_site_that_is_included_twice_is_loaded_twice() -> None:
    found = config(conf_d__again="include sites-enabled/ours;")
    assert [str(load.by) for load in found.loaded(SITE)] == ["/etc/nginx/conf.d/again.conf:1", f"{MAIN}:7"]
    assert len(found.servers) == 2


def test_hidden_files_and_other_folders_are_not_matched() -> None:
    found = config(sites__x="server { }", **{"sites__.hidden": "server { }", "sites-available__y": "server { }"})
    assert len(found.servers) == 2


def test_relative_includes_begin_at_the_folder_of_the_main_file() -> None:
    files = {"/opt/n/other.conf": "http { include sites/*; }", "/opt/n/sites/a": OURS, SITE: OURS}
    assert [server.match.file for server in load(files, "/opt/n/other.conf").servers] == ["/opt/n/sites/a"]


def test_files_that_include_one_another_end() -> None:
    found = config(conf_d__x="include conf.d/*.conf; server { listen 81; }")
    assert len(found.servers) == 2


def test_a_file_that_cannot_be_parsed_is_named_and_the_rest_is_there() -> None:
    found = config(conf_d__x="server { listen 81; set $pass{; }", conf_d__y="server { listen 82; }")
    assert list(found.unparsed) == ["/etc/nginx/conf.d/x.conf"]
    assert [server.match.listens[0].port for server in found.servers] == ["82", "80"]


def test_a_file_that_was_not_read_is_named() -> None:
    assert config(conf_d__x=None).unread == {"/etc/nginx/conf.d/x.conf": "http"}
    assert load({}, MAIN).unread == {MAIN: ""}


@pytest.mark.parametrize(
    ("http", "key", "value"),
    [
        ("limit_rate 1k;", "limit_rate", "1k"),
        ("keepalive_timeout 1m;", "keepalive_timeout", "60s"),
        ("add_header x-frame-options DENY always;", "add_header[X-Frame-Options]", "DENY always"),
        ("allow 10.0.0.1; deny all;", "deny", "all"),
        ("allow 10.0.0.1; allow 10.0.0.2;", "allow", "10.0.0.1; 10.0.0.2"),
        ("upstream back { server 10.0.0.1; # x\n }", "upstream[back]", "server 10.0.0.1;"),
        ("map $a $b { default 1; }", "map[$a $b]", "default 1;"),
        ("limit_req_zone $remote_addr zone=one:10m rate=1r/s;", "limit_req_zone[one]",
         "$remote_addr zone=one:10m rate=1r/s"),
    ],
)  # fmt: skip
def test_directives_beside_the_servers_have_a_readable_form(http: str, key: str, value: str) -> None:
    setting = config(http).settings[key]
    assert setting.value == value
    assert str(setting.place) == f"{MAIN}:4"


def test_what_is_long_or_a_credential_is_a_fingerprint() -> None:
    found = config(f"gzip_types {'text/x ' * 60};", conf_d__x="proxy_set_header Authorization 'Bearer hunter2x';")
    assert found.settings["gzip_types"].value.startswith("419 characters, sha256 ")
    hidden = found.settings["proxy_set_header[Authorization]"]
    assert hidden.value.startswith("(secret) sha256 ")
    assert str(hidden.place) == "/etc/nginx/conf.d/x.conf:1"
    assert "hunter2x" not in repr(found.settings)


def test_the_outermost_level_counts() -> None:
    found = config().settings
    assert found["events[worker_connections]"].value == "768"
    assert not {"user", "include", "server", "http"} & found.keys()


@pytest.mark.parametrize(
    ("http", "server", "inherited"),
    [
        ("limit_rate 1k;", "", True),
        ("limit_rate 1k;", "limit_rate 0;", False),
        ("limit_rate 1k;", "location / { limit_rate 0; }", False),
        ("limit_rate 1k;", "location / { limit_rate 0; } location /x { }", True),
        ("limit_rate 1k;", "location /x { limit_rate 0; }", True),
        ("add_header A 1;", "add_header B 1;", False),
        ("add_header A 1;", "include snippets/s;", False),
        ("upstream back { server 10.0.0.1; }", "location / { proxy_pass http://back/x; }", True),
        ("upstream back { server 10.0.0.1; }", "location / { proxy_pass http://backend; }", False),
        ("map $a $b { default 1; }", "if ($b) { return 403; }", True),
        ("map $a $b { default 1; }", "return 200 $bb;", False),
        ("limit_req_zone $a zone=one:1m rate=1r/s;", "limit_req zone=one;", True),
        ("limit_req_zone $a zone=one:1m rate=1r/s;", "", False),
    ],
)
def test_what_a_server_inherits(http: str, server: str, inherited: bool) -> None:
    found = load({
        MAIN: f"http {{ {http} server {{ {server} }} }}", "/etc/nginx/snippets/s": "add_header C 1;",
    }, MAIN)  # fmt: skip
    [setting] = found.settings.values()
    assert found.servers[0].inherits(setting) is inherited


@pytest.mark.parametrize(
    ("beside", "server", "named"),
    [
        ("expires $far;", "", True),
        ("expires $far;", "expires off;", False),
        ("map $far $farther { default 1; }", "add_header A $farther;", True),
        ("map $far $farther { default 1; }", "add_header A x;", False),
        ("log_format f '${far}'; access_log /x f;", "", True),
        ("log_format f '${far}';", "access_log off;", False),
    ],
)
def test_a_definition_acts_on_a_server_through_what_that_inherits(beside: str, server: str, named: bool) -> None:
    found = load({MAIN: f"http {{ map $uri $far {{ default 1; }} {beside} server {{ {server} }} }}"}, MAIN)
    assert found.servers[0].inherits(found.settings["map[$uri $far]"]) is named


def test_what_a_snippet_contributes_to_a_site() -> None:
    site = "server { include snippets/a; location / { include snippets/b; proxy_pass http://10.0.0.1; } }"
    found = load({
        MAIN: "http { include sites-enabled/*; }", SITE: site,
        "/etc/nginx/snippets/a": "deny 10.0.0.2;\nif ($x) { return 403; }", "/etc/nginx/snippets/b": "limit_rate 1k;",
    }, MAIN)  # fmt: skip
    contributed = found.included([SITE])
    assert {key: setting.value for key, (setting, _) in contributed.items()} == {
        "included[/etc/nginx/snippets/a].deny": "10.0.0.2",
        "included[/etc/nginx/snippets/a].if[$x]": "return 403;",
        "included[/etc/nginx/snippets/b].limit_rate": "1k",
    }
    assert found.included([]) == {}
