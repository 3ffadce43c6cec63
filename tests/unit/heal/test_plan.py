"""From findings to what is done: each object brought back in one write, and what a rule keeps left alone."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.finding import ABSENT, Action, FindingClass
from drift.kubernetes.normalise import KEPT, annotation
from drift.rules import Rule
from heal.plan import Way
from tests.unit.drift.server import CONTAINER, Server, named, ref
from tests.unit.drift.test_table import ROWS, WEB, by_autoscaler, env, scale
from tests.unit.heal.updates import changed, plan_of, update

LIVE = {FindingClass.DRIFT, FindingClass.CONFLICT, FindingClass.FOREIGN}
REPLICAS = Rule(kind="Deployment", path="spec.replicas", action=Action.REPORT)


def rule(**what: object) -> Rule:
    return Rule.model_validate({"action": "report", **what})


def to_heal(server: Server) -> list[str]:
    found = (f for f in server.findings() if f.heals)
    return [f"{finding.cls} {finding.object} {finding.path}" for finding in found]


def replicas(server: Server) -> object:
    return server.live.objects[ref(WEB)]["spec"].get("replicas")


@pytest.mark.parametrize("name", list(ROWS))
def test_an_update_heals_every_row_and_the_next_preview_is_empty(name: str) -> None:
    server = Server()
    ROWS[name].change(server)
    shown = changed(server, plan_of(server))
    assert bool(shown or plan_of(server).deletions) == (ROWS[name].action is Action.HEAL)
    update(server)
    assert to_heal(server) == []
    assert changed(server, plan_of(server)) == set()


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("image", Way.PATCH),
        ("env added", Way.PATCH),
        ("Service port", Way.PATCH),
        ("ExternalName into ClusterIP", Way.PATCH),
        ("Service type", Way.PATCH),
        ("Secret data", Way.PATCH),
        ("Deployment deleted", Way.REMAKE),
        ("Secret deleted", Way.REMAKE),
        ("Service with another ClusterIP", Way.REMAKE),
        ("conflict", Way.PATCH),
    ],
)
def test_in_place_where_that_is_possible(name: str, way: Way) -> None:
    server = Server()
    ROWS[name].change(server)
    [step] = plan_of(server).steps.values()
    assert (step.way, str(step.ref)) == (way, ROWS[name].object)


def test_a_healthy_server_needs_nothing() -> None:
    server = Server()
    assert plan_of(server).empty
    assert changed(server, plan_of(server)) == set()


def test_what_only_the_program_changed_is_pulumis_own_to_do() -> None:
    server = Server()
    ROWS["program change"].change(server)
    assert plan_of(server).empty


def test_drift_and_a_change_of_the_program_are_one_write() -> None:
    server = Server()
    server.set(WEB, (*CONTAINER, "env", named("NEW")), env("NEW", "1"))
    server.program(WEB, (*CONTAINER, "image"), "localhost:30500/web:2")
    [step] = plan_of(server).steps.values()
    assert step.healed is not None
    [main, *_] = step.healed["spec"]["template"]["spec"]["containers"]
    assert main["image"] == "localhost:30500/web:2"
    assert "NEW" not in [variable["name"] for variable in main["env"]]


def test_a_namespace_that_is_gone_is_made_again_with_all_in_it() -> None:
    server = Server()
    ROWS["namespace deleted"].change(server)
    assert {step.way for step in plan_of(server).steps.values()} == {Way.REMAKE}
    assert len(plan_of(server).steps) == len(server.declared)


def test_nothing_is_planned_for_what_could_not_be_read() -> None:
    server = Server()
    server.delete("Secret/keys")
    server.live.unread["Secret"] = "forbidden"
    assert plan_of(server).empty


def test_a_foreign_object_goes_where_a_rule_gives_it_up() -> None:
    server = Server()
    ROWS["foreign ConfigMap"].change(server)
    ROWS["foreign Service"].change(server)
    assert plan_of(server).empty
    server.rules = (rule(kind="ConfigMap", path="", action="heal"), rule(kind="Service", path="spec", action="heal"))
    assert [(step.way, str(step.ref)) for step in plan_of(server).deletions] == [(Way.DELETE, "ConfigMap/x")]


def test_a_summary_names_few_fields_and_no_value() -> None:
    server = Server()
    for number in range(8):
        server.set(WEB, ("metadata", "labels", f"label-{number}"), f"value-{number}")
    [step] = plan_of(server).steps.values()
    assert step.summary.endswith("metadata.labels[label-4] and 3 more")
    assert "value" not in step.summary


@pytest.mark.parametrize(
    ("name", "untried"),
    [
        ("Service port", True),
        ("probe of another sort", True),
        ("env switched to a secret", True),
        ("Deployment deleted", True),
        ("label added", False),
        ("Service selector", False),
        ("Secret data", False),
    ],
)
def test_the_provider_is_not_asked_to_try_out_what_the_server_would_refuse(name: str, untried: bool) -> None:
    server = Server()
    ROWS[name].change(server)
    [step] = plan_of(server).steps.values()
    assert step.untried is untried


# -- what a rule keeps ---------------------------------------------------------------------------------------------


def test_a_kept_value_survives_an_update_of_the_same_object() -> None:
    server = Server()
    server.rules = (REPLICAS,)
    scale(server, 3, "kubectl")
    assert changed(server, plan_of(server)) == set()
    server.set(WEB, ("metadata", "labels", "added"), "yes")
    server.program(WEB, (*CONTAINER, "image"), "localhost:30500/web:2")
    update(server)
    assert replicas(server) == 3
    assert annotation(server.applied[ref(WEB)], KEPT) == "spec.replicas"
    assert to_heal(server) == []
    assert [(str(f.cls), f.path, str(f.action)) for f in server.findings()] == [("drift", "spec.replicas", "report")]
    assert changed(server, plan_of(server)) == set()


@pytest.mark.parametrize("later", [0, 1, 2, 5])
def test_a_kept_value_that_moves_on_is_no_change_of_the_program(later: int) -> None:
    server = Server()
    server.program(WEB, ("spec", "replicas"), 1)
    update(server)
    by_autoscaler(server)
    server.set(WEB, ("metadata", "labels", "added"), "yes")
    update(server)
    assert replicas(server) == 4
    scale(server, later, "kube-controller-manager")
    if later != 0:
        assert [f for f in server.findings() if f.path == "spec.replicas"] == []
        assert changed(server, plan_of(server)) == set()
        assert update(server).empty or replicas(server) == later
    else:
        assert to_heal(server) == [f"drift {WEB} spec.replicas"]
        update(server)
        assert replicas(server) == 1
        assert annotation(server.applied[ref(WEB)], KEPT) == ""


def test_a_kept_value_is_undone_once_no_rule_keeps_it() -> None:
    server = Server()
    server.rules = (REPLICAS,)
    scale(server, 3, "kubectl")
    server.set(WEB, ("metadata", "labels", "added"), "yes")
    update(server)
    server.rules = ()
    assert to_heal(server) == [f"drift {WEB} spec.replicas"]
    update(server)
    assert replicas(server) == 0
    assert changed(server, plan_of(server)) == set()


def test_what_was_removed_and_is_kept_so_stays_removed() -> None:
    server = Server()
    server.rules = (rule(path="**.env[LOG_LEVEL]"),)
    server.set(WEB, (*CONTAINER, "env", named("LOG_LEVEL")), ABSENT)
    server.set(WEB, ("metadata", "labels", "added"), "yes")
    update(server)
    [main, *_] = server.applied[ref(WEB)]["spec"]["template"]["spec"]["containers"]
    assert "LOG_LEVEL" not in [variable["name"] for variable in main["env"]]
    assert changed(server, plan_of(server)) == set()


# -- any changes ---------------------------------------------------------------------------------------------------

PATHS = ["spec.replicas", "metadata.labels", "**.env", "**.image", "spec.ports", "data", "spec.template", "spec", ""]
changes = st.lists(st.sampled_from(sorted(ROWS)), max_size=6, unique=True)
rule_lists = st.lists(
    st.builds(rule, path=st.sampled_from(PATHS), action=st.sampled_from(["report", "ignore", "heal"])), max_size=3
)


def do(server: Server, names: Iterable[str]) -> None:
    # nothing is made in a namespace that is gone
    for name in sorted(names, key=lambda name: name == "namespace deleted"):
        # one change may take away what another would change
        with suppress(KeyError, IndexError, StopIteration, ValueError, TypeError):
            ROWS[name].change(server)


@settings(max_examples=150, deadline=None)
@given(changes, rule_lists)
def test_after_an_update_nothing_is_left_to_heal_and_the_preview_is_empty(names: list[str], rules: list[Rule]) -> None:
    server = Server()
    server.rules = tuple(rules)
    do(server, names)
    kept = {
        (finding.object, finding.path): finding.live
        for finding in server.findings()
        if finding.cls in LIVE and not finding.heals and finding.path
    }
    update(server)
    assert to_heal(server) == []
    left = {(finding.object, finding.path): finding.live for finding in server.findings()}
    assert kept.items() <= left.items() or any(rule_.action is Action.IGNORE for rule_ in rules)
    assert changed(server, plan_of(server)) == set()
