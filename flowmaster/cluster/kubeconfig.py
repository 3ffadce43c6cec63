"""Reads kubeconfig files by kubectl's rules: the server of a context, and its credentials.

Source: client-go's `tools/clientcmd` (loader, validation and merge rules). docs/speed.md has the figures of the client
libraries, and why none of them is used.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import closest
from flowmaster.cluster.errors import ApiError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_FILES = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key", "tokenFile")}
"""Fields with a file name, relative to the kubeconfig that contains them."""

Documents = list[tuple[Path, Mapping[str, Any]]]


@dataclass(frozen=True)
class Access:
    """One context: the URL of the server, and its credentials. All paths are absolute."""

    context: str
    server: str
    source: Path
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)

    def content(self, entry: Mapping[str, Any], name: str) -> bytes | None:
        """Return the PEM text from `NAME-data`, or from the file `NAME`; None if there is neither.

        :raises ApiError: where it cannot be read.
        """
        try:
            if entry.get(f"{name}-data"):
                return base64.b64decode(entry[f"{name}-data"])
            return Path(entry[name]).read_bytes() if entry.get(name) else None
        except OSError as err:
            raise self.unusable(f"{name} {entry[name]}: {err.strerror}") from err
        except (TypeError, ValueError) as err:
            raise self.unusable(f"{name}-data is not Base64") from err

    def unusable(self, words: str) -> ApiError:
        """Return the error for a dangling entry."""
        return ApiError(
            f"{self.source}: context {self.context!r} is not usable: {words}",
            "the server would not let anybody in this way",
            "correct that entry, or fetch the kubeconfig from the server again",
        )


def files() -> list[Path]:
    """Return the kubeconfig files that kubectl would use: those in `KUBECONFIG`, or `~/.kube/config`."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in dict.fromkeys(named) or ["~/.kube/config"]]


def access(context: str, sources: list[Path] | None = None) -> Access:
    """Read a context from the kubeconfig files.

    Of an entry that several files have, the first file's counts as a whole, and files that are not there are passed
    over, as kubectl does.

    :raises ApiError: where there is no kubeconfig, none with this context, what it names is not there, or kubectl would
        not use it either.
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
    source, chosen = contexts[context]
    _, cluster = _referred(documents, "clusters", "cluster", chosen.get("cluster"), context)
    user: Mapping[str, Any] = {}
    if chosen.get("user"):
        source, user = _referred(documents, "users", "user", chosen["user"], context)
    server = str(cluster.get("server") or "").strip()
    found = Access(context, server if "://" in server else f"http://{server}", source, cluster, user)
    if problem := _problem(server, cluster, user):
        raise found.unusable(problem)
    return found


def _problem(server: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> str | None:
    """Return why kubectl would refuse this context; empty if it would not."""
    proxy = str(cluster.get("proxy-url") or "")
    has_certificate = user.get("client-certificate") or user.get("client-certificate-data")
    helper = user.get("exec")
    impersonates = any(user.get(key) for key in ("as-uid", "as-groups", "as-user-extra"))
    authority = cluster.get("certificate-authority") or cluster.get("certificate-authority-data")
    problems = {
        "its cluster has no server": not server,
        "proxy-url is not one of http, https or socks5": proxy
        and not proxy.startswith(("http://", "https://", "socks5://")),
        "insecure-skip-tls-verify is set beside a certificate-authority; one of them is wrong": authority
        and cluster.get("insecure-skip-tls-verify"),
        "client-certificate has no client-key": has_certificate
        and not (user.get("client-key") or user.get("client-key-data")),
        "token and username are both there, and only one of them can be sent": user.get("token")
        and (user.get("username") or user.get("password")),
        "exec and auth-provider are both there": helper and user.get("auth-provider"),
        "exec has no command": helper is not None and not (helper or {}).get("command"),
        "as-uid, as-groups or as-user-extra is set without `as`": impersonates and not user.get("as"),
    }
    for entry, name in (
        (cluster, "certificate-authority"),
        *((user, name) for name in ("client-certificate", "client-key") if has_certificate),
    ):
        problems[f"{name} and {name}-data are both there"] = entry.get(name) and entry.get(f"{name}-data")
    return next((words for words, found in problems.items() if found), None)


def _referred(documents: Documents, section: str, key: str, name: Any, context: str) -> tuple[Path, Mapping[str, Any]]:
    entries = _named(documents, section, key)
    if name not in entries:
        raise ApiError(
            f"{documents[0][0]}: context {context!r} names the {key} {name!r}, which is not there",
            f"{section} there: {', '.join(entries) or 'none'}",
            "correct that file",
        )
    return entries[name]


def _named(documents: Documents, section: str, key: str) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for path, document in documents:
        try:
            entries = {str(entry["name"]): _located(path, key, entry.get(key) or {}) for entry in document[section]}
            if len(entries) < len(document[section]):
                raise _no_kubeconfig(path, f"a name is there twice in {section}, which kubectl refuses, too")
        except (TypeError, KeyError, AttributeError) as err:
            if document.get(section) is None:
                continue
            raise _no_kubeconfig(path, f"not a kubeconfig ({section} is not a list of names)") from err
        for name, entry in entries.items():
            found.setdefault(name, (path, entry))
    return found


def _located(path: Path, key: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry with absolute file names, including the command of a helper if it is a path."""
    folder = path.absolute().parent
    located = {name: str(folder / entry[name]) for name in _FILES.get(key, ()) if entry.get(name)}
    helper = entry.get("exec") if key == "user" else None
    if helper and os.sep in str(helper.get("command", "")):
        return {**entry, **located, "exec": {**helper, "command": str(folder / helper["command"])}}
    return {**entry, **located}


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  a safe loader
    except OSError as err:
        raise _no_kubeconfig(path, err.strerror or "cannot be read") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise _no_kubeconfig(path, "not valid YAML") from err
    # An empty file is a kubeconfig without entries for kubectl.
    document = {} if document is None else document
    if not isinstance(document, Mapping):
        raise _no_kubeconfig(path, "not a kubeconfig (a mapping is expected)")
    return document


def _no_kubeconfig(path: Path, words: str) -> ApiError:
    remedy = "set KUBECONFIG to the kubeconfig of the server (K3s: /etc/rancher/k3s/k3s.yaml)"
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").is_file():
        # A context was named, so kubectl and Pulumi do not take the pod's own cluster for it either.
        remedy = "set KUBECONFIG; one that uses this pod's service account is in docs/ci.md"
    return ApiError(f"{path}: {words}", "it says where the cluster is and with which key to enter", remedy)
