"""A compose project with every key that the translator takes: in docker on a twin, and translated in its cluster.

Nothing is moved: the data is put where the translation says that it belongs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from config.compose import ComposeProject
from flowmaster.compose.result import Target, Translation, final_bodies
from flowmaster.compose.source import read_source
from flowmaster.compose.translate import translate
from flowmaster.host import docker
from flowmaster.migrate import record
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.server import Server

Json = dict[str, Any]
PROJECT, FOLDER, NAMESPACE = "shop", "/opt/shop", "compose-test"
IMAGE = "localhost:30500/flowmaster/sdx-backend:latest"
CHECK = "/service check http://127.0.0.1:8010/health"
FILE: Json = {
    "name": PROJECT,
    "x-note": "for the reader",
    "services": {
        "store": {
            "image": IMAGE,
            "container_name": "the-store",
            "hostname": "store-host",
            "entrypoint": ["/service"],
            "command": ["serve", "$$(HOME) $$HOME"],
            "env_file": ".env",
            "environment": {
                "DATA_DIR": "/data",
                "ODD": "a$$b $$$$ $$(PATH) \"'",
                "LINES": "one\ntwo",
                "ARANGO_URL": "http://DATABASE:8529",
                "UNSET": None,
            },
            "user": "10001:2345",
            "group_add": ["3456"],
            "working_dir": "/data",
            "stdin_open": True,
            "read_only": True,
            "tmpfs": ["/scratch:size=5m"],
            "shm_size": "32m",
            "cap_drop": ["ALL"],
            "cap_add": ["NET_BIND_SERVICE", "CAP_CHOWN"],
            "security_opt": ["no-new-privileges:true"],
            "sysctls": {"net.ipv4.tcp_syncookies": "0", "net.ipv4.ip_local_port_range": "20000 30000"},
            "mem_limit": "96m",
            "mem_reservation": "16m",
            "cpus": 0.75,
            "stop_grace_period": "3s",
            "stop_signal": "SIGTERM",
            "platform": "linux/amd64",
            "pull_policy": "missing",
            "restart": "unless-stopped",
            "labels": {"com.example.note": "a b"},
            "logging": {"driver": "json-file", "options": {"max-size": "1m"}},
            "ports": ["18010:8010", "127.0.0.1:18011:8011"],
            "expose": ["9999"],
            "extra_hosts": ["elsewhere:192.0.2.7", "host.docker.internal:host-gateway"],
            "dns_search": ["shop.example"],
            "dns_opt": ["timeout:3"],
            "networks": {"default": {"aliases": ["warehouse"]}, "back": None},
            "healthcheck": {"test": ["CMD", *CHECK.split()], "interval": "2s", "timeout": "3s", "retries": 4},
            "secrets": ["key"],
            "volumes": [
                "data:/data",
                "./files:/files:ro",
                "./one.txt:/one.txt:ro",
                "/spare",
                {"type": "tmpfs", "target": "/memory", "tmpfs": {"size": 1048576}},
            ],
        },
        "front": {
            "image": IMAGE,
            "depends_on": ["store"],
            "links": ["store:shelf"],
            "environment": {"API": "http://store:8010", "OWN": "http://front:8010"},
            "deploy": {"replicas": 2, "resources": {"limits": {"memory": "64M"}, "reservations": {"cpus": "0.01"}}},
            "tty": True,
            "init": True,
            "configs": [{"source": "site", "target": "/site.conf"}],
            "restart": "always",
            "stop_grace_period": "1s",
        },
        "node": {
            "image": IMAGE,
            "pid": "host",
            "ipc": "host",
            "restart": "on-failure:3",
            "networks": ["back"],
            "stop_grace_period": "1s",
        },
    },
    "networks": {"back": {"driver": "bridge"}},
    "volumes": {"data": {"labels": {"a": "b"}}},
    "configs": {"site": {"content": "price: $$5\n"}},
    "secrets": {"key": {"file": "./key.txt"}},
}
_PATIENCE = 120.0
SHOWN = """
import json, os, sys
names = "site.conf one.txt run/secrets/key files/a data/kept spare/kept etc/hosts etc/resolv.conf".split()
found = {}
for pid in sys.argv[1:]:
    at = "/proc/" + pid
    read = lambda name: open(at + "/" + name).read()
    root = at + "/root"
    status = dict(line.split(":\\t", 1) for line in read("status").splitlines() if ":\\t" in line)
    mounts = {}
    for line in read("mountinfo").splitlines():
        words = line.split()
        kind = words[words.index("-") + 1]
        superblock = words[-1]
        mounts[words[4]] = [kind, "ro" in words[5].split(","), superblock]
    files = {}
    for name in names:
        try:
            stat = os.stat(root + "/" + name)
            files[name] = [open(root + "/" + name).read(), stat.st_uid, oct(stat.st_mode & 0o7777)]
        except OSError:
            pass
    found[pid] = {
        "uid": status["Uid"].split()[0], "gid": status["Gid"].split()[0], "groups": sorted(status["Groups"].split()),
        "capabilities": status["CapEff"].strip(), "bounding": status["CapBnd"].strip(),
        "no_new_privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
        "environment": dict(e.split("=", 1) for e in read("environ").split("\\0") if "=" in e),
        "words": read("cmdline").split("\\0")[:-1], "folder": os.readlink(at + "/cwd"),
        "mounts": mounts, "files": files,
        "namespaces": {n: os.readlink(at + "/ns/" + n) for n in ("pid", "ipc", "net", "uts")},
        "cgroups": read("cgroup"), "number_inside": status["NSpid"].split()[-1],
    }
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Both:
    """The project on both sides."""

    twin: Twin
    translation: Translation
    docker: Mapping[str, Json]
    """By service, what the kernel says of its process in docker."""
    cluster: Mapping[str, Json]
    """The same of the one in the cluster."""
    pods: Mapping[str, Json]
    """By service, its pod as the API has it."""
    pids: Mapping[str, tuple[str, str]]
    """By service, the process in docker and the one in the cluster, as numbers on the server."""


