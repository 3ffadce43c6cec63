"""Each key that has no counterpart in the cluster: refused with its path, the reason and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.compose.service.constant_keys import REFUSED
from tests.unit.compose.projects import Json, config, container, listed, one, translated

_DEPENDS = {"depends_on": {"backend": {"condition": "service_completed_successfully"}}}
REFUSED_KEYS: list[tuple[str, Json, str]] = [
    ("build", {"build": {"context": "."}}, "does not build images"),
    ("entrypoint", {"entrypoint": []}, "no command"),
    ("command", {"command": []}, "is empty"),
    ("user", {"user": "nginx"}, "'nginx' is a name"),
    ("user", {"user": "1000:staff"}, "is a name"),
    ("group_add", {"group_add": ["adm"]}, "adm"),
    ("hostname", {"hostname": "a_b"}, "not a DNS label"),
    ("environment.a b", {"environment": {"a b": "1"}}, "is not a valid"),
    ("labels.a b", {"labels": {"a b": "1"}}, "is not a valid"),
    ("labels.api_token", {"labels": {"api_token": "abcdef"}}, "a secret"),
    ("annotations.x_password", {"annotations": {"x_password": "abcdef"}}, "a secret"),
    ("healthcheck.test", {"healthcheck": {"test": ["CMD", "a", "http://u:pw@h/"]}}, "holds a secret"),
    ("healthcheck.test", {"healthcheck": {"test": ["WHAT", "a"]}}, "'WHAT'"),
    ("healthcheck.interval", {"healthcheck": {"test": ["CMD", "a"], "interval": "often"}}, "not a duration"),
    ("restart", {"restart": "sometimes"}, "not a restart policy"),
    ("deploy.mode", {"deploy": {"mode": "global"}}, "global"),
    ("deploy.endpoint_mode", {"deploy": {"endpoint_mode": "dnsrr"}}, "dnsrr"),
    ("deploy.resources.limits.pids", {"deploy": {"resources": {"limits": {"pids": 5}}}}, "whole node"),
    ("deploy.resources.reservations.devices", {"deploy": {"resources": {"reservations": {"devices": [{}]}}}}, "plugin"),
    ("deploy.resources.limits.memory", {"deploy": {"resources": {"limits": {"memory": "much"}}}}, "not a size"),
    ("deploy.restart_policy.max_attempts", {"deploy": {"restart_policy": {"max_attempts": 3}}}, "without limit"),
    ("depends_on.backend.condition", _DEPENDS, "a Deployment never does"),
    ("stop_signal", {"stop_signal": "SIGUSR1"}, "SIGTERM"),
    ("stop_grace_period", {"stop_grace_period": "soon"}, "not a duration"),
    ("pre_stop", {"pre_stop": [{"command": ["a"]}, {"command": ["b"]}]}, "takes one"),
    ("pre_stop[0].user", {"pre_stop": [{"command": ["a"], "user": "root"}]}, "as the container does"),
    ("post_start[0].privileged", {"post_start": [{"command": ["a"], "privileged": True}]}, "as the container does"),
    ("mem_limit", {"mem_limit": "lots"}, "not a size"),
    ("memswap_limit", {"mem_limit": "1048576", "memswap_limit": "2097152"}, "swap"),
    ("mem_swappiness", {"mem_swappiness": "60"}, "do not swap"),
    ("pids_limit", {"pids_limit": 100}, "whole node"),
    ("cpus", {"cpus": "some"}, "not a number of processors"),
    ("security_opt[0]", {"security_opt": ["label:disable"]}, "label:disable"),
    ("security_opt[0]", {"security_opt": ["seccomp:/profile.json"]}, "profile.json"),
    ("sysctls.net.core.somaxconn", {"sysctls": {"net.core.somaxconn": "9"}}, "the kubelet does not allow"),
    ("pid", {"pid": "service:other"}, "service:other"),
    ("ipc", {"ipc": "container:x"}, "container:x"),
    ("network_mode", {"network_mode": "host"}, "the server's ports"),
    ("network_mode", {"network_mode": "none"}, "always has a network"),
    ("network_mode", {"network_mode": "service:db"}, "another container"),
    (
        "networks.default.ipv4_address",
        {"networks": {"default": {"ipv4_address": "10.0.0.5"}}},
        "cannot choose their addresses",
    ),
    ("networks.default.driver_opts", {"networks": {"default": {"driver_opts": {"a": "b"}}}}, "specific to docker"),
    ("ports[0].published", {"ports": [{"target": 53, "published": "53", "protocol": "udp"}]}, "nginx"),
    ("ports[0].published", {"ports": [{"target": 90, "published": "9000-9002"}]}, "a range"),
    ("links[0]", {"links": ["nobody:x"]}, "no service nobody"),
    ("extra_hosts.a_b", {"extra_hosts": ["a_b=1.2.3.4"]}, "not a valid host name"),
    ("extra_hosts", {"extra_hosts": ["a=nowhere"]}, "cannot be read"),
    (
        "volumes[0].source",
        {"volumes": [{"type": "bind", "source": "/run/docker.sock", "target": "/s"}]},
        "/run/docker.sock",
    ),
    ("volumes[0].source", {"volumes": [{"type": "bind", "source": "/proc", "target": "/p"}]}, "a system path"),
    ("volumes[0].source", {"volumes": [{"type": "bind", "source": "/", "target": "/host"}]}, "a system path"),
    ("volumes[0].type", {"volumes": [{"type": "npipe", "source": "x", "target": "/p"}]}, "'npipe'"),
    (
        "volumes[0].bind.propagation",
        {"volumes": [{"type": "bind", "source": "/opt/x", "target": "/p", "bind": {"propagation": "shared"}}]},
        "not part of the copy",
    ),
    (
        "volumes[0].source",
        {"volumes": [{"type": "bind", "source": f"/opt/x{at}", "target": f"/p{at}"} for at in ("", "/y")]},
        "are nested",
    ),
    ("tmpfs[0]", {"tmpfs": ["/run:uid=5"]}, "uid=5"),
    ("configs[0].source", {"configs": [{"source": "missing"}]}, "not come from a file"),
    ("secrets[0].source", {"secrets": [{"source": "missing", "target": "/run/secrets/x"}]}, "not come from a file"),
    ("logging.driver", {"logging": {"driver": "syslog", "options": {"syslog-address": "x"}}}, "stays on the node"),
    ("whatever", {"whatever": 5}, "not supported"),
    ("healthcheck.whatever", {"healthcheck": {"test": ["CMD", "a"], "whatever": 5}}, "not supported"),
    ("scale", {"scale": "many"}, "cannot be read"),
    *((name, {name: ["x"]}, reason) for name, (reason, _) in REFUSED.items()),
]


@pytest.mark.parametrize(
    ("key", "given", "reason"), REFUSED_KEYS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_has_no_counterpart_is_refused(key: str, given: Json, reason: str) -> None:
    result = translated(one(**given))
    found = [refusal for refusal in result.refusals if refusal.key == f"services.backend.{key}"]
    assert found, result.refusals
    assert reason in f"{found[0].reason}"
    assert found[0].remedy
    assert len(str(found[0]).splitlines()) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_switched_off_is_not_refused(name: str) -> None:
    assert translated(one(**{name: False})).refusals == ()


TOP: list[tuple[str, Json, str]] = [
    ("networks.default.driver", {"networks": {"default": {"driver": "macvlan"}}}, "macvlan"),
    ("networks.default.internal", {"networks": {"default": {"internal": True}}}, "reach"),
    ("networks.default.external", {"networks": {"default": {"external": True, "name": "x"}}}, "other projects"),
    ("networks.default.enable_ipv6", {"networks": {"default": {"enable_ipv6": True}}}, "version 4"),
    ("networks.default.driver_opts", {"networks": {"default": {"driver_opts": {"a": "b"}}}}, "specific to docker"),
    ("networks.default.whatever", {"networks": {"default": {"whatever": 1}}}, "not supported"),
    ("configs.c.external", {"configs": {"c": {"external": True}}}, "swarm"),
    ("secrets.s.driver", {"secrets": {"s": {"driver": "vault"}}}, "swarm"),
    ("models", {"models": {"m": {}}}, "no models"),
    ("whatever", {"whatever": {}}, "not supported"),
]


@pytest.mark.parametrize(("key", "top", "reason"), TOP)
def test_what_has_no_counterpart_at_the_top(key: str, top: Json, reason: str) -> None:
    found = [refusal for refusal in translated(one(), **top).refusals if refusal.key == key]
    assert found
    assert reason in found[0].reason


@pytest.mark.parametrize(
    ("volume", "facts", "key"),
    [
        ({"driver": "rclone"}, {}, "driver"),
        ({}, {"Driver": "rclone"}, "driver"),
        ({"driver_opts": {"type": "nfs", "o": "addr=1.2.3.4,password=hidden", "device": ":/x"}}, {}, "driver_opts"),
        ({}, {"Options": {"type": "nfs", "o": "addr=1.2.3.4,password=hidden"}}, "driver_opts"),
    ],
)
def test_a_volume_that_is_not_on_this_server(volume: Json, facts: Json, key: str) -> None:
    services = one(volumes=[{"type": "volume", "source": "d", "target": "/d"}])
    result = _with_facts(services, {"d": {"name": "shop_d", **volume}}, {"shop_d": facts})
    assert [refusal.key for refusal in result.refusals] == [f"volumes.d.{key}"]
    assert "hidden" not in str(result)


def _with_facts(services: Json, volumes: Json, facts: Json) -> Any:
    from config.compose import ComposeProject
    from flowmaster.compose.source import read_source
    from flowmaster.compose.translate import translate
    from tests.unit.compose.projects import ID, IMAGE, SURROUNDINGS

    whole = config(services, volumes=volumes)
    containers = [container(name, keys, whole) for name, keys in services.items()]
    source, _, _ = read_source(whole, containers, listed(containers, **facts), {}, {ID: IMAGE}, SURROUNDINGS)
    assert "hidden" not in str(source)
    return translate("shop", ComposeProject(folder="/opt/shop", source=source), SURROUNDINGS)


def test_a_task_that_has_ended_is_refused() -> None:
    from config.compose import ComposeProject
    from flowmaster.compose.source import read_source
    from flowmaster.compose.translate import translate
    from tests.unit.compose.projects import ID, IMAGE, SURROUNDINGS

    services = one(restart="no")
    whole = config(services)
    ended = {**container("backend", services["backend"], whole), "State": {"Status": "exited"}}
    source, _, _ = read_source(whole, [ended], [], {}, {ID: IMAGE}, SURROUNDINGS)
    refusals = translate("shop", ComposeProject(folder="/opt/shop", source=source), SURROUNDINGS).refusals
    assert [refusal.key for refusal in refusals] == ["services.backend.restart"]
    assert "Job" in refusals[0].remedy


def test_a_sealed_value_that_the_stack_has_lost() -> None:
    result = translated(one(environment={"API_TOKEN": "abcdef"}), settings={"sealed": {}})
    assert [refusal.key for refusal in result.refusals] == ["services.backend.environment.API_TOKEN"]
    assert "flowmaster secret set compose/" in result.refusals[0].remedy


def test_two_services_on_one_port_of_the_server() -> None:
    ports = [{"target": 80, "published": "8010", "protocol": "tcp"}]
    image = one()["backend"]
    result = translated({"a": {**image, "ports": ports}, "b": {**image, "ports": ports}})
    assert [refusal.key for refusal in result.refusals] == ["services.b.ports"]


def test_two_services_of_one_name_in_the_cluster() -> None:
    result = translated({"a_b": one()["backend"], "a-b": one()["backend"]})
    assert any("shop-a-b" in refusal.reason for refusal in result.refusals)
