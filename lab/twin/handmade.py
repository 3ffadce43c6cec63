"""Making the server's state by hand, the way it was made: kubectl apply, kubectl set image, compose, an editor."""

import base64
import json
import shutil
import socket
import string
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from lab.twin import images, keys, service
from lab.twin.api import Api, ready_pods, wait_until, why_unready
from lab.twin.errors import TwinError
from lab.twin.patience import patience
from lab.twin.twin import Twin

NAMESPACE = "flowmaster"
SOURCE = Path(__file__).parents[1] / "handmade"
RUNNING_PODS = 29
GATEWAY, GATEWAY_PORT, GATEWAY_RESTARTS = "websocket-gateway", 9010, 4
COMPOSE_PROJECTS = (
    ("sdx", "docker-compose.yml"),
    ("plane", "docker-compose.yaml"),
    ("plane-mcp-server", "docker-compose.yml"),
)
UNHEALTHY = "plane-space"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_PATIENCE = 120.0
_BACK_OFF = 1.3
_HTTP_PATIENCE = 10.0


def make(twin: Twin) -> None:
    """Brings an empty server to the state of the real one. Raises TwinError where a step fails or takes too long."""
    steps: list[Callable[[Twin], None]] = [_cluster, containers]
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step, twin) for step in steps]:
            done.result()
    site = twin.layout.disk / "etc-nginx/sites-enabled/flowmaster"
    shutil.copyfile(SOURCE / "nginx/flowmaster", site)
    twin.exec(["systemctl", "reload", "nginx"])
    twin.say("nginx routes by hand-written ClusterIPs")
    _await_unhealthy(twin)


def _cluster(twin: Twin) -> None:
    twin.exec(["kubectl", "create", "namespace", NAMESPACE])
    others = [name for name in running_images() if name != GATEWAY]
    with ThreadPoolExecutor(1) as pool, twin.api() as api:
        # The gateway first: its restarts take a while, and the others come up meanwhile.
        _apply(twin, [GATEWAY], shared_manifests(twin))
        wait_until(f"{GATEWAY} running", partial(_gateway_runs, api), _PATIENCE, partial(_why_unready, api, _PODS))
        restarted = pool.submit(_restart_gateway, twin)
        _apply(twin, others)
        twin.say("deployments applied, and their images set")
        restarted.result()
        wait_until("the pods", partial(_all_ready, api), _PATIENCE, partial(_why_unready, api, _PODS), pause=0.5)
        twin.say(f"{RUNNING_PODS} pods ready")


def _apply(twin: Twin, names: list[str], shared: str = "") -> None:
    """kubectl apply, then kubectl set image, as people did at different times.

    The controllers wait meanwhile: no pod starts with an image that is replaced a moment later.
    """
    twin.pause_process("kube-controller-manager")
    try:
        texts = [(SOURCE / "kubernetes" / f"{name}.yaml").read_text() for name in names]
        twin.exec(["kubectl", "apply", "--filename", "-"], text="---\n".join([*filter(None, [shared]), *texts]))
        running = running_images()
        changes = "".join(f"deployment/{name} {name}={running[name]}\n" for name in names)
        # Thirty short runs, none of which lives long enough to need its memory collected.
        set_image = ["env", "GOGC=off", "GOMAXPROCS=1", "kubectl", "set", "image", "--namespace", NAMESPACE]
        twin.exec(["xargs", "--max-procs=4", "--max-lines=1", *set_image], text=changes)
    finally:
        twin.start_process("kube-controller-manager")


def _all_ready(api: Api) -> bool:
    return len(ready_pods(api.items(_PODS))) == RUNNING_PODS


def _why_unready(api: Api, path: str) -> str:
    return why_unready(api.items(path))


def shared_manifests(twin: Twin) -> str:
    """ConfigMaps, Secrets with the twin's values, and the names of the databases."""
    return "---\n".join(
        _fill_in(twin, SOURCE / "shared" / f"{name}.yaml") for name in ("config", "secrets", "external-names")
    )


def running_images() -> dict[str, str]:
    """The image that runs, by Deployment."""
    found: dict[str, str] = yaml.safe_load((SOURCE / "running.yaml").read_text())
    return found


