"""A connection to the API server of the stack's cluster, and of no other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from config.errors import UserError, closest
from config.stack import Cluster


class ApiError(UserError):
    """The API server could not be reached, or would not answer.

    ``status`` is the HTTP status; None where there was no answer at all.
    """

    def __init__(self, found: str, breaks: str = "", remedy: str = "", *, status: int | None = None) -> None:
        super().__init__(found, breaks, remedy)
        self.status = status


class Api:
    """GET requests to one API server; usable from several threads at once."""

    def __init__(self, client: Any, server: str) -> None:
        self._client = client
        self.server = server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The answer to a GET: decoded where it is JSON, else its text.

        :raises ApiError: with what the server said.
        """
        response = self.request("GET", path, parameters)
        if "json" in response.headers.get("content-type", ""):
            return orjson.loads(response.content)
        return response.text

    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """The response to any request that succeeded.

        :raises ApiError: with what the server said.
        """
        import httpx2

        try:
            response = self._client.request(method, path, params=parameters, headers=headers, content=body)
        except httpx2.HTTPError as err:
            raise ApiError(
                f"the API server {self.server} does not answer: {err or type(err).__name__}",
                "nothing could be read, and nothing was changed",
                "check that the server is up and KUBECONFIG names its address (`kubectl get --raw /readyz`)",
            ) from err
        if response.is_error:
            raise ApiError(
                f"the API server {self.server} refuses {method} {path}: {_words(response)}",
                "nothing was changed by this request",
                _remedy(response.status_code),
                status=response.status_code,
            )
        return response


def connect(cluster: Cluster) -> Api:
    """A connection to the cluster that the stack names.

    The kubeconfig is ``KUBECONFIG`` or ``~/.kube/config``, as for kubectl; the context is the stack's, whichever is
    current. Where the stack gives the cluster's UID, any other cluster is refused.

    :raises ApiError: where there is no such kubeconfig or context, no answer, or another cluster answers.
    """
    import httpx2
    from lightkube.config.client_adapter import Client, ConnectionParams
    from lightkube.core.exceptions import ConfigError

    path = kubeconfig_path()
    config = _kubeconfig(path)
    if cluster.context not in config.contexts:
        raise ApiError(
            f"{path}: there is no context {cluster.context!r}{closest(cluster.context, config.contexts)}",
            f"this stack is for that cluster and no other; contexts there: {', '.join(config.contexts) or 'none'}",
            "set KUBECONFIG to the kubeconfig of this cluster, or correct flowmaster:cluster.context",
        )
    try:
        single = config.get(cluster.context)
        client = Client(single, ConnectionParams(timeout=httpx2.Timeout(cluster.request_timeout), trust_env=False))
    except (ConfigError, OSError, ValueError) as err:
        raise ApiError(f"{path}: context {cluster.context!r} is not usable: {err}", "", "correct that file") from err
    return Api(client, single.cluster.server)


def kubeconfig_path() -> Path:
    """The kubeconfig in force: the first of ``KUBECONFIG``, or kubectl's default."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named or "~/.kube/config").expanduser()


def identity(api: Api) -> str:
    """The UID of the cluster's kube-system namespace: as good as its name, since a cluster has none."""
    return str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def _kubeconfig(path: Path) -> Any:
    import yaml
    from lightkube.config.kubeconfig import KubeConfig

    try:
        return KubeConfig.from_file(path)
    except Exception as err:
        if not path.is_file():
            words = "no such file"
        else:
            words = "not valid YAML" if isinstance(err, yaml.YAMLError) else f"not a kubeconfig ({err})"
        raise ApiError(
            f"{path}: {words}",
            "it says where the cluster is and with which key to enter",
            "set KUBECONFIG to the kubeconfig of the server (K3s: /etc/rancher/k3s/k3s.yaml)",
        ) from err


def _words(response: Any) -> str:
    try:
        message = str(orjson.loads(response.content).get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        message = response.text
    return f"{response.status_code} {' '.join(message.split())[:200]}".strip()


def _remedy(status: int) -> str:
    if status == 401:
        return "the kubeconfig's credentials are not accepted: fetch it from the server again"
    if status == 403:
        return "the kubeconfig's user may not do this: use one that may"
    return ""
