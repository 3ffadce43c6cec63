"""The twin in the state of the real server: what the spec says of that server is so here."""

from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin
from lab.twin.api import ready_pods, wait_until, why_unready
from lab.twin.handmade import RUNNING_PODS, health, running_images
from lab.twin.images import expand
from tests.lab.clients import echo_by_websocket, get, ssh

DEPLOYMENTS = "/apis/apps/v1/namespaces/flowmaster/deployments"
SERVICES = "/api/v1/namespaces/flowmaster/services"
PODS = "/api/v1/namespaces/flowmaster/pods"


@pytest.fixture
def server(hand_made_twin: Twin) -> Twin:
    return hand_made_twin


def items(twin: Twin, path: str) -> dict[str, dict[str, Any]]:
    with twin.api() as api:
        return {item["metadata"]["name"]: item for item in api.items(path)}


def call_from_a_pod(twin: Twin, url: str) -> dict[str, Any]:
    """What the agent-service gets when it calls the URL: cluster DNS, and the network between pods."""
    address = items(twin, SERVICES)["agent-service"]["spec"]["clusterIP"]
    _, answer = twin.in_network(lambda: get(address, 9016, f"/call?url={url}"))
    assert isinstance(answer, dict), answer
    return answer


def test_the_api_is_that_of_kubernetes_1_34(server: Twin) -> None:
    with server.api() as api:
        version = api.get("/version")
    assert version is not None
    assert (version["major"], version["minor"]) == ("1", "34")


def test_thirty_deployments_and_29_ready_pods(server: Twin) -> None:
    deployments = items(server, DEPLOYMENTS)
    assert set(deployments) == set(running_images())
    assert len(deployments) == 30
    assert deployments["data-intelligence"]["spec"]["replicas"] == 0
    assert RUNNING_PODS == 29
    with server.api() as api:  # on a busy machine a probe may come too late for a moment
        wait_until(
            "29 ready pods",
            lambda: len(ready_pods(api.items(PODS))) == len(api.items(PODS)) == RUNNING_PODS,
            60,
            lambda: why_unready(api.items(PODS)),
        )


def test_images_were_set_by_hand_after_a_client_side_apply(server: Twin) -> None:
    for name, deployment in items(server, DEPLOYMENTS).items():
        containers = deployment["spec"]["template"]["spec"]["containers"]
        assert [container["image"] for container in containers] == [running_images()[name]]
        assert containers[0]["imagePullPolicy"] == "Always"
        assert "kubectl.kubernetes.io/last-applied-configuration" in deployment["metadata"]["annotations"]
        managers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
        assert {"kubectl-client-side-apply", "kubectl-set"} <= managers


def test_the_hard_coded_addresses_are_those_of_the_services(server: Twin) -> None:
    services = items(server, SERVICES)
    addresses = {
        "frontend": "10.43.185.219",
        "api-gateway": "10.43.193.134",
        "websocket-gateway": "10.43.43.253",
    }
    assert {name: services[name]["spec"]["clusterIP"] for name in addresses} == addresses


def test_the_gateway_was_restarted_and_is_ready(server: Twin) -> None:
    [gateway] = [pod for name, pod in items(server, PODS).items() if name.startswith("websocket-gateway-")]
    [container] = gateway["status"]["containerStatuses"]
    assert container["restartCount"] == 4
    assert container["ready"]


