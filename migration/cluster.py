"""The cluster's copy of a compose project while it is moved: how many pods it has, and whether they answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from components.rollout import wait_for
from config.errors import UserError
from heal.cluster import MANAGER

POLL_SECONDS = 0.1


class Requests(Protocol):
    """What is needed of a connection to the API server."""

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """A decoded answer."""

    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """The response to a request that succeeded."""


class Cluster:
    """The Deployments and Services of one project."""

    def __init__(self, api: Requests, namespace: str, timeout: float, alive: Callable[[], None]) -> None:
        """`timeout` are seconds for pods to start or end; `alive` is called now and then while they are waited for."""
        self.api, self.namespace, self.timeout, self.alive = api, namespace, timeout, alive

    def addresses(self, objects: Mapping[str, str]) -> dict[str, str]:
        """ClusterIPs by service, of those that have a Service."""
        items = self.api.get(f"/api/v1/namespaces/{self.namespace}/services")["items"]
        found = {item["metadata"]["name"]: item["spec"].get("clusterIP") for item in items}
        return {s: str(found[name]) for s, name in objects.items() if found.get(name) not in (None, "", "None")}

    def scale(self, names: Iterable[str], replicas: int) -> None:
        """Have that many pods of each Deployment; 0 returns once the last one is really gone."""
        wanted = sorted(names)
        for name in wanted:
            self.api.request(
                "PATCH",
                f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}/scale",
                {"fieldManager": MANAGER},
                {"Content-Type": "application/merge-patch+json"},
                json.dumps({"spec": {"replicas": replicas}}).encode(),
            )
        if replicas == 0 and wanted:
            self._until_gone(wanted)

    def ready(self, names: Iterable[str]) -> None:
        """Wait until each Deployment runs.

        :raises components.rollout.RolloutError: where one does not, with what it said last.
        """
        wait_for(self.api.get, self.namespace, set(names), self.timeout, _quietly, sleep=self._pause)

    def _pause(self, _: float) -> None:
        self.alive()
        time.sleep(POLL_SECONDS)

    def _until_gone(self, names: list[str]) -> None:
        deadline = time.monotonic() + self.timeout
        selectors = {}
        for name in names:
            body = self.api.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}")
            selectors[name] = body["spec"]["selector"].get("matchLabels", {})
        while True:
            pods = self.api.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"]
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
    """Each step is told as a whole."""
