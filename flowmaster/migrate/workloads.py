"""The cluster's copy of a compose project while it is moved: how many pods it has, and whether they answer."""

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
"""How long an API server that does not answer is waited for."""


class Requests(writes.Requests, Protocol):
    """What is needed of a connection to the API server."""

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """A decoded answer."""


class Workloads:
    """The Deployments and Services of one project."""

    def __init__(self, api: Requests, namespace: str, timeout: float, heartbeat: Callable[[], None]) -> None:
        """`timeout` are seconds for pods to start or end; `alive` is called now and then while they are waited for."""
        self.api, self.namespace, self.timeout, self.heartbeat = api, namespace, timeout, heartbeat

    def addresses(self, objects: Mapping[str, str]) -> dict[str, str]:
        """ClusterIPs by service, of those that have a Service."""
        path = f"/api/v1/namespaces/{self.namespace}/services"
        items = self._patiently(lambda: self.api.get(path))["items"]
        found = {item["metadata"]["name"]: item["spec"].get("clusterIP") for item in items}
        return {s: str(found[name]) for s, name in objects.items() if found.get(name) not in (None, "", "None")}

    def scale(self, names: Iterable[str], replicas: int) -> None:
        """Have that many pods of each Deployment; 0 returns once the last one is really gone."""
        wanted = sorted(names)
        for name in wanted:
            self._patiently(partial(self._patch, name, replicas))
        if replicas == 0 and wanted:
            self._until_gone(wanted)

    def ready(self, names: Iterable[str], timeout: float | None = None) -> None:
        """Wait until each Deployment runs, for so many seconds at most.

        :raises flowmaster.cluster.rollout.RolloutError: where one does not, with what it said last.
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
        """An API server that is silent for a while is asked again: all that is asked may be asked twice."""
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
    """Each step is told as a whole."""
