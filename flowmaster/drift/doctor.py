"""Checks everything that a person's machine needs to work with a stack. Only reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from config.errors import UserError
from config.settings import Settings
from flowmaster.cluster.connection import Api
from flowmaster.drift.preflight import check_identity, node_name
from flowmaster.drift.registry import registry_path

OLDEST_PULUMI = (3, 250)
"""The oldest Pulumi that this project works with, as in pyproject.toml."""
OLDEST_SSH = (8, 5)
"""The oldest OpenSSH client that takes the options of a pinned host key."""
CLOCK_SECONDS = 30.0
"""Difference between two clocks from which times in reports mislead, and certificates may not be valid yet."""
_NODE_LOCAL = "localhost:"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Check:
    """Result of one check. `problem` and `remedy` are empty if it passed; `skipped` says why it was not made."""

    name: str
    found: str = ""
    problem: str = ""
    remedy: str = ""
    skipped: str = ""


def tools() -> Iterator[Check]:
    """Check the programs of this machine."""
    yield _tool("pulumi", ["pulumi", "version"], OLDEST_PULUMI, "https://www.pulumi.com/docs/install, or `make demo`")
    yield _tool("ssh", ["ssh", "-V"], OLDEST_SSH, "install OpenSSH's client (apt-get install openssh-client)")


def _tool(name: str, command: Sequence[str], oldest: tuple[int, ...], remedy: str) -> Check:
    if shutil.which(command[0]) is None:
        return Check(name, problem=f"{name} is not on PATH", remedy=f"install it: {remedy}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        return Check(name, problem=f"{name} does not run: {err}", remedy=f"install it again: {remedy}")
    said = (done.stdout + done.stderr).strip()
    match = _VERSION.search(said)
    if done.returncode or match is None:
        return Check(name, problem=f"{name} does not say its version: {said[:80]}", remedy=remedy)
    version = tuple(int(part or 0) for part in match.groups())
    if version[: len(oldest)] < oldest:
        return Check(
            name, problem=f"version {match[0]} is too old", remedy=f"{'.'.join(map(str, oldest))} or later: {remedy}"
        )
    return Check(name, found=match[0])


def cluster(settings: Settings, connect: Callable[[], Api]) -> Iterator[Check]:
    """Check the kubeconfig, the cluster's identity, the user's rights, and the registry on the node."""
    try:
        api = connect()
        version = api.get("/version")
    except UserError as err:
        yield _failed("kubeconfig", err)
        for name in ("cluster", "permissions", "registry", "clock of the cluster"):
            yield Check(name, skipped="the API server cannot be asked")
        return
    with api:
        yield Check(
            "kubeconfig", f"context {settings.stack.cluster.context}: {api.server}, {version.get('gitVersion')}"
        )
        yield _asked("cluster", lambda: _identity(settings, api))
        yield _asked("permissions", lambda: _permissions(settings, api))
        yield _asked("registry", lambda: _registry(settings, api))
        yield _asked("clock of the cluster", lambda: _clock("the API server's", _api_time(api)))


def server(settings: Settings, read: Callable[[], Mapping[str, Any]]) -> Iterator[Check]:
    """Check SSH with its host key, sudo, python3, nginx and the clock of the server.

    :param read: makes one `read` request; returns its raw answer.
    """
    names = ("server over SSH", "nginx", "clock of the server")
    if settings.stack.reverse_proxy is None and not settings.stack.compose:
        yield from (Check(name, skipped="the stack declares nothing on the server") for name in names)
        return
    try:
        facts = read()
    except UserError as err:
        yield _failed(names[0], err)
        yield from (Check(name, skipped="the server cannot be asked") for name in names[1:])
        return
    yield Check(names[0], f"{facts['hostname']}: host key verified, root by sudo or login, python3")
    yield _asked(names[1], lambda: _nginx(facts["nginx"]))
    yield _asked(names[2], lambda: _clock("the server's", float(facts["time"])))


def _nginx(nginx: Mapping[str, Any]) -> str:
    if not nginx["installed"]:
        raise UserError("nginx is not installed", remedy="apt-get install nginx")
    if not nginx["test"]["ok"]:
        raise UserError(f"nginx -t fails: {nginx['test']['words'].splitlines()[0]}", remedy="see `flowmaster drift`")
    return "runs, configuration valid" if nginx.get("pid") else "configuration valid, but nginx does not run"


def _identity(settings: Settings, api: Api) -> str:
    check_identity(settings, api)
    uid = settings.stack.cluster.uid
    return f"UID {uid}" if uid else "any: the stack names no UID (flowmaster:cluster.uid, which `adopt` writes)"


_RIGHTS = (
    ("apps", "deployments", "patch"),
    ("", "services", "patch"),
    ("", "secrets", "list"),
    ("", "pods", "list"),
    ("", "nodes/proxy", "get"),
)


def _permissions(settings: Settings, api: Api) -> str:
    """Ask the API server for some rights of each sort."""
    missing = []
    for group, whole, verb in _RIGHTS:
        resource, _, subresource = whole.partition("/")
        attributes = {"group": group, "resource": resource, "verb": verb}
        attributes |= {"subresource": subresource} if subresource else {"namespace": settings.namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = api.request("POST", path, None, {"Content-Type": "application/json"}, json.dumps(body).encode()).json()
        if not answer["status"]["allowed"]:
            missing.append(f"{verb} {whole}")
    if missing:
        raise UserError(
            f"the kubeconfig's user may not {', '.join(missing)}",
            remedy="ask the cluster's owner for these rights; reports say what they cannot read",
        )
    return "may read and write what the program declares"


def _registry(settings: Settings, api: Api) -> str:
    registry = settings.catalogue.registry.partition("/")[0]
    if not registry.startswith(_NODE_LOCAL):
        return f"{registry}: only the nodes ask it"
    api.get(f"{registry_path(node_name(api), registry)}/")
    return f"{registry} answers on the node"


def _api_time(api: Api) -> float:
    date = api.request("GET", "/version").headers.get("date", "")
    return parsedate_to_datetime(date).timestamp()


def _clock(whose: str, at: float) -> str:
    ahead = at - time.time()
    if abs(ahead) > CLOCK_SECONDS:
        raise UserError(
            f"{whose} clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the one here",
            remedy="have both synchronised (timedatectl set-ntp true)",
        )
    return f"within {max(abs(ahead), 1):.0f} s"


def _asked(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name, ask())
    except UserError as err:
        return _failed(name, err)


def _failed(name: str, err: UserError) -> Check:
    return Check(name, problem=err.found, remedy=err.remedy or err.breaks)


def every(groups: Sequence[Callable[[], Iterator[Check]]]) -> list[Check]:
    """Make all groups of checks at the same time; returns the results in order."""
    with ThreadPoolExecutor(len(groups)) as pool:
        return [check for found in pool.map(_listed, groups) for check in found]


def _listed(group: Callable[[], Iterator[Check]]) -> list[Check]:
    return list(group())
