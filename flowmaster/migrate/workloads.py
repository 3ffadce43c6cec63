"""The workloads of a compose project in the cluster: scaling, readiness and addresses during a move."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from config.errors import UserError
from flowmaster.cluster import writes
from flowmaster.cluster.errors import UnreachableError
from flowmaster.cluster.rollout import wait_for

POLL_SECONDS = 0.1
LOST_SECONDS = 45.0
"""Seconds to wait for an API server that does not answer."""


class Requests(writes.Requests, Protocol):
    """The methods used of a connection to the API server."""

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Get a path; return the decoded answer."""


class Workloads:
    """The Deployments and Services of one project."""

    def __init__(self, api: Requests, namespace: str, timeout: float, heartbeat: Callable[[], None]) -> None:
        """`timeout` are seconds for pods to start or end; `alive` is called now and then while they are waited for."""
        self.api, self.namespace, self.timeout, self.heartbeat = api, namespace, timeout, heartbeat

    def addresses(self, objects: Mapping[str, str]) -> dict[str, str]:
        """Return ClusterIPs by compose service, for those that have a Service."""
        path = f"/api/v1/namespaces/{self.namespace}/services"
        items = self._patiently(lambda: self.api.get(path))["items"]
        found = {item["metadata"]["name"]: item["spec"].get("clusterIP") for item in items}
        return {s: str(found[name]) for s, name in objects.items() if found.get(name) not in (None, "", "None")}

    def scale(self, names: Iterable[str], replicas: int) -> None:
        """Scale Deployments; for 0 replicas, wait until the last pod is gone."""
        wanted = sorted(names)
        for name in wanted:
            self._patiently(partial(self._patch, name, replicas))
        if replicas == 0 and wanted:
            self._until_gone(wanted)

    def ready(self, names: Iterable[str], timeout: float | None = None) -> None:
        """Wait until each Deployment is ready, `timeout` seconds at most.

        :raises flowmaster.cluster.rollout.RolloutError: if one is not, with its last status.
        """
        patience = self.timeout if timeout is None else min(timeout, self.timeout)
        wait_for(self.api.get, self.namespace, dict.fromkeys(names), patience, _quietly, sleep=self._pause)

    def _patch(self, name: str, replicas: int) -> None:
        self.api.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}/scale",
            {"fieldManager": writes.MANAGER},
            {"Content-Type": "application/merge-patch+json"},
            json.dumps({"spec": {"replicas": replicas}}).encode(),
        )

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Retry while the API server does not answer. All requests are idempotent."""
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                return ask()
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                self._pause(0)

    def _pause(self, _: float) -> None:
        self.heartbeat()
        time.sleep(POLL_SECONDS)

    def _until_gone(self, names: list[str]) -> None:
        deadline = time.monotonic() + self.timeout
        selectors = {}
        for name in names:
            path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
            body = self._patiently(partial(self.api.get, path))
            selectors[name] = body["spec"]["selector"].get("matchLabels", {})
        while True:
            path = f"/api/v1/namespaces/{self.namespace}/pods"
            pods = self._patiently(partial(self.api.get, path))["items"]
            left = [p["metadata"]["name"] for p in pods if _of(p, selectors.values())]
            if not left:
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"pods do not end within {self.timeout:g} s: {', '.join(left)}",
                    "while they run, their volumes cannot be copied",
                    "see `kubectl describe pod`, then run `pulumi up` again",
                )
            self._pause(0)


def _of(pod: Mapping[str, Any], selectors: Iterable[Mapping[str, str]]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and any(s.items() <= labels.items() for s in selectors)


def _quietly(_: str) -> None:
    """Ignore progress: the caller reports each step as a whole."""
