"""What is empty and means something stays; what is as good as absent goes."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.cluster.normalise import normalise, without_allocated

Body = dict[str, Any]


def pods(spec: Body) -> Body:
    """A Deployment with pods of that spec."""
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}


def cleaned(spec: Body) -> Any:
    """The spec of pods in normal form; None where nothing is left of it."""
    return normalise(pods(spec)).get("spec", {}).get("template", {}).get("spec")


TERM = {"topologyKey": "zone", "labelSelector": {}, "namespaceSelector": {}}


@pytest.mark.parametrize(
    "spec",
    [
        {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}},
        {"topologySpreadConstraints": [{"maxSkew": 1, "labelSelector": {}}]},
        {"affinity": {}},
        {"securityContext": {}},
        {"resources": {}},
        {"dnsConfig": {"options": [{"name": "single", "value": ""}]}},
        {"containers": [{"name": "a", "securityContext": {}}]},
        {"containers": [{"name": "a", "lifecycle": {"preStop": {"httpGet": {"httpHeaders": [{"value": ""}]}}}}]},
        {"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": ""}]}},
        {"volumes": [{"name": "a", "csi": {"driver": "x", "readOnly": False, "fsType": ""}}]},
        {"enableServiceLinks": False, "terminationGracePeriodSeconds": 0},
    ],
    ids=str,
)
def test_what_means_something_is_kept(spec: Body) -> None:
    assert cleaned(spec) == spec


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ({"nodeSelector": {}, "tolerations": [], "hostNetwork": False}, None),
        ({"containers": [{"name": "a", "resources": {}, "env": [], "stdin": False}]}, {"containers": [{"name": "a"}]}),
        ({"containers": [{"env": [{"name": "A", "value": ""}]}]}, {"containers": [{"env": [{"name": "A"}]}]}),
        ({"tolerations": [{"key": "x", "value": "", "effect": ""}]}, {"tolerations": [{"key": "x"}]}),
        (
            {"topologySpreadConstraints": [{"labelSelector": {"matchLabels": {}}}]},
            {"topologySpreadConstraints": [{"labelSelector": {}}]},
        ),
        ({"volumes": [{"name": "a", "nfs": {"readOnly": False}}]}, {"volumes": [{"name": "a", "nfs": {}}]}),
    ],
    ids=str,
)
def test_what_the_server_does_not_tell_from_its_absence_goes(spec: Body, kept: Body | None) -> None:
    assert cleaned(spec) == kept


def service(**spec: Any) -> Body:
    return {"metadata": {}, "spec": {"type": "ClusterIP", **spec}}


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ({"clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"], "ipFamilies": ["IPv4"]}, {}),
        ({"clusterIP": "fd00::9", "clusterIPs": ["fd00::9"], "ipFamilies": ["IPv6"]}, {}),
        ({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "SingleStack"}, {"clusterIP": "None"}),
        ({"loadBalancerClass": "example.com/own"}, {"loadBalancerClass": "example.com/own"}),
        ({"ipFamilyPolicy": "PreferDualStack"}, {"ipFamilyPolicy": "PreferDualStack"}),
        (
            {"clusterIP": "fd00::9", "clusterIPs": ["fd00::9", "10.43.0.9"], "ipFamilies": ["IPv6", "IPv4"]},
            {"clusterIPs": ["fd00::9", "10.43.0.9"], "ipFamilies": ["IPv6", "IPv4"]},
        ),
    ],
    ids=str,
)
def test_of_the_addresses_of_a_service_only_the_usual_one_is_the_servers(spec: Body, meant: Body) -> None:
    live = service(**spec)
    assert without_allocated(live, service(), "Service")["spec"] == {"type": "ClusterIP", **meant}
