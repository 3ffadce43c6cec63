"""Ports and names: what was reached before is reached in the cluster."""

from __future__ import annotations

import pytest

from flowmaster.compose.result import Port, final_bodies
from tests.unit.compose.projects import Json, body, one, pod, translated

TRIED = {"ports", "expose", "networks", "links", "container_name", "network_mode", "extra_hosts"}
IMAGE = one()["backend"]
BOTH = {"backend": IMAGE | {"expose": ["8010"]}, "web": IMAGE | {"expose": ["80"]}}


def ports(translation: object, name: str = "shop-backend") -> list[tuple[int, str]]:
    found = body(translation, "Service", name)["spec"]["ports"]  # type: ignore[arg-type]
    assert all(port["targetPort"] == port["port"] for port in found)
    return [(port["port"], port["protocol"]) for port in found]


def test_ports_of_the_server_and_of_the_service() -> None:
    result = translated(
        one(
            ports=[
                {"mode": "ingress", "target": 80, "published": "8010", "protocol": "tcp"},
                {"mode": "host", "target": 81, "published": "8011", "protocol": "tcp", "host_ip": "127.0.0.1"},
                {"target": 82, "published": "8012", "host_ip": "0.0.0.0"},  # noqa: S104
                {"target": 99, "protocol": "tcp", "name": "admin", "app_protocol": "http"},
                {"target": 53, "protocol": "udp"},
            ],
            expose=["3000", "4000-4002", "53/udp"],
        )
    )
    assert result.refusals == ()
    assert result.ports == (
        Port(host_port=8010, service="backend", container_port=80),
        Port(host_port=8011, service="backend", container_port=81, host_ip="127.0.0.1"),
        Port(host_port=8012, service="backend", container_port=82),
    )
    tcp = [80, 81, 82, 99, 3000, 4000, 4001, 4002]
    assert sorted(ports(result)) == sorted([*((number, "TCP") for number in tcp), (53, "UDP")])
    named = {port["port"]: port for port in body(result, "Service")["spec"]["ports"]}
    assert named[99]["appProtocol"] == "http"
    assert any("random port" in text for text in result.notes)


def test_names_lead_to_the_services_addresses() -> None:
    services: Json = {
        "backend": BOTH["backend"] | {
            "container_name": "shop-main",
            "hostname": "main",
            "networks": {"default": {"aliases": ["api", "API.internal"], "priority": 3}},
        },
        "web": BOTH["web"],
    }  # fmt: skip
    result = translated(services)
    assert result.refusals == ()
    assert set(result.aliases["backend"]) == {"backend", "shop-main", "main", "api", "API.internal"}
    bodies = final_bodies(result, {"backend": "10.43.0.1", "web": "10.43.0.2"})
    web = next(b for b in bodies if b["kind"] == "Deployment" and b["metadata"]["name"] == "shop-web")
    assert web["spec"]["template"]["spec"]["hostAliases"] == [
        {"ip": "10.43.0.1", "hostnames": ["api", "api.internal", "backend", "main", "shop-main"]},
        {"ip": "10.43.0.2", "hostnames": ["shop-web-1", "web"]},
    ]


def test_names_of_another_network_stay_unknown() -> None:
    services = {
        "backend": BOTH["backend"] | {"networks": {"inside": {"aliases": ["api"]}}},
        "web": BOTH["web"] | {"networks": {"outside": None}},
        "proxy": BOTH["web"] | {"networks": {"inside": None, "outside": None}},
    }
    networks = {"inside": {"name": "shop_inside"}, "outside": {"name": "shop_outside"}}
    result = translated(services, networks=networks)
    assert result.refusals == ()
    assert "backend" not in result.peers["web"]
    assert result.peers["proxy"]["api"] == "backend"
    assert any("were separate" in text for text in result.notes)


def test_links_are_names_for_one_service_alone() -> None:
    result = translated({"backend": BOTH["backend"], "web": BOTH["web"] | {"links": ["backend:store"]}})
    assert result.peers["web"]["store"] == "backend"
    assert "store" not in result.peers["backend"]