def _fill_in(twin: Twin, file: Path) -> str:
    values = keys.load_secrets(twin.layout)
    encoded = {f"{name}_BASE64": base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return string.Template(file.read_text()).safe_substitute(values | encoded)


_GATEWAY_PODS = f"{_PODS}?labelSelector=app%3D{GATEWAY}"
_NUDGE = "flowmaster.ai/restart"


@dataclass(frozen=True, kw_only=True)
class _Gateway:
    """The gateway's pod: how often its container was started again, and its address while that runs."""

    name: str = ""
    restarts: int = 0
    address: str = ""


def _gateway(api: Api) -> _Gateway:
    pods = api.items(_GATEWAY_PODS)
    if len(pods) != 1 or pods[0]["spec"]["containers"][0]["image"] != running_images()[GATEWAY]:
        # The image was only just set: the pod of before is still going.
        return _Gateway()
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            address = pod["status"].get("podIP", "") if "running" in status["state"] else ""
            return _Gateway(name=pod["metadata"]["name"], restarts=status["restartCount"], address=address)
    return _Gateway()


def _gateway_runs(api: Api, restarts: int = 0) -> bool:
    gateway = _gateway(api)
    return bool(gateway.address) and gateway.restarts >= restarts


def _restart_gateway(twin: Twin) -> None:
    """Makes its process exit as often as the real one did."""
    with twin.api() as api:
        reason = partial(_why_unready, api, _GATEWAY_PODS)
        while (before := _gateway(api)).restarts < GATEWAY_RESTARTS:
            wait_until(f"{GATEWAY} told to exit", partial(_end_gateway, twin, api), _PATIENCE, reason)
            # The kubelet pauses for a second and then looks again after ten, or when something of the pod changes.
            time.sleep(_BACK_OFF)
            if not before.name:
                continue
            pod = f"{_PODS}/{before.name}"
            api.annotate(pod, _NUDGE, str(before.restarts + 1))
            wait_until(f"{GATEWAY} back", partial(_gateway_runs, api, before.restarts + 1), _PATIENCE, reason)
            api.annotate(pod, _NUDGE, None)
    twin.say(f"{GATEWAY} crashed and started again {GATEWAY_RESTARTS} times")


def _end_gateway(twin: Twin, api: Api) -> bool:
    """Orders its process to exit; whether the order reached it. What became of the answer does not matter."""
    address = _gateway(api).address
    if not address:
        return False

    def order() -> bool:
        try:
            connection = socket.create_connection((address, GATEWAY_PORT), timeout=patience(_HTTP_PATIENCE))
        except OSError:
            return False
        with connection, suppress(OSError):
            connection.sendall(b"POST /fail?mode=exit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1)
        return True

    return twin.in_network(order)


def containers(twin: Twin) -> None:
    """Starts SDX and Plane by docker compose, and leaves data in SDX. Raises TwinError where that takes too long."""
    opt = twin.layout.disk / "opt"
    shutil.copytree(SOURCE / "opt", opt, dirs_exist_ok=True)
    (opt / "sdx/env").unlink()
    (opt / "sdx/.env").touch(mode=0o600)
    (opt / "sdx/.env").write_text(_fill_in(twin, SOURCE / "opt/sdx/env"))
    _load_plane_images(twin)
    for folder, file in COMPOSE_PROJECTS:
        compose = ["docker", "compose", "--project-directory", f"/opt/{folder}", "--file", f"/opt/{folder}/{file}"]
        twin.exec([*compose, "--progress", "quiet", "up", "--detach"], timeout=_PATIENCE)
    twin.say("containers of SDX and Plane started")
    _write_sdx_data(twin)


def _await_unhealthy(twin: Twin) -> None:
    """Its health check has to fail some times first."""
    wait_until(
        f"{UNHEALTHY} unhealthy",
        lambda: health(twin, UNHEALTHY) == "unhealthy",
        _PATIENCE,
        lambda: twin.exec(["docker", "ps", "--all"]).stdout,
        pause=1.0,
    )


def health(twin: Twin, container: str) -> str:
    """What Docker's health check of the container says; empty where it has none."""
    state = json.loads(twin.exec(["docker", "inspect", "--format", "{{json .State}}", container]).stdout)
    return str(state.get("Health", {}).get("Status", ""))


def _load_plane_images(twin: Twin) -> None:
    """As `docker load` brings images to the real server, too."""
    layer = images.make_layer(service.program().read_bytes())
    wanted = images.plane_images(layer)
    archive = twin.layout.disk / "root/plane-images.tar"
    archive.write_bytes(images.docker_archive(layer, wanted))
    twin.exec(["docker", "load", "--quiet", "--input", "/root/plane-images.tar"])
    archive.unlink()


def _write_sdx_data(twin: Twin) -> None:
    """Leaves data in SDX's volume that a migration must carry over."""
    for number in range(3):
        data = f"document {number}"
        url = f"http://127.0.0.1:8010/kv/document-{number}"
        written = twin.exec(["curl", "--fail", "--silent", "--retry-connrefused", "--retry", "20", "--retry-delay", "1",
                             "--request", "PUT", "--data", data, url], check=False)  # fmt: skip
        if written.returncode != 0:
            raise TwinError(f"SDX's backend does not take data: {written.stderr.strip() or written.returncode}")
