"""Connects to an API server, through proxies if needed, and verifies its certificate as kubectl does."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    import socket

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SOCKS_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
}


@dataclass(frozen=True)
class Proxy:
    """A proxy between here and the server."""

    url: SplitResult
    named_by: str
    """Where it is configured: `proxy-url`, or the name of an environment variable."""

    @property
    def socks(self) -> bool:
        """Whether it is a SOCKS 5 proxy; otherwise it is an HTTP proxy."""
        return self.url.scheme.startswith("socks")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the proxy."""
        return self.url.hostname or "", self.url.port or _PORTS[self.url.scheme]

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password from the URL, if any."""
        return (unquote(self.url.username), unquote(self.url.password or "")) if self.url.username else None

    @property
    def headers(self) -> dict[str, str]:
        """The header that authenticates to an HTTP proxy."""
        if self.login is None:
            return {}
        return {"Proxy-Authorization": f"Basic {base64.b64encode(':'.join(self.login).encode()).decode()}"}

    def __str__(self) -> str:
        host, port = self.address
        return f"the proxy {host}:{port} ({self.named_by})"


class Connection(http.client.HTTPConnection):
    """A connection to the API server: direct or through a proxy, plain or with TLS.

    :param name: what the server's certificate has to say; the host of the URL where that is None.
    :param timeout: seconds for each step.
    """

    def __init__(
        self,
        server: SplitResult,
        timeout: float,
        *,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        target = server.hostname or "", server.port or _PORTS.get(server.scheme, 80)
        over_http = proxy is not None and not proxy.socks
        super().__init__(*(proxy.address if proxy and over_http else target), timeout=timeout)
        self.default_port = _PORTS.get(server.scheme, 80)
        self._target, self._tls, self._name, self._proxy = target, tls, name or target[0], proxy
        if proxy and over_http:
            self.set_tunnel(*target, headers=proxy.headers)

    def connect(self) -> None:
        """Open the connection.

        :raises OSError: where the server or the proxy does not answer, or is not who it should be.
        """
        if self._proxy and self._proxy.socks:
            self.sock = _through_socks(self._proxy, *self._target, self.timeout or 0)
        else:
            super().connect()
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def tls_context(authority: bytes | None, pair: tuple[bytes, bytes] | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return the TLS configuration of the connection.

    The verdict about the server is that of kubectl, whose TLS (Go's) differs from Python's defaults: it asks no key
    usage of an authority (Python does since 3.13), takes any certificate of the kubeconfig as an anchor, and knows a
    server by its alternative names only, never by its common name.

    :param authority: PEM text; the system's authorities where that is None.
    :param pair: client certificate and key, PEM text each.
    :raises OSError, ValueError: where a certificate or key cannot be read.
    """
    context = ssl.create_default_context(cadata=authority.decode("ascii", "ignore") if authority else None)
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if pair:
        with _as_file(pair[0]) as certificate, _as_file(pair[1]) as key:
            context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("the client key is encrypted")


def proxy_for(server: SplitResult, proxy_url: str | None) -> Proxy | None:
    """Return the proxy for a server, as kubectl does: `proxy-url`, else HTTPS_PROXY or HTTP_PROXY, less NO_PROXY.

    :raises ValueError: where it is of a kind that is not known here.
    """
    if proxy_url:
        found = Proxy(urlsplit(proxy_url), "proxy-url")
    else:
        variable = f"{server.scheme}_proxy"
        names = [name for name in (variable.upper(), variable) if os.environ.get(name)]
        if not names or _is_excepted(server):
            return None
        value = os.environ[names[0]]
        found = Proxy(urlsplit(value if "://" in value else f"http://{value}"), names[0])
    if found.url.scheme not in ("http", "socks5", "socks5h"):
        raise ValueError(f"{found}: {found.url.scheme} proxies are not supported, only http and socks5")
    return found


def _is_excepted(server: SplitResult) -> bool:
    """Return whether NO_PROXY covers the server. Loopback addresses never use a proxy."""
    import ipaddress

    host, port = (server.hostname or "").rstrip("."), server.port or _PORTS.get(server.scheme, 80)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    for entry in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").lower().split(","):
        pattern = entry.strip()
        if pattern == "*":
            return True
        if address and "/" in pattern:
            try:
                if address in ipaddress.ip_network(pattern, strict=False):
                    return True
            except ValueError:
                continue
        name, _, wanted_port = pattern.rpartition(":") if pattern.count(":") == 1 else (pattern, "", "")
        name = name.strip("[]").removeprefix("*")
        if not name or (wanted_port and wanted_port != str(port)):
            continue
        if host == name or (not address and host.endswith(name if name.startswith(".") else f".{name}")):
            return True
    return False


def _through_socks(proxy: Proxy, host: str, port: int, timeout: float) -> socket.socket:
    """Connect through a SOCKS 5 proxy, which resolves the name itself (RFC 1928, RFC 1929)."""
    import socket

    sock = socket.create_connection(proxy.address, timeout)
    try:
        problem = _ask_socks(sock, proxy.login, host, port)
    except BaseException:
        sock.close()
        raise
    if problem:
        sock.close()
        raise OSError(problem)
    return sock


def _ask_socks(sock: socket.socket, login: tuple[str, str] | None, host: str, port: int) -> str | None:
    """Request a connection from the proxy; raises with the proxy's reason if it refuses."""
    import ipaddress

    methods = b"\x00\x02" if login else b"\x00"
    sock.sendall(bytes([5, len(methods)]) + methods)
    version, method = _exactly(sock, 2)
    if version != 5:
        return "it does not speak SOCKS 5"
    if method == 2 and login:
        user, password = (part.encode()[:255] for part in login)
        sock.sendall(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        if _exactly(sock, 2)[1]:
            return "it does not accept the user and password of its URL"
    elif method:
        return "it wants a login that its URL does not have"
    try:
        address = ipaddress.ip_address(host)
        target = bytes([1 if address.version == 4 else 4]) + address.packed
    except ValueError:
        name = host.encode("idna")
        target = bytes([3, len(name)]) + name
    sock.sendall(b"\x05\x01\x00" + target + port.to_bytes(2, "big"))
    _, refusal, _, kind = _exactly(sock, 4)
    if refusal:
        return _SOCKS_REFUSALS.get(refusal, f"SOCKS error {refusal}")
    # The address that it has bound is of no use.
    _exactly(sock, ({1: 4, 4: 16}.get(kind) or _exactly(sock, 1)[0]) + 2)
    return None


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise OSError("the proxy closed the connection")
        data += part
    return data


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield a file name for a key that must not stay on disk: in memory if possible, else a private temporary file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        import tempfile

        with tempfile.NamedTemporaryFile() as stream:
            stream.write(content)
            stream.flush()
            yield stream.name