def test_what_a_service_says_of_a_name_itself_goes_first() -> None:
    result = translated({"backend": BOTH["backend"], "web": BOTH["web"] | {"extra_hosts": ["backend=1.2.3.4"]}})
    aliases = pod_of(final_bodies(result, {"backend": "10.43.0.1"}), "shop-web")["hostAliases"]
    assert aliases[0] == {"ip": "1.2.3.4", "hostnames": ["backend"]}
    assert "backend" not in [name for entry in aliases[1:] for name in entry["hostnames"]]


def pod_of(bodies: tuple[Json, ...], name: str) -> Json:
    found = next(b for b in bodies if b["kind"] == "Deployment" and b["metadata"]["name"] == name)
    spec: Json = found["spec"]["template"]["spec"]
    return spec


def test_a_name_for_two_services_is_refused() -> None:
    shared = {"networks": {"default": {"aliases": ["api"]}}}
    result = translated({"backend": BOTH["backend"] | shared, "web": BOTH["web"] | shared})
    assert any("shares the name api with" in refusal.reason for refusal in result.refusals)


def test_a_name_that_kubernetes_does_not_take() -> None:
    odd = {"back_end": IMAGE | {"expose": ["8010"]}, "web": BOTH["web"]}
    assert any("no service uses it" in text for text in translated(odd).notes)
    odd["web"] = odd["web"] | {"environment": {"API": "http://back_end:8010"}}
    assert any("back_end" in refusal.reason for refusal in translated(odd).refusals)


def test_a_port_that_is_only_used_is_found() -> None:
    web = BOTH["web"] | {"environment": {"API": "http://backend:8010/x"}}
    result = translated({"backend": IMAGE, "web": web})
    assert ports(result) == [(8010, "TCP")]
    assert any("used as backend:8010" in text for text in result.notes)


@pytest.mark.parametrize(
    "given", [{"API": "http://backend/x"}, {"API_HOST": "backend"}, {"DB": "postgres://u:p@backend"}]
)
def test_a_name_that_is_used_without_a_port_needs_one(given: Json) -> None:
    web = BOTH["web"] | {"environment": given}
    refusals = translated({"backend": IMAGE, "web": web}).refusals
    assert [refusal.key for refusal in refusals] == ["services.backend.expose"]


@pytest.mark.parametrize("mode", ["bridge", "default"])
def test_a_bridge_is_what_a_pod_has(mode: str) -> None:
    assert translated(one(network_mode=mode)).refusals == ()


def test_a_digest_that_only_a_push_tells() -> None:
    from dataclasses import replace

    result = translated(one())
    image = replace(result.images["backend"], digest=None)
    assert image.reference == "localhost:30500/flowmaster/backend:id-72c620d361c7"
    digest = "sha256:" + "9" * 64
    (done,) = final_bodies(result, {}, {"backend": digest})
    assert done["spec"]["template"]["spec"]["containers"][0]["image"] == f"localhost:30500/flowmaster/backend@{digest}"
    assert pod(result)["containers"][0]["image"] != done["spec"]["template"]["spec"]["containers"][0]["image"]


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("localhost:30500/flowmaster/x:1", "localhost:30500/flowmaster/x"),
        ("postgres:15", "localhost:30500/library/postgres"),
        ("makeplane/plane:stable", "localhost:30500/makeplane/plane"),
        ("docker.io/redis", "localhost:30500/library/redis"),
        ("ghcr.io/a/b:1", "localhost:30500/ghcr.io/a/b"),
        ("other:5000/a/b@sha256:" + "1" * 64, "localhost:30500/other-5000/a/b"),
    ],
)
def test_images_in_the_clusters_registry(reference: str, repository: str) -> None:
    from flowmaster.compose.service.process import image_of

    assert image_of(reference, "sha256:" + "a" * 64, None, "localhost:30500").repository == repository
