"""Kubeconfig files: which server a context means, and with which credentials it is entered.

Read here rather than by a client library because every `flowmaster drift` starts with it: the libraries take longer
to import than the server takes to answer.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import closest
from flowmaster.cluster.errors import ApiError

EXEC_TIMEOUT = 60
"""Seconds that a credential helper may take; it may have to wait for a person."""


@dataclass(frozen=True)
class Access:
    """One context: the server's address and everything needed to be let in."""

    context: str
    server: str
    source: Path
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)

    def authorization(self) -> str | None:
        """The value of the Authorization header, if the credentials are of that kind.

        :raises ApiError: where a token file cannot be read or a credential helper fails.
        """
        user = self.user
        if user.get("tokenFile"):
            try:
                return f"Bearer {self._path(user['tokenFile']).read_text().strip()}"
            except OSError as err:
                raise self._unusable(f"tokenFile {user['tokenFile']}: {err.strerror}") from err
        if user.get("token"):
            return f"Bearer {user['token']}"
        if user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        if user.get("exec"):
            token = self._helper().get("token")
            return f"Bearer {token}" if token else None
        if user.get("auth-provider"):
            raise self._unusable("auth-provider was removed from Kubernetes; use a credential helper (exec)")
        return None

    def tls(self) -> ssl.SSLContext | None:
        """How the connection is secured: the server is always verified, unless the kubeconfig says not to.

        :raises ApiError: where a certificate or key cannot be read.
        """
        if not self.server.startswith("https:"):
            return None
        try:
            authority = self._blob(self.cluster, "certificate-authority")
            context = ssl.create_default_context(cadata=authority.decode() if authority else None)
            if self.cluster.get("insecure-skip-tls-verify"):
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            certificate, key = self._client_certificate()
            if certificate and key:
                with _as_file(certificate) as first, _as_file(key) as second:
                    context.load_cert_chain(first, second)
        except (OSError, ValueError) as err:
            # ssl.SSLError is an OSError; its text names the reason, the certificate itself is not repeated.
            raise self._unusable(f"its certificates: {err}") from err
        return context

    def _client_certificate(self) -> tuple[bytes | None, bytes | None]:
        certificate = self._blob(self.user, "client-certificate")
        if certificate is None and self.user.get("exec") and not self.user.get("token"):
            status = self._helper()
            pair = status.get("clientCertificateData"), status.get("clientKeyData")
            return tuple(part.encode() if part else None for part in pair)  # type: ignore[return-value]
        return certificate, self._blob(self.user, "client-key")

    def _blob(self, entry: Mapping[str, Any], name: str) -> bytes | None:
        if entry.get(f"{name}-data"):
            return base64.b64decode(entry[f"{name}-data"])
        return self._path(entry[name]).read_bytes() if entry.get(name) else None

    def _path(self, name: str) -> Path:
        return self.source.parent / Path(name).expanduser()

    def _helper(self) -> dict[str, Any]:
        spec = self.user["exec"]
        environment = {**os.environ, **{entry["name"]: entry["value"] for entry in spec.get("env") or ()}}
        version = spec.get("apiVersion", "client.authentication.k8s.io/v1")
        question = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environment["KUBERNETES_EXEC_INFO"] = json.dumps(question)
        command = [spec["command"], *(spec.get("args") or ())]
        try:
            result = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True, timeout=EXEC_TIMEOUT
            )
            return dict(json.loads(result.stdout)["status"])
        except subprocess.CalledProcessError as err:
            words = " ".join(err.stderr.split())[-200:]
            raise self._unusable(f"credential helper {command[0]} ended with {err.returncode}: {words}") from err
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as err:
            raise self._unusable(f"credential helper {command[0]}: {type(err).__name__}") from err

    def _unusable(self, words: str) -> ApiError:
        return ApiError(
            f"{self.source}: context {self.context!r} is not usable: {words}",
            "the server would not let anybody in this way",
            "correct that entry, or fetch the kubeconfig from the server again",
        )


def files() -> list[Path]:
    """The kubeconfigs in force, as for kubectl: those of `KUBECONFIG`, or `~/.kube/config`."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in named or ["~/.kube/config"]]


def access(context: str, sources: list[Path] | None = None) -> Access:
    """What the kubeconfigs say about a context; of an entry that is there twice, the first counts.

    :raises ApiError: where there is no kubeconfig, none with this context, or what it names is not there.
    """
    sources = files() if sources is None else sources
    present = [path for path in sources if path.is_file()]
    if not present:
        raise _no_kubeconfig(sources[0], "no such file")
    documents = [(path, _read(path)) for path in present]
    contexts = _named(documents, "contexts", "context")
    where = ", ".join(map(str, present))
    if context not in contexts:
        raise ApiError(
            f"{where}: there is no context {context!r}{closest(context, contexts)}",
            f"this stack is for that cluster and no other; contexts there: {', '.join(contexts) or 'none'}",
            "set KUBECONFIG to the kubeconfig of this cluster, or correct flowmaster:cluster.context",
        )
    _, chosen = contexts[context]
    source, cluster = _referred(documents, "clusters", "cluster", chosen.get("cluster"), context)
    user: Mapping[str, Any] = {}
    if chosen.get("user"):
        source, user = _referred(documents, "users", "user", chosen["user"], context)
    return Access(context, str(cluster.get("server", "")), source, cluster, user)


def _referred(
    documents: list[tuple[Path, Mapping[str, Any]]], section: str, key: str, name: Any, context: str
) -> tuple[Path, Mapping[str, Any]]:
    entries = _named(documents, section, key)
    if name not in entries:
        raise ApiError(
            f"{documents[0][0]}: context {context!r} names the {key} {name!r}, which is not there",
            f"{section} there: {', '.join(entries) or 'none'}",
            "correct that file",
        )
    return entries[name]


def _named(
    documents: list[tuple[Path, Mapping[str, Any]]], section: str, key: str
) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for path, document in documents:
        try:
            for entry in document.get(section) or ():
                found.setdefault(str(entry["name"]), (path, entry.get(key) or {}))
        except (TypeError, KeyError, AttributeError) as err:
            raise _no_kubeconfig(path, f"not a kubeconfig ({section} is not a list of names)") from err
    return found


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  a safe loader
    except OSError as err:
        raise _no_kubeconfig(path, err.strerror or "cannot be read") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise _no_kubeconfig(path, "not valid YAML") from err
    if not isinstance(document, Mapping):
        raise _no_kubeconfig(path, "not a kubeconfig (a mapping is expected)")
    return document


def _no_kubeconfig(path: Path, words: str) -> ApiError:
    return ApiError(
        f"{path}: {words}",
        "it says where the cluster is and with which key to enter",
        "set KUBECONFIG to the kubeconfig of the server (K3s: /etc/rancher/k3s/k3s.yaml)",
    )


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file name for a key that must not be on disk: in memory where the system can, else private and short-lived."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as stream:
            stream.write(content)
            stream.flush()
            yield stream.name
