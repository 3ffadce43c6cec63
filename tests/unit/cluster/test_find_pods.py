"""Pods of any namespace, found by what a host knows of them."""

from __future__ import annotations

from typing import Any

from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.reader import LiveState, find_pods


class Pods:
    """Serves pods, and keeps what it was asked."""

    server = "https://10.77.0.2:6443"

    def __init__(self, *pods: dict[str, Any], failure: ApiError | None = None) -> None:
        self.pods, self.failure, self.asked = pods, failure, list[str]()

    def get(self, path: str) -> Any:
        self.asked.append(path)
        if self.failure:
            raise self.failure
        address = path.partition("status.podIP%3D")[2]
        return {"items": [pod for pod in self.pods if address in ("", pod["status"]["podIP"])]}


def pod(name: str, address: str, *, in_network_of_node: bool = False) -> dict[str, Any]:
    metadata = {"namespace": "kube-system", "name": name, "uid": f"uid-of-{name}"}
    return {"metadata": metadata, "spec": {"hostNetwork": in_network_of_node}, "status": {"podIP": address}}


def found(api: Pods, addresses: set[str], uids: set[str]) -> dict[str, str]:
    return find_pods(LiveState(api.server, "flowmaster", reader=api), addresses, uids)


def test_by_address_and_by_uid() -> None:
    api = Pods(pod("svclb", "10.42.0.8"), pod("proxy", "10.0.0.1", in_network_of_node=True))
    names = found(api, {"10.42.0.8"}, {"uid-of-proxy"})
    assert (names["10.42.0.8"], names["uid-of-proxy"]) == ("kube-system/svclb", "kube-system/proxy")
    assert "10.0.0.1" not in found(api, {"10.0.0.1"}, set())


def test_nothing_is_requested_for_nothing() -> None:
    api = Pods(pod("svclb", "10.42.0.8"))
    assert found(api, set(), set()) == {}
    assert api.asked == []


def test_who_may_not_read_pods_of_others_knows_no_names() -> None:
    assert found(Pods(failure=ApiError("forbidden", status=403)), {"10.42.0.8"}, {"uid"}) == {}
    assert find_pods(LiveState("", "flowmaster"), {"10.42.0.8"}, set()) == {}