@contextmanager
def on_both_sides(twin: Twin) -> Iterator[Both]:
    """The project in docker, translated, and its translation in the cluster; gone at the end."""
    server = Server.of(twin)
    _clean(server)
    _compose_up(server)
    translation = _translated(server)
    assert [str(refusal) for refusal in translation.refusals] == []
    _put_data(server, translation)
    _apply(twin, server, translation)
    pods = _pods(twin, translation)
    pids = _pids(server, translation, pods)
    shown = json.loads(twin.exec(["python3", "-c", SHOWN, *(p for pair in pids.values() for p in pair)]).stdout)
    yield Both(
        twin,
        translation,
        {name: shown[before] for name, (before, _) in pids.items()},
        {name: shown[after] for name, (_, after) in pids.items()},
        pods,
        pids,
    )
    _clean(server)


def _clean(server: Server) -> None:
    """What an earlier try may have left, and this one has made."""
    own = f"label=com.docker.compose.project={PROJECT}"
    server.sh(
        f"""
        kubectl delete namespace {NAMESPACE} --ignore-not-found
        kubectl delete persistentvolume --selector flowmaster.ai/compose-project={PROJECT}
        docker ps --all --quiet --filter {own} | xargs -r docker rm --force --volumes
        docker volume ls --quiet --filter {own} | xargs -r docker volume rm
        docker network ls --quiet --filter {own} | xargs -r docker network rm
        rm -rf {FOLDER} /var/lib/flowmaster/volumes/{PROJECT}
        """
    )


def _compose_up(server: Server) -> None:
    database = server.sh("kubectl --namespace databases get service arangodb --output jsonpath={.spec.clusterIP}")
    text = yaml.safe_dump(FILE, sort_keys=False).replace("DATABASE", database)
    folder = server.twin.layout.disk / FOLDER.lstrip("/")
    (folder / "files").mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("docker-compose.yml", text),
        (".env", "SECRET_KEY=hush-hush\nLEVEL=info\n"),
        ("one.txt", "one\n"),
        ("key.txt", "the key\n"),
        ("files/a", "a file\n"),
    ):
        (folder / name).write_text(content)
    server.sh(f"chown 10001:2345 {FOLDER}/key.txt; chmod 400 {FOLDER}/key.txt; chmod 640 {FOLDER}/files/a")
    compose = f"docker compose --project-directory {FOLDER} --file {FOLDER}/docker-compose.yml --progress quiet"
    server.sh(f"{compose} up --detach")
    server.sh("docker exec the-store /service check http://127.0.0.1:8010/health >/dev/null || sleep 2")
    for mount in json.loads(server.sh("docker inspect --format '{{json .Mounts}}' the-store")):
        if mount["Type"] == "volume":
            kept = f"{mount['Source']}/kept"
            server.sh(f"echo kept >{kept}; chown 10001:77 {kept}; chmod 604 {kept}")