def test_variety_that_a_snapshot_does_not_list(server: Twin) -> None:
    deployments = items(server, DEPLOYMENTS)
    pods = {name: deployment["spec"]["template"]["spec"] for name, deployment in deployments.items()}
    containers = [pod["containers"][0] for pod in pods.values()]
    assert deployments["process-designer"]["spec"]["selector"]["matchLabels"] == {"app": "designer"}
    assert [name for name, pod in pods.items() if "initContainers" in pod] == ["execution-engine"]
    assert 0 < sum("readinessProbe" in container for container in containers) < len(containers)
    assert 0 < sum(bool(container["resources"]) for container in containers) < len(containers)
    secrets = items(server, "/api/v1/namespaces/flowmaster/secrets")
    annotation = secrets["ai-keys"]["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert secrets["ai-keys"]["data"]["GEMINI_API_KEY"] in annotation


def test_services_find_each_other_and_the_databases(server: Twin) -> None:
    for url in (
        "http://process-designer:3002/health",
        "http://auth-service.flowmaster.svc.cluster.local:8002/health",
        "http://arangodb:8529/_api/version",
        "tcp://postgres:5432",
        "tcp://redis:6379",
    ):
        answer = call_from_a_pod(server, url)
        assert answer["ok"], (url, answer)


def test_names_outside_the_cluster_do_not_resolve(server: Twin) -> None:
    answer = call_from_a_pod(server, "http://flow-master.invalid/")
    assert not answer["ok"]


def test_the_registry_is_reached_through_the_api_and_not_from_the_machine(server: Twin) -> None:
    with server.api() as api:
        found = api.get("/api/v1/nodes/demo:30500/proxy/v2/flowmaster/agent-service/tags/list")
    assert found is not None
    assert sorted(found["tags"]) == expand(["r36-r47"])
    with pytest.raises(OSError, match=r"refused|unreachable"):
        get(server.address, 30500, "/v2/")


def test_ghcr_images_come_from_the_mirror(server: Twin) -> None:
    [pod] = [pod for name, pod in items(server, PODS).items() if name.startswith("auth-service-")]
    [container] = pod["status"]["containerStatuses"]
    assert container["image"] == "ghcr.io/flowmaster/auth-service:latest"
    with server.api() as api:
        assert api.get("/api/v1/nodes/demo:30500/proxy/v2/flowmaster/auth-service/tags/list")


def test_ssh_as_root_and_as_ben_who_may_use_sudo(server: Twin, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{server.address} {server.environment()['FLOWMASTER_HOST_PUBLIC_KEY']}\n")
    root = ssh(server, "root", "id -un; hostname; ls /etc/nginx/sites-enabled", known)
    assert root.stdout.split() == ["root", "demo", "flowmaster"], root.stderr
    ben = ssh(server, "ben", "id -un; sudo -n id -un; sudo -n systemctl is-active nginx", known)
    assert ben.stdout.split() == ["ben", "root", "active"], ben.stderr


def test_ssh_with_another_host_key_is_refused_by_the_client(server: Twin, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    other = (server.layout.keys / "ssh-user.pub").read_text()
    known.write_text(f"{server.address} {' '.join(other.split()[:2])}\n")
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(server, "root", "true", known).stderr


def test_nginx_routes_to_the_three_services(server: Twin) -> None:
    status, page = get(server.address, 80, "/start")
    assert (status, page["service"], page["version"]) == (200, "frontend", "ea2a29b")
    status, answer = get(server.address, 80, "/api/orders?open=1")
    assert (status, answer["service"], answer["path"]) == (200, "api-gateway", "/api/orders")
    assert answer["headers"]["X-Forwarded-For"] == server.layout.machine_address
    assert answer["requested_host"] == "demo.example"
    assert echo_by_websocket(server.address, 80, "/ws/room", "salām") == "salām"


def test_sdx_and_plane_run_beside_it(server: Twin) -> None:
    names = set(server.exec(["docker", "ps", "--format", "{{.Names}}"]).stdout.split())
    assert {name for name in names if name.startswith("sdx-")} == {"sdx-backend", "sdx-frontend", "sdx-mcp-server"}
    assert len({name for name in names if name.startswith("plane-")}) == 13
    assert health(server, "plane-space") == "unhealthy"
    for port, service in ((8010, "sdx-backend"), (3010, "sdx-frontend"), (8011, "sdx-mcp-server")):
        assert get(server.address, port, "/health")[1]["service"] == service
    for port, service in ((8083, "plane-proxy"), (8012, "plane-mcp-server")):
        assert get(server.address, port, "/health")[1]["service"] == service
    assert get(server.address, 8010, "/kv/document-1") == (200, "document 1")
    assert get(server.address, 8010, "/call?url=http://10.43.85.29:8529/_api/version")[0] == 200


def test_memory_stays_below_two_and_a_half_gigabytes(server: Twin) -> None:
    assert server.memory_bytes() < 2.5 * 2**30


def test_nothing_leads_out(server: Twin) -> None:
    routes = server.exec(["ip", "route"]).stdout
    assert "default" not in routes
    assert server.exec(["ls", "-A", "/root"]).stdout.split() == [".kube", ".ssh"]
