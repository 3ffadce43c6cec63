"""Credentials of a kubeconfig user: request headers and client certificate, renewed when they expire."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowmaster.cluster.kubeconfig import Access

HELPER_TIMEOUT = 300
"""Timeout of a credential helper without a terminal, in seconds. It may wait for a browser."""

TOKEN_FILE_AGE = 60
"""Seconds until a token file is read again: the kubelet renews the token of a pod in place."""

_VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))
_MODES = ("Never", "IfAvailable", "Always")
_HEADER_NAME = "!#$&'*+-.^_`|~"
_EXPIRY_MARGIN = 10
"""Seconds before its expiry at which an OIDC token counts as expired, as in kubectl."""

Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Credential:
    """An Authorization header, a client certificate with its key, or both."""

    authorization: str | None = None
    certificate: Pair | None = None
    expires: float | None = None
    """Expiry in seconds since 1970; None if unknown."""


class Credentials:
    """The credentials of one context. Thread-safe: a helper runs once for all threads."""

    def __init__(self, entry: Access) -> None:
        self._entry = entry
        self._lock = threading.Lock()
        self._current: Credential | None = None
        self._impersonation = _impersonation(entry.user)

    @property
    def renewable(self) -> bool:
        """Whether new credentials can be obtained after the server rejected these."""
        user = self._entry.user
        return bool(user.get("tokenFile") or _uses_helper(user))

    def get(self) -> Credential:
        """Return the current credentials.

        :raises ApiError: where a file cannot be read or a credential helper fails.
        """
        with self._lock:
            current = self._current
            if current is None or (current.expires is not None and time.time() >= current.expires):
                current = self._current = self._obtain()
            return current

    def renew(self, refused: Credential) -> Credential:
        """Return new credentials after the server rejected these; another thread may have renewed them."""
        with self._lock:
            if self._current is refused:
                self._current = None
        return self.get()

    def headers(self, credential: Credential) -> list[tuple[str, str]]:
        """Return the headers that authenticate a request."""
        said = credential.authorization
        return [*([("Authorization", said)] if said else []), *self._impersonation]

    def _obtain(self) -> Credential:
        user = self._entry.user
        if not self._entry.server.lower().startswith("https:"):
            # As for kubectl: nothing secret goes over a connection that anybody can read.
            return Credential()
        certificate = self._entry.content(user, "client-certificate")
        key = self._entry.content(user, "client-key")
        pair = (certificate, key) if certificate and key else None
        if user.get("token") or user.get("tokenFile"):
            expires = time.time() + TOKEN_FILE_AGE if user.get("tokenFile") else None
            return Credential(f"Bearer {self._token()}", pair, expires)
        if user.get("username") or user.get("password"):
            text = f"{user.get('username', '')}:{user.get('password', '')}"
            return Credential(f"Basic {base64.b64encode(text.encode()).decode()}", pair)
        if pair is None and user.get("exec"):
            return self._ask_helper(user["exec"])
        if user.get("auth-provider"):
            return Credential(*self._oidc(user["auth-provider"], pair))
        return Credential(None, pair)

    def _token(self) -> str:
        """Return the token from the token file, or the inline token if the file cannot be read."""
        user = self._entry.user
        try:
            if user.get("tokenFile") and (token := Path(user["tokenFile"]).read_text().strip()):
                return token
            if user.get("token"):
                return str(user["token"])
        except (OSError, UnicodeDecodeError) as err:
            if not user.get("token"):
                words = getattr(err, "strerror", None) or "not text"
                raise self._entry.unusable(f"tokenFile {user['tokenFile']}: {words}") from err
            return str(user["token"])
        raise self._entry.unusable(f"tokenFile {user['tokenFile']}: empty")

    def _oidc(self, provider: Mapping[str, Any], pair: Pair | None) -> tuple[str, Pair | None, float]:
        """Return the OIDC token in the kubeconfig. Only kubectl refreshes it, since it writes the kubeconfig."""
        if provider.get("name") != "oidc":
            raise self._entry.unusable(
                f"auth-provider {provider.get('name')!r} was removed from Kubernetes; use a credential helper (exec)"
            )
        token = str((provider.get("config") or {}).get("id-token") or "")
        try:
            claims = token.split(".")[1]
            expires = float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
        except (IndexError, ValueError, KeyError, TypeError):
            expires = 0.0
        if time.time() >= expires - _EXPIRY_MARGIN:
            raise self._entry.unusable(
                "the token of auth-provider oidc has run out; `kubectl get --raw /readyz` gets the next one"
            )
        return f"Bearer {token}", pair, expires - _EXPIRY_MARGIN

    def _ask_helper(self, spec: Mapping[str, Any]) -> Credential:
        import subprocess

        version = str(spec.get("apiVersion"))
        if version not in _VERSIONS:
            raise self._entry.unusable(f"exec.apiVersion is {version}; allowed: {', '.join(_VERSIONS)}")
        interactive = self._interactive(spec)
        command = [str(spec["command"]), *map(str, spec.get("args") or ())]
        own = {str(entry["name"]): str(entry["value"]) for entry in spec.get("env") or ()}
        # What a helper says to a person (a code to type in, a page to visit) must get there.
        seen = sys.stderr.isatty()
        try:
            result = subprocess.run(
                command,
                env={**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(self._question(spec, interactive))},
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if seen else subprocess.PIPE,
                text=True,
                check=True,
                timeout=None if seen else HELPER_TIMEOUT,
            )
        except subprocess.CalledProcessError as err:
            words = " ".join((err.stderr or "see above").split())[-200:]
            raise self._helper_failed(spec, f"ended with {err.returncode}: {words}") from err
        except subprocess.TimeoutExpired as err:
            raise self._helper_failed(spec, f"did not end within {HELPER_TIMEOUT} s") from err
        except OSError as err:
            hint = " ".join(
                "".join(c for c in str(spec.get("installHint") or "") if c.isprintable() or c == "\n").split()
            )
            raise self._helper_failed(spec, f"{err.strerror}{f'; {hint}' if hint else ''}") from err
        return self._helper_answer(spec, version, result.stdout)

    def _interactive(self, spec: Mapping[str, Any]) -> bool:
        version, mode = spec.get("apiVersion"), spec.get("interactiveMode")
        mode = mode or ("IfAvailable" if version != _VERSIONS[0] else None)
        if mode not in _MODES:
            raise self._entry.unusable(f"exec.interactiveMode is {mode}; allowed: {', '.join(_MODES)}")
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if mode == "Always" and not terminal:
            raise self._helper_failed(spec, "wants to ask somebody (interactiveMode Always), and this is no terminal")
        return mode != "Never" and terminal

    def _question(self, spec: Mapping[str, Any], interactive: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"interactive": interactive}
        if spec.get("provideClusterInfo"):
            cluster = self._entry.cluster
            keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
            authority = self._entry.content(cluster, "certificate-authority")
            body["cluster"] = {key: cluster[key] for key in keys if cluster.get(key)}
            if authority:
                body["cluster"]["certificate-authority-data"] = base64.b64encode(authority).decode()
            for extension in cluster.get("extensions") or ():
                if extension["name"] == "client.authentication.k8s.io/exec":
                    body["cluster"]["config"] = extension["extension"]
        return {"kind": "ExecCredential", "apiVersion": spec["apiVersion"], "spec": body}

    def _helper_answer(self, spec: Mapping[str, Any], version: str, output: str) -> Credential:
        try:
            answer = json.loads(output)
            status = dict(answer["status"])
            if answer.get("apiVersion") != version:
                raise self._helper_failed(spec, f"answers in {answer.get('apiVersion')}, and {version} was asked for")
            expiry = status.get("expirationTimestamp")
            expires = datetime.fromisoformat(expiry).timestamp() if expiry else None
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise self._helper_failed(spec, "does not answer with an ExecCredential that has a status") from err
        token, certificate, key = (status.get(k) for k in ("token", "clientCertificateData", "clientKeyData"))
        if not (token or certificate or key) or bool(certificate) != bool(key):
            raise self._helper_failed(spec, "gives neither a token nor a certificate with its key")
        pair = (str(certificate).encode(), str(key).encode()) if certificate else None
        return Credential(f"Bearer {token}" if token else None, pair, expires)

    def _helper_failed(self, spec: Mapping[str, Any], words: str) -> Exception:
        return self._entry.unusable(f"credential helper {spec['command']} {words}")


def _uses_helper(user: Mapping[str, Any]) -> bool:
    others = ("token", "username", "password", "client-certificate", "client-certificate-data")
    return bool(user.get("exec")) and not any(user.get(key) for key in others)


def _impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the impersonation headers for `as` and related fields."""
    if not user.get("as"):
        return []
    headers = [("Impersonate-User", str(user["as"]))]
    if user.get("as-uid"):
        headers.append(("Impersonate-Uid", str(user["as-uid"])))
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
    for key, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{quote(str(key), safe=_HEADER_NAME)}", str(value)) for value in values]
    return headers
