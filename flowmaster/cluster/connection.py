"""Connects to the API server of the stack's cluster, and to no other."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode, urlsplit

from flowmaster.cluster.credentials import Credential, Credentials, Pair
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kubeconfig import Access, access
from flowmaster.cluster.transport import Connection, proxy_for, tls_context

__all__ = ["Api", "ApiError", "Response", "UnreachableError", "connect", "identity"]

Parameters = Mapping[str, Any]


class Target(Protocol):
    """The cluster to connect to, and the timeout (the stack's `cluster`)."""

    @property
    def context(self) -> str:
        """The kubeconfig context."""

    @property
    def request_timeout(self) -> int:
        """Timeout of one request, in seconds."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response of the API server."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, parsed as JSON."""
        import orjson

        return orjson.loads(self.content)


class Api:
    """A client of one API server. Thread-safe; connections are pooled."""

    def __init__(self, entry: Access, timeout: float) -> None:
        self.server = entry.server
        self._entry = entry
        self._timeout = timeout
        self._credentials = Credentials(entry)
        self._certificate: Pair | None = None
        self._tls: ssl.SSLContext | None = None
        self._idle: list[Connection] = []
        try:
            self._url = urlsplit(entry.server)
            self._proxy = proxy_for(self._url, entry.cluster.get("proxy-url"))
            known = self._url.port != 0 and self._url.scheme in ("http", "https")
        except ValueError as err:
            raise entry.unusable(str(err)) from err
        if not known:
            raise entry.unusable(f"server {entry.server} is not an address that starts with https:// or http://")
        # Errors in the kubeconfig are found before any request.
        self._secure(self._credentials.get())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close pooled connections."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Send a GET; returns the parsed JSON, or the text if it is not JSON.

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
        """Send a request and return the response.

        :raises ApiError: with what the server said.
        """
        target = self._url.path.rstrip("/") + path + (f"?{urlencode(parameters)}" if parameters else "")
        credential = self._credentials.get()
        response = self._answer(method, target, headers or {}, body, credential)
        if response.status_code == 401 and self._credentials.renewable:
            credential = self._credentials.renew(credential)
            response = self._answer(method, target, headers or {}, body, credential)
        if response.status_code >= 400:
            raise ApiError(
                f"the API server {self.server} refuses {method} {path}: {_words(response)}",
                "nothing was changed by this request",
                _remedy(response.status_code),
                status=response.status_code,
                reason=_words(response),
            )
        return response

    def _answer(
        self, method: str, target: str, headers: Parameters, body: bytes | None, credential: Credential
    ) -> Response:
        sent = HTTPMessage()
        for name, value in ({"Accept": "application/json"} | dict(headers)).items():
            sent[name] = value
        for name, value in self._credentials.headers(credential):
            sent[name] = value
        self._secure(credential)
        while True:
            kept = bool(self._idle)
            try:
                connection = self._idle.pop() if kept else self._open()
            except IndexError:
                continue
            except (OSError, UnicodeError) as err:
                raise self._unreachable(err) from err
            try:
                connection.request(method, target, body, sent)  # type: ignore[arg-type]  # a name may be there twice
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

    def _secure(self, credential: Credential) -> None:
        """Use the client certificate of these credentials; closes connections with another certificate."""
        if self._url.scheme != "https" or (self._tls and credential.certificate == self._certificate):
            return
        cluster = self._entry.cluster
        authority = self._entry.content(cluster, "certificate-authority")
        try:
            tls = tls_context(authority, credential.certificate, verify=not cluster.get("insecure-skip-tls-verify"))
        except (OSError, ValueError) as err:
            # ssl.SSLError is an OSError; its text names the reason, the certificate itself is not repeated.
            raise self._entry.unusable(f"its certificates: {err}") from err
        self._tls, self._certificate = tls, credential.certificate
        self.close()

    def _open(self) -> Connection:
        name = self._entry.cluster.get("tls-server-name")
        connection = Connection(
            self._url, self._timeout, tls=self._tls, name=str(name) if name else None, proxy=self._proxy
        )
        connection.connect()
        return connection

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
        way = f" through {self._proxy}" if self._proxy else ""
        return UnreachableError(
            f"the API server {self.server} does not answer{way}: {reason}",
            "nothing could be read, and nothing was changed",
            "check that the server is up and KUBECONFIG names its address (`kubectl get --raw /readyz`)",
        )


def connect(cluster: Target) -> Api:
    """Connect to the cluster of the stack.

    The kubeconfig is ``KUBECONFIG`` or ``~/.kube/config``, as for kubectl; the context is the stack's, whichever is
    current. Nothing is asked of the server yet.

    :raises ApiError: where there is no such kubeconfig or context, or it is not usable.
    """
    return Api(access(cluster.context), cluster.request_timeout)


def identity(api: Api) -> str:
    """Return the UID of the kube-system namespace, which identifies a cluster."""
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
