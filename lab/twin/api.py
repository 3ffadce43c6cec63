"""The twin's Kubernetes API, as much of it as bringing a twin up needs."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from lab.twin.errors import TwinError, UnreachableError
from lab.twin.layout import API_PORT, Layout
from lab.twin.patience import VARIABLE, patience

Body = dict[str, Any]

_PATIENCE = 30.0
_PLURALS = {
    "Deployment": "apis/apps/v1/namespaces/{namespace}/deployments",
    "Service": "api/v1/namespaces/{namespace}/services",
    "EndpointSlice": "apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "Namespace": "api/v1/namespaces",
}


@dataclass
class Api:
    """One connection as the administrator; not for several threads at once."""

    layout: Layout
    _connection: http.client.HTTPSConnection | None = field(default=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str) -> Body | None:
        """The object or list at the path, None where there is none."""
        status, body = self._ask("GET", path)
        if status == http.client.NOT_FOUND:
            return None
        return self._expect(status, body, path)

    def items(self, path: str) -> list[Body]:
        """The objects of the list at the path."""
        found = self.get(path)
        items: list[Body] = found["items"] if found else []
        return items

    def apply(self, body: Body) -> None:
        """Brings an object to what the body says, whatever it was."""
        metadata = body["metadata"]
        folder = _PLURALS[body["kind"]].format(namespace=metadata.get("namespace", ""))
        path = f"/{folder}/{metadata['name']}?fieldManager=twin&force=true"
        status, answer = self._ask("PATCH", path, body, "application/apply-patch+yaml")
        self._expect(status, answer, path)

    def annotate(self, path: str, name: str, value: str | None) -> None:
        """Sets an annotation of the object at the path; None removes it."""
        body = {"metadata": {"annotations": {name: value}}}
        status, answer = self._ask("PATCH", path, body, "application/merge-patch+json")
        self._expect(status, answer, path)

    def delete(self, path: str, grace_seconds: int | None = None) -> None:
        """Deletes what is at the path, an object or all of a list; nothing there is fine too."""
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        status, body = self._ask("DELETE", path, options, "application/json")
        if status != http.client.NOT_FOUND:
            self._expect(status, body, path)

    def _expect(self, status: int, body: Body, path: str) -> Body:
        if status >= http.client.BAD_REQUEST:
            raise TwinError(f"the twin's API answered {status} to {path}: {body.get('message', body)}")
        return body

    def _ask(self, method: str, path: str, body: Body | None = None, kind: str = "") -> tuple[int, Body]:
        text = json.dumps(body).encode() if body is not None else None
        for attempt in (1, 2):  # a connection that was kept may have been closed meanwhile
            kept = self._connection is not None
            try:
                connection = self._connect()
                connection.request(method, path, text, {"Content-Type": kind} if kind else {})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                if not kept or attempt == 2:
                    raise UnreachableError(
                        f"the twin's API at {self.layout.api_url} does not answer: {error}"
                    ) from error
        raise AssertionError("unreachable")

    def _connect(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            keys = self.layout.keys
            context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
            context.load_cert_chain(str(keys / "admin.crt"), str(keys / "admin.key"))
            self._connection = http.client.HTTPSConnection(
                self.layout.server_address, API_PORT, timeout=patience(_PATIENCE), context=context
            )
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wait_until(
    what: str, reached: Callable[[], bool], seconds: float, why_not: Callable[[], str], pause: float = 0.2
) -> None:
    """Asks every `pause` seconds. Raises TwinError with the reason when the time is over.

    `seconds` are those of a machine with two idle cores; :func:`patience` makes them this machine's.
    """
    limit = patience(seconds)
    deadline = time.monotonic() + limit
    while True:
        try:
            if reached():
                return
        except UnreachableError:  # a daemon that ended is started again: time will show
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            slow = f"if this machine is only slow, set {VARIABLE} to a factor for all such limits"
            raise TwinError(f"{what}: not within {limit:.0f} s\n{why_not()}\n{slow}")
        time.sleep(pause)


def ready_pods(pods: list[Body]) -> list[Body]:
    """Those pods that are ready and not on their way out."""
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)]


def _is_ready(item: Body) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def node_is_ready(api: Api) -> bool:
    return any(_is_ready(node) for node in api.items("/api/v1/nodes"))


def why_unready(pods: list[Body]) -> str:
    """One line a pod that is not ready: its name and what holds it up."""
    lines = []
    for pod in pods:
        if _is_ready(pod):
            continue
        states = [
            f"{kind}: {detail.get('reason', '')} {detail.get('message', '')}".strip()
            for status in pod.get("status", {}).get("containerStatuses", [])
            for kind, detail in status.get("state", {}).items()
        ]
        phase = pod.get("status", {}).get("phase", "unknown")
        lines.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: {'; '.join(states) or phase}")
    return "\n".join(lines) or "no pod is there yet"
