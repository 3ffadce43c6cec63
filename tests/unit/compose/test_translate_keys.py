"""Each key of a service, and what the pod then has."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.service.constant_keys import NO_EFFECT, REFUSED
from tests.unit.compose.projects import DATABASE, DIGEST, NODE, Json, body, contained, one, pod, translated

A_DAY = 86400

CONTAINER: dict[str, tuple[Json, Json]] = {
    "image": ({}, {"image": f"localhost:30500/flowmaster/backend@{DIGEST}", "imagePullPolicy": "IfNotPresent"}),
    "command": ({"command": ["serve", "--port", "1"]}, {"args": ["serve", "--port", "1"]}),
    "command with what Kubernetes would fill in": (
        {"command": ["sh", "-c", "echo $$(date) $$HOME"]},
        {"args": ["sh", "-c", "echo $$(date) $$HOME"]},
    ),
    "command with a plain dollar": ({"command": ["$$HOME"]}, {"args": ["$HOME"]}),
    "entrypoint": ({"entrypoint": ["/other"]}, {"command": ["/other"]}),
    "entrypoint and command": ({"entrypoint": ["/o"], "command": ["x"]}, {"command": ["/o"], "args": ["x"]}),
    "empty entrypoint": ({"entrypoint": [], "command": ["/x", "y"]}, {"command": ["/x", "y"]}),
    "environment": (
        {"environment": {"B": "2", "A": "x$$y", "C": None, "D": "$$(A)"}},
        {"env": [{"name": "A", "value": "x$y"}, {"name": "B", "value": "2"}, {"name": "D", "value": "$$(A)"}]},
    ),
    "environment with a database's address": (
        {"environment": {"URL": f"http://{DATABASE}:8529"}},
        {"env": [{"name": "URL", "value": "http://arangodb:8529"}]},
    ),
    "environment with an address that only begins so": (
        {"environment": {"URL": f"http://{DATABASE}0:8529"}},
        {"env": [{"name": "URL", "value": f"http://{DATABASE}0:8529"}]},
    ),
    "working_dir": ({"working_dir": "/srv"}, {"workingDir": "/srv"}),
    "stdin_open": ({"stdin_open": True}, {"stdin": True}),
    "tty": ({"tty": True}, {"tty": True}),
    "user": ({"user": "5:6"}, {"securityContext": {"runAsUser": 5, "runAsGroup": 6}}),
    "user alone": ({"user": "5"}, {"securityContext": {"runAsUser": 5}}),
    "read_only": ({"read_only": True}, {"securityContext": {"readOnlyRootFilesystem": True}}),
    "cap_add": (
        {"cap_add": ["CAP_NET_ADMIN", "sys_time"], "cap_drop": ["ALL"]},
        {"securityContext": {"capabilities": {"add": ["NET_ADMIN", "SYS_TIME"], "drop": ["ALL"]}}},
    ),
    "privileged": ({"privileged": True}, {"securityContext": {"privileged": True}}),
    "security_opt": (
        {"security_opt": ["no-new-privileges:true", "seccomp=unconfined", "apparmor:unconfined"]},
        {
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "seccompProfile": {"type": "Unconfined"},
                "appArmorProfile": {"type": "Unconfined"},
            }
        },
    ),
    "mem_limit": (
        {"mem_limit": "268435456"},
        {"resources": {"limits": {"memory": "256Mi"}, "requests": {"memory": "0"}}},
    ),
    "mem_reservation": ({"mem_reservation": "20971520"}, {"resources": {"requests": {"memory": "20Mi"}}}),
    "cpus": ({"cpus": 0.5}, {"resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "0"}}}),
    "cpu_quota": (
        {"cpu_quota": 50000, "cpu_period": 25000},
        {"resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "0"}}},
    ),
    "deploy.resources": (
        {
            "deploy": {
                "resources": {"limits": {"memory": "1073741824", "cpus": "1.5"}, "reservations": {"cpus": "0.25"}}
            }
        },
        {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "250m", "memory": "0"}}},
    ),
    "healthcheck": (
        {"healthcheck": {"test": ["CMD", "/service", "check"], "interval": "1m30s", "timeout": "500ms", "retries": 5}},
        {
            "readinessProbe": {
                "exec": {"command": ["/service", "check"]},
                "timeoutSeconds": 1,
                "periodSeconds": 90,
                "failureThreshold": 5,
            },
            "startupProbe": {
                "exec": {"command": ["/service", "check"]},
                "timeoutSeconds": 1,
                "periodSeconds": 1,
                "failureThreshold": A_DAY,
            },
        },
    ),
    "healthcheck by a shell, with docker's own times": (
        {"healthcheck": {"test": ["CMD-SHELL", "true || $$X"], "start_period": "1m0s", "start_interval": "5s"}},
        {
            "readinessProbe": {
                "exec": {"command": ["/bin/sh", "-c", "true || $X"]},
                "timeoutSeconds": 30,
                "periodSeconds": 30,
                "failureThreshold": 3,
            },
            "startupProbe": {
                "exec": {"command": ["/bin/sh", "-c", "true || $X"]},
                "timeoutSeconds": 30,
                "periodSeconds": 5,
                "failureThreshold": A_DAY // 5,
            },
        },
    ),
    "pre_stop and post_start": (
        {"pre_stop": [{"command": ["/x"]}], "post_start": [{"command": ["/y", "z"]}]},
        {"lifecycle": {"preStop": {"exec": {"command": ["/x"]}}, "postStart": {"exec": {"command": ["/y", "z"]}}}},
    ),
}

POD: dict[str, tuple[Json, Json]] = {
    "hostname": ({"hostname": "shop"}, {"hostname": "shop"}),
    "init": ({"init": True}, {"shareProcessNamespace": True}),
    "platform": (
        {"platform": "linux/arm64/v8"},
        {"nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}},
    ),
    "group_add": ({"group_add": ["5", 7]}, {"securityContext": {"supplementalGroups": [5, 7]}}),
    "sysctls": (
        {"sysctls": {"net.ipv4.tcp_syncookies": "0"}},
        {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "0"}]}},
    ),
    "a low port, on which docker lets everybody listen": (
        {"expose": ["80"]},
        {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}},
    ),
    "pid": ({"pid": "host"}, {"hostPID": True}),
    "ipc": ({"ipc": "host"}, {"hostIPC": True}),
    "stop_grace_period": ({"stop_grace_period": "1m5s"}, {"terminationGracePeriodSeconds": 65}),
    "docker's own grace": ({}, {"terminationGracePeriodSeconds": 10}),
    "what docker has not": ({}, {"enableServiceLinks": False, "automountServiceAccountToken": False}),
    "extra_hosts": (
        {"extra_hosts": ["host.docker.internal=host-gateway", "db:1.2.3.4", "other=1.2.3.4", "six=[::1]"]},
        {
            "hostAliases": [
                {"ip": "1.2.3.4", "hostnames": ["db", "other"]},
                {"ip": NODE, "hostnames": ["host.docker.internal"]},
                {"ip": "::1", "hostnames": ["six"]},
            ]
        },
    ),
    "dns_search and dns_opt": (
        {"dns_search": ["a.example"], "dns_opt": ["ndots:2", "rotate"]},
        {"dnsConfig": {"searches": ["a.example"], "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}},
    ),
}

SEVERAL_WORDS = {
    "pre_stop and post_start": ("pre_stop", "post_start"),
    "dns_search and dns_opt": ("dns_search", "dns_opt"),
}


@pytest.mark.parametrize("case", CONTAINER)
def test_a_key_of_the_container(case: str) -> None:
    given, wanted = CONTAINER[case]
    result = translated(one(**given))
    assert result.refusals == ()
    found = contained(result)
    assert {key: found.get(key) for key in wanted} == wanted


@pytest.mark.parametrize("case", POD)
def test_a_key_of_the_pod(case: str) -> None:
    given, wanted = POD[case]
    result = translated(one(**given))
    assert result.refusals == ()
    found = pod(result)
    wanted = {key: {"seccompProfile": {"type": "RuntimeDefault"}, **value} if key == "securityContext" else value
              for key, value in wanted.items()}  # fmt: skip
    assert {key: found.get(key) for key in wanted} == wanted


def test_nothing_is_in_the_pod_that_nobody_asked_for() -> None:
    result = translated(one())
    assert set(contained(result)) == {"name", "image", "imagePullPolicy"}
    assert set(pod(result)) == {
        "containers",
        "terminationGracePeriodSeconds",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
    }
    assert not [b for b in result.bodies if b["kind"] != "Deployment"]


def test_a_privileged_container_has_no_profile_as_with_docker() -> None:
    assert "securityContext" not in pod(translated(one(privileged=True)))


@pytest.mark.parametrize(
    "check",
    [{"disable": True}, {"test": ["NONE"]}, {"disable": True, "interval": "30s"}, {"test": ["NONE"], "retries": 3}],
)
def test_a_check_that_is_switched_off_is_no_probe(check: Json) -> None:
    result = translated(one(healthcheck=check))
    assert result.refusals == ()
    assert "readinessProbe" not in contained(result)


@pytest.mark.parametrize("name", [*NO_EFFECT, "env_file"])
def test_a_key_of_no_meaning_is_noted(name: str) -> None:
    result = translated(one(**{name: ["x"]}))
    assert result.refusals == ()
    assert f"services.backend.{name}" in {found.key for found in result.results}
    assert set(contained(result)) == {"name", "image", "imagePullPolicy"}


def test_labels_and_annotations_are_annotations_of_the_pod() -> None:
    result = translated(one(labels={"com.example.rule": "Host(`a b`)"}, annotations={"note": "x"}))
    metadata = body(result, "Deployment")["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {"com.example.rule": "Host(`a b`)", "note": "x"}
    assert any("watch docker" in text for text in result.notes)


def test_a_word_of_the_command_that_is_a_secret_comes_from_the_secret() -> None:
    services = one(command=["serve", "--password", "s3cr3t-word"], environment={"DB_PASSWORD": "s3cr3t-word"})
    result = translated(services)
    found = contained(result)
    assert found["args"] == ["serve", "--password", "$(COMPOSE_COMMAND_2)"]
    assert {variable["name"] for variable in found["env"]} == {"COMPOSE_COMMAND_2", "DB_PASSWORD"}
    assert all("valueFrom" in variable for variable in found["env"])
    assert "s3cr3t-word" not in str(result)


REPLICAS: list[tuple[Json, int]] = [({}, 1), ({"scale": 3}, 3), ({"deploy": {"replicas": 2}}, 2), ({"scale": 0}, 0)]


@pytest.mark.parametrize(("given", "wanted"), REPLICAS)
def test_replicas(given: Json, wanted: int) -> None:
    assert body(translated(one(**given)), "Deployment")["spec"]["replicas"] == wanted


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure", "on-failure:3", "no"])
def test_what_runs_is_kept_running_whatever_docker_would_do(policy: str) -> None:
    result = translated(one(restart=policy))
    assert result.refusals == ()
    assert (policy == "always") is not any(text.startswith("backend: ") and "port" not in text for text in result.notes)


@pytest.mark.parametrize("condition", ["service_started", "service_healthy"])
def test_order_is_told(condition: str) -> None:
    services = {
        **one(depends_on={"db": {"condition": condition, "required": True, "restart": True}}),
        "db": one()["backend"],
    }
    result = translated(services)
    assert result.refusals == ()
    assert any("without waiting until db" in text for text in result.notes)


def test_every_key_that_the_translator_knows_is_tried_here() -> None:
    from tests.unit.compose import test_translate_network, test_translate_refusals, test_translate_storage

    tried: set[Any] = {"restart", "scale", "depends_on", "labels", "annotations", "deploy", *NO_EFFECT}
    for cases in (CONTAINER, POD):
        for given, _ in cases.values():
            tried |= set(given)
    tried |= {"image", "env_file"}
    tried |= test_translate_network.TRIED | test_translate_storage.TRIED
    tried |= {key.partition(".")[0].partition("[")[0] for key, _, _ in test_translate_refusals.REFUSED_KEYS}
    assert set(SERVICE_KEYS) - tried - set(REFUSED) == set()
