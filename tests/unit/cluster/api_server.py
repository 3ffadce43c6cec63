"""A server of HTTPS or HTTP on loopback that notes how it was asked, and certificates for it, made when a test runs."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    authorization: str | None
    impersonation: tuple[tuple[str, str], ...]
    client: str | None
    """The common name of the client's certificate."""


@dataclass
class ApiServer:
    """A running server: what it was asked, over which connections, and which authorizations it refuses."""

    address: str
    port: int
    asked: list[Asked] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    refused: set[str | None] = field(default_factory=set)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ApiServer]:
    """A server on 127.0.0.1 for as long as the block runs."""
    httpd = _Server(("127.0.0.1", 0), _Handler)
    port = httpd.server_address[1]
    state = ApiServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port)
    httpd.state = state  # type: ignore[attr-defined]
    if tls:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that does not like the certificate hangs up."""


class _Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state: ApiServer = self.server.state  # type: ignore[attr-defined]
        authorization = self.headers.get("Authorization")
        said = sorted((name.lower(), value) for name, value in self.headers.items())
        impersonation = tuple(pair for pair in said if pair[0].startswith("impersonate-"))
        state.asked.append(Asked(self.command, self.path, authorization, impersonation, self._client()))
        state.connections.add(self.client_address)
        status = 200
        body: dict[str, Any] = {"path": self.path, "metadata": {"uid": "the-uid"}}
        if "/refused/" in self.path:
            status, body = int(self.path.rpartition("/")[2]), {"message": "no\nway"}
        elif authorization in state.refused:
            status, body = 401, {"message": "Unauthorized"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        # Closes without a word, as a server does with a connection that was idle for long.
        self.close_connection = "/last" in self.path

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _client(self) -> str | None:
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        certificate: Any = self.connection.getpeercert() or {}
        return next((v for part in certificate.get("subject", ()) for k, v in part if k == "commonName"), None)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, and what it signs."""

    folder: Path
    name: str = "authority"

    @classmethod
    def make(cls, folder: Path, *extensions: str, name: str = "authority") -> Authority:
        """A new one; without extensions it says that it is an authority, and nothing of key usage."""
        made = cls(folder, name)
        _key(made.key)
        usual = extensions or ("basicConstraints=critical,CA:TRUE",)
        # A configuration of our own: the system's adds extensions to authorities.
        (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        _openssl(
            "req", "-x509", "-new", "-key", made.key, "-subj", f"/CN={name}", "-days", "30", "-out", made.certificate,
            "-config", folder / "openssl.cnf", *(f"-addext={one}" for one in usual),
        )  # fmt: skip
        return made

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / f"{self.name}.key"

    @property
    def certificate(self) -> Path:
        """Its certificate."""
        return self.folder / f"{self.name}.crt"

    def sign(self, name: str, names: str | None, *, common: str = "server", days: int = 30) -> tuple[Path, Path]:
        """Certificate and key for a server (or client) with these alternative names, such as `IP:127.0.0.1`."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        _key(key)
        names_of = [f"-addext=subjectAltName={names}"] if names else []
        config: list[str | Path] = ["-config", self.folder / "openssl.cnf"]
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={common}", *config, *names_of, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-days", str(days), "-copy_extensions", "copy", "-out", certificate,
        )  # fmt: skip
        return certificate, key

    def served(self, name: str, names: str | None, **how: Any) -> ssl.SSLContext:
        """TLS of a server with such a certificate, which asks for one of the client's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(name, names, **how))
        context.load_verify_locations(self.certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def _key(path: Path) -> None:
    path.touch(mode=0o600)
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def encoded(path: Path) -> str:
    """The file as the `-data` fields have it."""
    return base64.b64encode(path.read_bytes()).decode()


def kubeconfig(folder: Path, address: str, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig with one context, demo; `_` stands for `-` in the cluster's keys."""
    path = folder / "config"
    entry = {"server": address, **{key.replace("_", "-"): value for key, value in cluster.items()}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": entry}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "demo", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def helper(folder: Path, status: dict[str, Any] | None, *, version: str = "v1", name: str = "helper") -> Path:
    """A credential helper that notes what it is asked, and for which run, and gives this status."""
    answer = {"kind": "ExecCredential", "apiVersion": f"client.authentication.k8s.io/{version}", "status": status}
    script = folder / name
    script.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$KUBERNETES_EXEC_INFO\" >> {folder}/{name}.asked\n"
        f"printf '%s' \"$GREETING $*\" > {folder}/{name}.called\ncat {folder}/{name}.answer\n"
    )
    script.chmod(0o755)
    (folder / f"{name}.answer").write_text(json.dumps(answer))
    return script


def asked(script: Path) -> list[dict[str, Any]]:
    """What a helper was asked, each time."""
    path = script.with_suffix(".asked")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def spec(command: Path | str, **more: Any) -> dict[str, Any]:
    """A user's `exec`."""
    usual = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(command), "interactiveMode": "Never"}
    return {"exec": usual | more}
