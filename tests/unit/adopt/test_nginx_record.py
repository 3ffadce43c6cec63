"""The record of what nginx's sites inherit, as it stands in the stack's file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from ruamel.yaml import YAML

from config.reverse_proxy import Recorded
from config.settings import Settings
from flowmaster.adopt import nginx_record
from flowmaster.adopt.errors import AdoptionError
from flowmaster.host.nginx import ENABLED, MAIN, File, HostState, Nginx, Process

STACK = """config:
  # which cluster
  flowmaster:reverseProxy:
    sites: # those of ours
      flowmaster: {locations: {/: {service: frontend}}}
"""
RECORD = Recorded(
    at="2026-02-07T00:00:00Z",
    configuration=MAIN,
    inherited={"sendfile": "on", "keepalive_timeout": "65s", "add_header[X-A]": "it's: #1", "map[$a $b]": "~*x 010;"},
    files={MAIN: "123456789012", "/etc/nginx/conf.d/x.conf": "12e456789012"},
)


def test_it_is_written_beside_the_sites_and_both_readers_of_yaml_read_it_back() -> None:
    text = nginx_record.written(STACK, RECORD)
    assert "# which cluster" in text
    assert "sites: # those of ours" in text
    for document in (yaml.safe_load(text), YAML(typ="safe").load(text)):
        proxy = document["config"]["flowmaster:reverseProxy"]
        assert Recorded.model_validate(proxy["recorded"]) == RECORD
    assert nginx_record.written(text, RECORD) == text
    assert "sendfile" in nginx_record.diff(STACK, text, __file__)  # type: ignore[arg-type]


def host(conf: str | None) -> HostState:
    files = {
        MAIN: File(MAIN, "file", content=conf),
        f"{ENABLED}/flowmaster": File(f"{ENABLED}/flowmaster", "file", content="server { }"),
    }
    nginx = Nginx(installed=True, running=True, process=Process(1, "nginx", "/usr/sbin/nginx (deleted)"))
    return HostState("a", "demo", nginx, files)


def test_it_says_what_stands_around_the_sites_and_nothing_of_the_sites() -> None:
    recorded = nginx_record.of(host("http { sendfile on; include sites-enabled/*; }"), ["flowmaster"])
    assert recorded is not None
    assert recorded.inherited == {"sendfile": "on"}
    assert (list(recorded.files), recorded.program) == ([MAIN], "/usr/sbin/nginx")


@pytest.mark.parametrize("conf", [None, "http {"])
def test_what_is_not_known_is_not_recorded(conf: str | None) -> None:
    assert nginx_record.of(host(conf), ["flowmaster"]) is None


def test_a_stack_without_sites_is_refused(demo: Settings) -> None:
    settings = replace(demo, stack=demo.stack.model_copy(update={"reverse_proxy": None, "compose": {}}))
    with pytest.raises(AdoptionError, match="has no sites of nginx"):
        nginx_record.read(settings)


def test_the_time_of_a_record_makes_no_other_record(demo: Settings) -> None:
    proxy = demo.stack.reverse_proxy
    assert proxy is not None
    known = demo.stack.model_copy(update={"reverse_proxy": proxy.model_copy(update={"recorded": RECORD})})
    settings = replace(demo, stack=known)
    assert nginx_record.is_same(settings, RECORD.model_copy(update={"at": "2026-03-01T00:00:00Z"}))
    assert not nginx_record.is_same(settings, RECORD.model_copy(update={"inherited": {}}))
    assert not nginx_record.is_same(demo, RECORD)
