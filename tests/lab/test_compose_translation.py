"""Each key that the translator takes, against what really runs: the process in docker beside the one in the cluster.

Both are looked at in the same way, by what the kernel says of the process; so a key that was written down well and has
no effect is found, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config import secrets_file
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.operate import Operator
from tests.lab.shop import CHECK, FOLDER, NAMESPACE, PROJECT, SHOWN, Both, on_both_sides
from tests.unit.compose.projects import one, translated
from tests.unit.compose.test_translate_keys import CONTAINER, POD

Json = dict[str, Any]
_ONLY_THERE = ("HOSTNAME", "KUBERNETES_")


@pytest.fixture(scope="module")
def both(empty_twin: Twin) -> Iterator[Both]:
    """The project on both sides."""
    with on_both_sides(empty_twin) as found:
        yield found


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_ONLY_THERE)}


SAME = ("uid", "gid", "groups", "capabilities", "bounding", "no_new_privileges", "seccomp", "words", "folder")


@pytest.mark.parametrize("fact", SAME)
@pytest.mark.parametrize("service", ["store", "front", "node"])
def test_the_process_is_the_same(both: Both, service: str, fact: str) -> None:
    assert both.cluster[service][fact] == both.docker[service][fact]


@pytest.mark.parametrize("service", ["store", "front", "node"])
def test_the_environment_is_the_same_but_for_the_databases_address(both: Both, service: str) -> None:
    before, after = _own(both.docker[service]["environment"]), _own(both.cluster[service]["environment"])
    if service == "store":
        assert before.pop("ARANGO_URL").startswith("http://10.43.")
        assert after.pop("ARANGO_URL") == "http://arangodb:8529"
        assert after["SECRET_KEY"] == "hush-hush"
        assert "UNSET" not in after
    assert after == before


def test_the_secret_is_in_the_secret_alone(both: Both) -> None:
    assert "hush-hush" not in str(both.pods)
    assert (
        "hush-hush"
        not in both.twin.exec(
            ["kubectl", "--namespace", NAMESPACE, "get", "deployments,configmaps,services", "--output", "yaml"]
        ).stdout
    )


FILES = ("one.txt", "run/secrets/key", "files/a", "data/kept", "spare/kept")


@pytest.mark.parametrize("name", FILES)
def test_files_are_the_same_with_owner_and_mode(both: Both, name: str) -> None:
    assert both.cluster["store"]["files"][name] == both.docker["store"]["files"][name]


def test_an_inline_config(both: Both) -> None:
    assert both.cluster["front"]["files"]["site.conf"] == both.docker["front"]["files"]["site.conf"]
    assert both.docker["front"]["files"]["site.conf"] == ["price: $5\n", 0, "0o444"]


def test_an_init_takes_number_1(both: Both) -> None:
    assert both.docker["front"]["number_inside"] != "1"
    assert both.cluster["front"]["number_inside"] != "1"
    assert both.cluster["store"]["number_inside"] == "1"


@pytest.mark.parametrize(
    ("path", "kind", "read_only"),
    [
        ("/", "overlay", True),
        ("/data", None, False),
        ("/spare", None, False),
        ("/files", None, True),
        ("/one.txt", None, True),
        ("/run/secrets/key", None, True),
        ("/scratch", "tmpfs", False),
        ("/memory", "tmpfs", False),
        ("/dev/shm", "tmpfs", False),  # noqa: S108
    ],
)
def test_mounts(both: Both, path: str, kind: str | None, read_only: bool) -> None:
    mount = both.cluster["store"]["mounts"][path]
    assert kind in (None, mount[0])
    assert mount[1] is read_only
    assert both.docker["store"]["mounts"][path][1] is read_only or path == "/run/secrets/key"


def test_memory_folders_hold_what_they_did(both: Both) -> None:
    for path, kilobytes in (("/scratch", 5120), ("/memory", 1024), ("/dev/shm", 32768)):  # noqa: S108
        assert f"size={kilobytes}k" in both.docker["store"]["mounts"][path][2]
        assert f"size={kilobytes}k" in both.cluster["store"]["mounts"][path][2]


def test_kernel_settings(both: Both) -> None:
    for name, value in (("tcp_syncookies", "0"), ("ip_local_port_range", "20000\t30000")):
        for pid in both.pids["store"]:
            command = ["nsenter", "--target", pid, "--net", "cat", f"/proc/sys/net/ipv4/{name}"]
            assert both.twin.exec(command).stdout.strip() == value


def test_limits_hold(both: Both) -> None:
    """By the kernel: memory in bytes, processors as a quota of 100 ms."""
    for name, memory, quota in (("store", 96 * 1024**2, 75000), ("front", 64 * 1024**2, -1)):
        for side in (both.docker, both.cluster):
            assert _limits(both.twin, side[name]["cgroups"]) == (memory, quota)
    resources = both.pods["store"]["spec"]["containers"][0]["resources"]
    assert resources["requests"] == {"cpu": "0", "memory": "16Mi"}
    assert both.pods["front"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "10m", "memory": "0"}


def _limits(twin: Twin, cgroups: str) -> tuple[int, int]:
    """Bytes of memory, and microseconds of processor every 100 ms (-1: any), by the text of /proc/PID/cgroup."""
    paths = {tuple(line.split(":")[1].split(",")): line.split(":")[2] for line in cgroups.splitlines()}
    if list(paths) == [("",)]:  # version 2: one hierarchy, which has no names
        [path] = paths.values()
        quota, period = _cgroup(twin, "", path, "cpu.max")
        assert period == "100000"
        return int(_cgroup(twin, "", path, "memory.max")[0]), -1 if quota == "max" else int(quota)
    of_memory = next(path for kinds, path in paths.items() if "memory" in kinds)
    of_cpu = next(path for kinds, path in paths.items() if "cpu" in kinds)
    [memory] = _cgroup(twin, "memory", of_memory, "memory.limit_in_bytes")
    [quota] = _cgroup(twin, "cpu", of_cpu, "cpu.cfs_quota_us")
    return int(memory), int(quota)


def _cgroup(twin: Twin, controller: str, path: str, name: str) -> list[str]:
    # the server may see its own part of the tree only
    root = f"/sys/fs/cgroup/{controller}"
    return twin.exec(["sh", "-c", f"cat {root}{path}/{name} || cat {root}/*{path}/{name}"]).stdout.split()


def test_namespaces_of_the_node(both: Both) -> None:
    node = json.loads(both.twin.exec(["python3", "-c", SHOWN, "1"]).stdout)["1"]["namespaces"]
    for kind in ("pid", "ipc"):
        assert both.cluster["node"]["namespaces"][kind] == both.docker["node"]["namespaces"][kind] == node[kind]
        assert both.cluster["store"]["namespaces"][kind] != node[kind]


def test_names_lead_where_they_did(both: Both) -> None:
    called = {}
    for name in ("store", "the-store", "warehouse", "shelf", "store-host"):
        called[name] = _call(both, "front", f"http://{name}:8010/health")
    assert {name: answer["ok"] for name, answer in called.items()} == dict.fromkeys(called, True)
    assert _call(both, "front", "http://front:8010/health")["ok"]
    hosts = both.cluster["store"]["files"]["etc/hosts"][0]
    assert "192.0.2.7\telsewhere" in hosts
    assert "host.docker.internal" in hosts
    assert "store-host" in hosts
    assert "front" not in both.cluster["node"]["files"]["etc/hosts"][0].split()
    resolver = both.cluster["store"]["files"]["etc/resolv.conf"][0]
    assert "shop.example" in resolver
    assert "timeout:3" in resolver


def _call(both: Both, service: str, url: str) -> Json:
    address = both.pods[service]["status"]["podIP"]
    shown = both.twin.exec(
        ["curl", "--silent", "--get", "--data-urlencode", f"url={url}", f"http://{address}:8010/call"]
    )
    answer: Json = json.loads(shown.stdout)
    return answer


def test_what_only_the_api_says(both: Both) -> None:
    spec = both.pods["store"]["spec"]
    container = spec["containers"][0]
    assert spec["terminationGracePeriodSeconds"] == 3
    assert spec["hostname"] == "store-host"
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    assert both.pods["store"]["metadata"]["annotations"]["com.example.note"] == "a b"
    assert container["stdin"] is True
    assert both.pods["front"]["spec"]["containers"][0]["tty"] is True
    assert container["image"].startswith("localhost:30500/flowmaster/sdx-backend@sha256:")
    assert container["readinessProbe"]["exec"]["command"] == CHECK.split()
    assert (container["readinessProbe"]["periodSeconds"], container["readinessProbe"]["failureThreshold"]) == (2, 4)
    ports = [p.host_port for p in both.translation.ports]
    assert ports == [18010, 18011]
    assert sorted(p["containerPort"] for p in container["ports"]) == [8010, 8011, 9999]


def test_who_is_unwell_gets_no_requests_and_is_not_ended(both: Both) -> None:
    pod = both.pods["store"]
    address, name = pod["status"]["podIP"], pod["metadata"]["name"]
    both.twin.exec(["curl", "--silent", "--request", "POST", f"http://{address}:8010/fail?mode=health&for=20s"])
    seen: set[bool] = set()
    deadline = time.monotonic() + patience(60)
    while time.monotonic() < deadline and seen != {True, False}:
        status = _status(both, name)
        seen.add(status["ready"])
        assert status["restartCount"] == 0
        time.sleep(0.5)
    assert seen == {True, False}
    while not _status(both, name)["ready"]:
        assert time.monotonic() < deadline, _status(both, name)
        time.sleep(0.5)
    assert _status(both, name)["restartCount"] == 0


def _status(both: Both, pod: str) -> Json:
    shown = both.twin.exec(["kubectl", "--namespace", NAMESPACE, "get", "pod", pod, "--output", "json"]).stdout
    status: Json = json.loads(shown)["status"]["containerStatuses"][0]
    return status


def test_an_end_is_a_beginning(both: Both) -> None:
    """restart: a container whose process ends is started again."""
    pod = both.pods["node"]
    address, name = pod["status"]["podIP"], pod["metadata"]["name"]
    both.twin.exec(["curl", "--silent", "--request", "POST", f"http://{address}:8010/fail?mode=exit"])
    deadline = time.monotonic() + patience(60)
    while (status := _status(both, name))["restartCount"] == 0 or not status["ready"]:
        assert time.monotonic() < deadline, _status(both, name)
        time.sleep(0.5)


def test_the_verb_writes_it_down_with_its_secrets_sealed(both: Both) -> None:
    operator = Operator.of(both.twin)
    stack = Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"])
    before, values = stack.read_text(), secrets_file.beside(stack)
    try:
        shown = operator.run("flowmaster", "compose", PROJECT, "--folder", FOLDER).stdout
        assert "10.43." in shown
        assert "is now arangodb" in " ".join(shown.split())
        assert "hush-hush" not in shown + stack.read_text() + values.read_text()
        assert "nothing to do" in operator.run("flowmaster", "compose", PROJECT).stdout
        sealed = operator.run("flowmaster", "secret", "get", f"compose/{PROJECT}/store.SECRET_KEY").stdout
        assert sealed == "hush-hush"
        source = json.loads(operator.run("flowmaster", "secret", "get", f"sources/{PROJECT}/compose").stdout)
        assert set(source["services"]) == set(both.translation.objects)
    finally:
        stack.write_text(before)
        values.unlink(missing_ok=True)


def test_the_api_server_takes_whatever_is_translated(both: Both) -> None:
    """Every case of the unit tests, as far as the server itself checks it: nothing is made."""
    bodies = []
    for given, _ in (*CONTAINER.values(), *POD.values()):
        for body in translated(one(**given)).bodies:
            bodies.append({**body, "metadata": {**body["metadata"], "namespace": NAMESPACE}})
    assert len(bodies) > len(CONTAINER) + len(POD)
    apply = ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"]
    shown = both.twin.exec(apply, text=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})).stdout
    assert len(shown.splitlines()) == len(bodies)
