"""What a person needs is checked item by item; what cannot be checked is named, what is missing has a remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from config import load
from config.errors import UserError
from config.settings import Settings
from flowmaster.cluster.connection import Response
from flowmaster.cluster.errors import ApiError
from flowmaster.drift import doctor
from flowmaster.drift.doctor import Check

UID = "6e3ad5a8"


class Server:
    """An API server that allows everything, unless a test says otherwise."""

    server = "https://10.77.0.2:6443"

    def __init__(self, *, allowed: bool = True, ahead: float = 0.0, registry: bool = True, uid: str = UID) -> None:
        self.allowed, self.ahead, self.registry, self.uid = allowed, ahead, registry, uid

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str, _: object = None) -> Any:
        if path == "/version":
            return {"gitVersion": "v1.34.2"}
        if path == "/api/v1/nodes":
            return {"items": [{"metadata": {"name": "demo"}}]}
        if path.endswith("/proxy/v2/"):
            if not self.registry:
                raise ApiError("502 Bad Gateway", "", "start the registry", status=502)
            return {}
        assert path == "/api/v1/namespaces/kube-system"
        return {"metadata": {"uid": self.uid}}

    def request(self, method: str, _path: str, *_: object) -> Response:
        if method == "POST":
            return Response(201, {}, b'{"status": {"allowed": %s}}' % (b"true" if self.allowed else b"false"))
        return Response(200, {"date": formatdate(time.time() + self.ahead, usegmt=True)}, b"{}")


@pytest.fixture
def settings() -> Settings:
    found = load.from_file("demo")
    cluster = found.stack.cluster.model_copy(update={"uid": UID})
    return Settings(
        name="demo", stack=found.stack.model_copy(update={"cluster": cluster}), catalogue=found.catalogue, environ={}
    )


def cluster(settings: Settings, server: Server) -> dict[str, Check]:
    def connect() -> Any:
        return server

    return {check.name: check for check in doctor.cluster(settings, connect)}


def test_all_is_well(settings: Settings) -> None:
    found = cluster(settings, Server())
    assert list(found) == ["kubeconfig", "cluster", "permissions", "registry", "clock of the cluster"]
    assert not [check for check in found.values() if check.problem or check.skipped or not check.found]


@pytest.mark.parametrize(
    ("server", "name", "words"),
    [
        (Server(uid="other"), "cluster", "points to cluster other"),
        (Server(allowed=False), "permissions", "may not patch deployments"),
        (Server(registry=False), "registry", "502 Bad Gateway"),
        (Server(ahead=600), "clock of the cluster", "ahead of the one here"),
        (Server(ahead=-600), "clock of the cluster", "behind the one here"),
    ],
)
def test_one_problem_is_one_line_with_a_remedy(settings: Settings, server: Server, name: str, words: str) -> None:
    found = cluster(settings, server)
    assert [check.name for check in found.values() if check.problem] == [name]
    assert words in found[name].problem
    assert found[name].remedy


def test_without_the_api_server_the_rest_is_not_checked(settings: Settings) -> None:
    def refused() -> Any:
        raise ApiError("connection refused", "", "start it")

    first, *rest = doctor.cluster(settings, refused)
    assert (first.name, first.problem, first.remedy) == ("kubeconfig", "connection refused", "start it")
    assert len(rest) == 4
    assert all(check.skipped and not check.found for check in rest)


def facts(**nginx: Any) -> dict[str, Any]:
    state = {"installed": True, "pid": 7, "test": {"ok": True, "words": ""}, **nginx}
    return {"hostname": "demo", "time": time.time(), "nginx": state}


@pytest.mark.parametrize(
    ("read", "problems"),
    [
        (facts, {}),
        (lambda: facts(installed=False), {"nginx": "nginx is not installed"}),
        (lambda: facts(test={"ok": False, "words": "[emerg] no\nmore"}), {"nginx": "nginx -t fails: [emerg] no"}),
        (lambda: {**facts(), "time": 0}, {"clock of the server": "clock is"}),
    ],
)  # fmt: skip
def test_the_server(settings: Settings, read: Callable[[], dict[str, Any]], problems: dict[str, str]) -> None:
    found = {check.name: check for check in doctor.server(settings, read)}
    assert {name for name, check in found.items() if check.problem} == problems.keys()
    assert all(words in found[name].problem for name, words in problems.items())


def test_a_server_that_does_not_let_anybody_in(settings: Settings) -> None:
    def refused() -> dict[str, Any]:
        raise UserError("HOST KEY CHANGED", "", "ask its owner")

    first, *rest = doctor.server(settings, refused)
    assert (first.problem, first.remedy) == ("HOST KEY CHANGED", "ask its owner")
    assert all(check.skipped for check in rest)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("echo v3.274.1", ""),
        ("echo v3.10.0", "version 3.10.0 is too old"),
        ("echo nothing", "does not say its version"),
        ("exit 3", "does not say its version"),
    ],
)
def test_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: str) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\n{said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = next(iter(doctor.tools()))
    assert check.name == "pulumi"
    assert expected in check.problem
    assert bool(check.problem) == bool(expected) == bool(check.remedy)


def test_a_tool_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [check.problem for check in doctor.tools()] == ["pulumi is not on PATH", "ssh is not on PATH"]


def test_groups_are_made_together_and_told_in_order() -> None:
    def first() -> Any:
        time.sleep(0.05)
        yield Check("first", "here")

    assert [check.name for check in doctor.every([first, lambda: iter([Check("second", "here")])])] == [
        "first",
        "second",
    ]
