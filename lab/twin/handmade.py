"""Making the server's state by hand, the way it was made: kubectl apply, kubectl set image, compose, an editor."""

import base64
import json
import shutil
import string
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from lab.twin import images, keys, service
from lab.twin.api import Api, Body, ready_pods, wait_until, why_unready
from lab.twin.errors import TwinError
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
_PATIENCE = 90.0


def make(twin: Twin) -> None:
    """Brings an empty server to the state of the real one. Raises TwinError where a step fails or takes too long."""
    steps: list[Callable[[Twin], None]] = [_cluster, _containers]
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step, twin) for step in steps]:
            done.result()
    site = twin.layout.disk / "etc-nginx/sites-enabled/flowmaster"
    shutil.copyfile(SOURCE / "nginx/flowmaster", site)
    twin.exec(["systemctl", "reload", "nginx"])
    twin.say("nginx routes by hand-written ClusterIPs")


def _cluster(twin: Twin) -> None:
    # While the controllers wait, no pod starts with an image that is replaced a moment later.
    twin.pause_process("kube-controller-manager")
    try:
        twin.exec(["kubectl", "create", "namespace", NAMESPACE])
        twin.exec(["kubectl", "apply", "--filename", "-"], text=manifests(twin))
        changes = "".join(f"deployment/{name} {name}={image}\n" for name, image in running_images().items())
        set_image = ["kubectl", "set", "image", "--namespace", NAMESPACE]
        twin.exec(["xargs", "--max-procs=4", "--max-lines=1", *set_image], text=changes)
    finally:
        twin.start_process("kube-controller-manager")
    twin.say("deployments applied, and their images set")
    with twin.api() as api:
        _restart_gateway(twin, api)
        twin.say(f"{GATEWAY} crashed and started again {GATEWAY_RESTARTS} times")
        wait_until("the pods", partial(_all_ready, api), _PATIENCE, partial(_why_unready, api, _PODS), pause=0.5)
        twin.say(f"{RUNNING_PODS} pods ready")


def _all_ready(api: Api) -> bool:
    return len(ready_pods(api.items(_PODS))) == RUNNING_PODS


def _why_unready(api: Api, path: str) -> str:
    return why_unready(api.items(path))


def manifests(twin: Twin) -> str:
    """All that was ever given to kubectl apply, with the twin's secrets filled in."""
    shared = [_fill_in(twin, SOURCE / "shared" / f"{name}.yaml") for name in ("config", "secrets", "external-names")]
    services = [path.read_text() for path in sorted((SOURCE / "kubernetes").glob("*.yaml"))]
    return "---\n".join([*shared, *services])


def running_images() -> dict[str, str]:
    """The image that runs, by Deployment."""
    found: dict[str, str] = yaml.safe_load((SOURCE / "running.yaml").read_text())
    return found


def _fill_in(twin: Twin, file: Path) -> str:
    values = keys.load_secrets(twin.layout)
    encoded = {f"{name}_BASE64": base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return string.Template(file.read_text()).safe_substitute(values | encoded)


def _restart_gateway(twin: Twin, api: Api) -> None:
    """Makes its process exit as often as the real one did."""
    selector = f"{_PODS}?labelSelector=app%3D{GATEWAY}"
    reason = partial(_why_unready, api, selector)
    for restarts in range(GATEWAY_RESTARTS):
        wait_until(f"{GATEWAY} ended", partial(_end_gateway, twin, api, selector, restarts), _PATIENCE, reason)
    wait_until(f"{GATEWAY} back", lambda: bool(_running_at(api.items(selector), GATEWAY_RESTARTS)), _PATIENCE, reason)


def _end_gateway(twin: Twin, api: Api, selector: str, restarts: int) -> bool:
    """Ends the process that was started again so many times; whether it was there and took the order."""
    address = _running_at(api.items(selector), restarts)
    return bool(address) and _told(twin, f"http://{address}:{GATEWAY_PORT}/fail?mode=exit")


def _running_at(pods: list[Body], restarts: int) -> str:
    """The address of the pod whose container runs after so many restarts; empty where there is none."""
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            if status["restartCount"] == restarts and "running" in status["state"]:
                return str(pod["status"].get("podIP", ""))
    return ""


def _told(twin: Twin, url: str) -> bool:
    """Sends a POST from the server itself; whether it was answered."""

    def post() -> bool:
        request = urllib.request.Request(url, method="POST")  # noqa: S310 - a pod's address
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    return twin.in_network(post)


def _containers(twin: Twin) -> None:
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
    wait_until(
        f"{UNHEALTHY} unhealthy",
        lambda: health(twin, UNHEALTHY) == "unhealthy",
        _PATIENCE,
        lambda: twin.exec(["docker", "ps", "--all"]).stdout,
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
