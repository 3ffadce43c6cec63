"""What counts as a change of the program: only what the next update really writes, and never a change by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowmaster.compare.finding import ABSENT, OPAQUE, Finding
from tests.unit.drift.server import CONTAINER, POD, Server, named, ref
from tests.unit.drift.test_table import DRIFT, FOREIGN, MAIN, PENDING, TEMPLATE, WEB, env
from tests.unit.heal.updates import plan_of, update

LEVEL = (*CONTAINER, "env", named("LOG_LEVEL"))
REFERRING = {"name": "LOG_LEVEL", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}


def sealed() -> Server:
    """A server whose Deployment has a secret variable, so that the state tells nothing of its containers."""
    server = Server()
    server.applied[ref(WEB)]["spec"]["template"]["spec"]["containers"] = OPAQUE
    return server


def switched(server: Server) -> None:
    """`value` becomes `valueFrom`: the element and its name stay this program's, the rest is kubectl's."""
    server.set(WEB, (*LEVEL, "value"), ABSENT)
    server.set(WEB, (*LEVEL, "valueFrom"), REFERRING["valueFrom"], "kubectl-patch")


def twice(server: Server) -> None:
    """A second variable of the same name: no owner is noted of that."""
    containers = server.live.objects[ref(WEB)]["spec"]["template"]["spec"]["containers"]
    next(c for c in containers if c["name"] == "web")["env"].append(env("LOG_LEVEL", "debug"))


def turned_round(server: Server) -> None:
    """The order of a list: no owner is noted of that either."""
    server.applied[ref(WEB)]["spec"]["template"]["spec"]["initContainers"] = OPAQUE
    server.live.objects[ref(WEB)]["spec"]["template"]["spec"]["initContainers"].reverse()


def only(server: Server) -> Finding:
    [finding] = server.findings()
    return finding


@pytest.mark.parametrize(
    ("change", "path", "manager"),
    [
        (switched, f"{MAIN}.env[LOG_LEVEL]", "kubectl-patch"),
        (twice, f"{MAIN}.env", None),
        (turned_round, f"{TEMPLATE}initContainers", None),
    ],
)
def test_a_change_by_hand_is_none_of_the_program_where_the_state_is_encrypted(
    change: Callable[[Server], None], path: str, manager: str | None
) -> None:
    server = sealed()
    change(server)
    found = only(server)
    assert (found.cls, found.path, found.manager, found.heals) == (DRIFT, path, manager, True)
    assert plan_of(server).covers(found)
    update(server)
    assert server.findings() == []


@pytest.mark.parametrize("manager", ["pulumi-kubernetes-1a2b3c4d", "flowmaster-restore", "flowmaster", "kubectl-label"])
def test_a_name_that_is_like_this_programs_is_somebody_else(manager: str) -> None:
    server = Server()
    server.set(WEB, ("metadata", "labels", "team"), "blue", manager)
    found = only(server)
    assert (found.cls, found.manager, found.heals) == (FOREIGN, manager, True)
    update(server)
    assert server.findings() == []


def applied_by_us(server: Server, value: Any) -> None:
    """A label that was set under this program's own name, which neither the program nor the state has."""
    server.set(WEB, ("metadata", "labels", "team"), value, "flowmaster")
    server.live.objects[ref(WEB)]["metadata"]["managedFields"][-1]["operation"] = "Apply"


def test_what_an_update_that_was_killed_wrote_is_not_pending_once_the_program_gave_it_up() -> None:
    server = Server()
    applied_by_us(server, "blue")
    found = only(server)
    assert (found.cls, found.manager, found.heals) == (FOREIGN, "flowmaster", True)
    update(server)
    assert server.findings() == []


def test_what_was_never_applied_by_this_stack_is_settled_by_its_first_update() -> None:
    server = Server()
    applied_by_us(server, "blue")
    del server.applied[ref(WEB)]
    assert {finding.cls for finding in server.findings()} == {PENDING}


@pytest.mark.parametrize(
    ("path", "value"),
    [((*CONTAINER, "image"), "localhost:30500/web:2"), (LEVEL, ABSENT), ((*CONTAINER, "command"), ["/bin/web"])],
    ids=["changed", "given up", "added"],
)
def test_a_change_of_the_program_is_written_whatever_the_state_tells(path: tuple[Any, ...], value: Any) -> None:
    server = sealed()
    server.program(WEB, path, value)
    found = only(server)
    assert found.cls in (PENDING, DRIFT)
    assert plan_of(server).covers(found)
    update(server)
    assert server.findings() == []


def test_a_change_of_the_program_that_pulumi_sees_is_left_to_it() -> None:
    server = sealed()
    server.program(WEB, (*POD, "terminationGracePeriodSeconds"), 7)
    server.program(WEB, ("spec", "replicas"), 2)
    assert {finding.cls for finding in server.findings()} == {PENDING}
    assert plan_of(server).empty
