"""A connection to the API server of the stack's cluster, and of no other."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode, urlsplit

from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kubeconfig import Access, access

__all__ = ["Api", "ApiError", "Response", "UnreachableError", "connect", "identity"]

Parameters = Mapping[str, Any]


class Target(Protocol):
    """Which cluster is meant, and for how long to wait for it (the stack's `cluster`)."""

    @property
    def context(self) -> str:
        """The context of the kubeconfig."""

    @property
    def request_timeout(self) -> int:
        """Seconds for one request."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the API server, read to its end."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, decoded."""
        import orjson

        return orjson.loads(self.content)


class Api:
    """Requests to one API server; usable from several threads at once. Connections are kept and used again."""

    def __init__(self, entry: Access, timeout: float) -> None:
        self.server = entry.server
        self._entry = entry
        self._timeout = timeout
        address = urlsplit(entry.server)
        self._host = address.hostname or ""
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._prefix = address.path.rstrip("/")
        self._tls = entry.tls()
        self._authorization = entry.authorization()
        self._idle: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """The answer to a GET: decoded where it is JSON, else its text.

        :raises ApiError: with what the server said.
        """
        response = self.request("GET", path, parameters)
        return response.json() if "json" in response.headers.get("content-type", "") else response.text

    def request(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """The response to any request that succeeded.

        :raises ApiError: with what the server said.
        """
        target = self._prefix + path + (f"?{urlencode(parameters)}" if parameters else "")
        response = self._answer(method, target, dict(headers or {}), body)
        if response.status_code == 401 and self._entry.user.get("exec"):
            # The token of a credential helper runs out; the helper knows how to get the next.
            self._authorization = self._entry.authorization()
            response = self._answer(method, target, dict(headers or {}), body)
        if response.status_code >= 400:
            raise ApiError(
                f"the API server {self.server} refuses {method} {path}: {_words(response)}",
                "nothing was changed by this request",
                _remedy(response.status_code),
                status=response.status_code,
                reason=_words(response),
            )
        return response

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        headers.setdefault("Accept", "application/json")
        if self._authorization:
            headers["Authorization"] = self._authorization
        while True:
            kept = bool(self._idle)
            try:
                connection = self._idle.pop() if kept else self._open()
            except IndexError:
                continue
            except (OSError, UnicodeError) as err:
                raise self._unreachable(err) from err
            try:
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (http.client.HTTPException, OSError) as err:
                connection.close()
                # A connection that was kept may have been closed by the server meanwhile; ask again on a new one.
                # What may have changed something is never sent twice.
                if kept and method in ("GET", "HEAD") and not isinstance(err, TimeoutError):
                    continue
                raise self._unreachable(err) from err
            if answer.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def _open(self) -> http.client.HTTPConnection:
        proxy = self._proxy()
        host, port = (proxy.hostname or "", proxy.port or 3128) if proxy else (self._host, self._port)
        if self._tls is None:
            plain = http.client.HTTPConnection(host, port, timeout=self._timeout)
            plain.connect()
            return plain
        name = self._entry.cluster.get("tls-server-name")
        connection: http.client.HTTPSConnection
        if name:
            connection = _Renamed(host, port, timeout=self._timeout, context=self._tls)
            connection.server_name = str(name)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        if proxy:
            connection.set_tunnel(self._host, self._port)
        connection.connect()
        return connection

    def _proxy(self) -> Any:
        """The proxy that the kubeconfig names for this cluster. The environment's proxies are for other things."""
        named = self._entry.cluster.get("proxy-url")
        return urlsplit(str(named)) if named else None

    def _unreachable(self, err: Exception) -> UnreachableError:
        words: dict[type[Exception], str] = {
            ConnectionRefusedError: "connection refused",
            TimeoutError: f"no answer within {self._timeout:g} s",
            UnicodeError: "that is no name of a host",
        }
        said = next((text for kind, text in words.items() if isinstance(err, kind)), None)
        reason = said or getattr(err, "strerror", None) or str(err) or type(err).__name__
        if isinstance(err, ssl.SSLCertVerificationError):
            return UnreachableError(
                f"the API server {self.server} is not the one that the kubeconfig knows: {err.verify_message}",
                "nothing could be read, and nothing was changed",
                "fetch the kubeconfig from the server again; after a reinstall its certificates are new",
            )
        return UnreachableError(
            f"the API server {self.server} does not answer: {reason}",
            "nothing could be read, and nothing was changed",
            "check that the server is up and KUBECONFIG names its address (`kubectl get --raw /readyz`)",
        )


class _Renamed(http.client.HTTPSConnection):
    """A connection to a server whose certificate carries another name than its address (`tls-server-name`)."""

    server_name = ""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined]
        self.sock = context.wrap_socket(self.sock, server_hostname=self.server_name)


def connect(cluster: Target) -> Api:
    """A connection to the cluster that the stack names.

    The kubeconfig is ``KUBECONFIG`` or ``~/.kube/config``, as for kubectl; the context is the stack's, whichever is
    current. Nothing is asked of the server yet.

    :raises ApiError: where there is no such kubeconfig or context, or it is not usable.
    """
    return Api(access(cluster.context), cluster.request_timeout)


def identity(api: Api) -> str:
    """The UID of the cluster's kube-system namespace: as good as its name, since a cluster has none."""
    return str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def _words(response: Response) -> str:
    try:
        message = str(response.json().get("message", ""))
    except (ValueError, AttributeError):
        message = response.text
    said = " ".join(message.split())[:200] or http.client.responses.get(response.status_code, "")
    return f"{response.status_code} {said}".strip()


def _remedy(status: int) -> str:
    if status == 401:
        return "the kubeconfig's credentials are not accepted: fetch it from the server again"
    if status == 403:
        return "the kubeconfig's user may not do this: use one that may"
    return ""