def _translated(server: Server) -> Translation:
    found = docker.read_project(server.access, PROJECT, FOLDER)
    database = server.sh("kubectl --namespace databases get service arangodb --output jsonpath={.spec.clusterIP}")
    around = Target(
        namespace=NAMESPACE,
        registry="localhost:30500",
        external_hosts={database: "arangodb"},
        node_address=found["node_address"],
    )
    source, secrets, told = read_source(
        found["config"], found["containers"], found["volumes"], found["files"], found["images"], around
    )
    assert told == (), told
    # what the stack's file keeps of it, and nothing else, is what is translated
    written = json.loads(json.dumps(record.source_as_json(source)))
    project = ComposeProject.model_validate({"folder": FOLDER, "source": written, "sealed": secrets})
    return translate(PROJECT, project, around)


def _put_data(server: Server, translation: Translation) -> None:
    for volume in translation.volumes:
        target = volume.target_path
        source = volume.source_path + ("/." if volume.kind == "directory" else "")
        place = target if volume.kind == "directory" else target.rpartition("/")[0]
        server.sh(f"mkdir -p {place}; cp -a {source} {target}")


def _apply(twin: Twin, server: Server, translation: Translation) -> None:
    twin.exec(["kubectl", "create", "namespace", NAMESPACE])
    deployments = [body for body in translation.bodies if body["kind"] == "Deployment"]
    others = [body for body in translation.bodies if body["kind"] != "Deployment"]
    apply = ["kubectl", "apply", "--server-side", "--validate=strict", "--filename", "-"]
    twin.exec(apply, text=yaml.safe_dump_all(others))
    listed = json.loads(server.sh(f"kubectl --namespace {NAMESPACE} get services --output json"))["items"]
    addresses = {item["metadata"]["name"]: item["spec"]["clusterIP"] for item in listed}
    by_service = {s: addresses[name] for s, name in translation.objects.items() if name in addresses}
    done = [body for body in final_bodies(translation, by_service) if body["kind"] == "Deployment"]
    assert len(done) == len(deployments)
    twin.exec(apply, text=yaml.safe_dump_all(done))


def _pods(twin: Twin, translation: Translation) -> dict[str, Json]:
    deadline = time.monotonic() + patience(_PATIENCE)
    while True:
        listed = json.loads(twin.exec(["kubectl", "--namespace", NAMESPACE, "get", "pods", "--output", "json"]).stdout)
        by_name: dict[str, list[Json]] = {}
        for pod in listed["items"]:
            by_name.setdefault(pod["metadata"]["labels"]["app.kubernetes.io/name"], []).append(pod)
        ready = {
            name: [p for p in pods if all(c["ready"] for c in p["status"].get("containerStatuses", [{"ready": False}]))]
            for name, pods in by_name.items()
        }
        wanted = {
            body["metadata"]["name"]: body["spec"]["replicas"]
            for body in translation.bodies
            if "replicas" in body.get("spec", {})
        }
        if all(len(ready.get(name, [])) == replicas for name, replicas in wanted.items()):
            return {service: ready[name][0] for service, name in translation.objects.items()}
        events = (
            twin.exec(["kubectl", "--namespace", NAMESPACE, "get", "events"]).stdout
            if time.monotonic() > deadline
            else ""
        )
        assert time.monotonic() < deadline, (
            f"{[(p['metadata']['name'], p['status']) for p in listed['items']]}\n{events}"
        )
        time.sleep(0.5)


def _pids(server: Server, translation: Translation, pods: Mapping[str, Json]) -> dict[str, tuple[str, str]]:
    found = {}
    for service, pod in pods.items():
        name = translation.containers[service][0]
        container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        identity = server.sh("docker inspect --format '{{.Id}}' " + name).strip()
        found[service] = (_program(server, identity), _program(server, container))
    return found


def _program(server: Server, container: str) -> str:
    """The process of a container that is no init: the last one to begin, as long as nobody checks its health."""
    for _ in range(20):
        paths = server.sh(f"grep -l {container} /proc/[0-9]*/cgroup 2>/dev/null || true").split()
        pids = [path.split("/")[2] for path in paths]
        words = {pid: server.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline 2>/dev/null || true") for pid in pids}
        mains = [pid for pid, text in words.items() if text.startswith("/service") and " check " not in text]
        if len(mains) == 1:
            return mains[0]
        time.sleep(0.3)
    raise AssertionError(f"{container}: {words}")
