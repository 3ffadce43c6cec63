"""From findings to what is done: each object brought back in one write, and what a rule keeps left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.rules import Rule
from flowmaster.cluster.normalise import KEPT, annotation
from flowmaster.cluster.writes import Way
from flowmaster.compare.finding import ABSENT, Action, FindingClass, consequence
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


def test_an_address_that_is_pinned_as_it_is_live_is_no_replacement() -> None:
    server = Server()
    service = "Service/pinned"
    address = server.live.objects[ref(service)]["spec"]["clusterIP"]
    del server.applied[ref(service)]["spec"]["clusterIP"]
    todo = plan_of(server)
    assert todo.as_live == {ref(service): ("spec.clusterIP",)}
    assert todo.steps == {}
    # another one than the live one is a change, which Pulumi may show as what it is
    server.program(service, ("spec", "clusterIP"), f"{address}9")
    assert plan_of(server).as_live == {}


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
        ("annotation added", False),
        ("Service selector", True),
        ("Secret data", True),
        ("paused", True),
    ],
)
def test_the_provider_is_not_asked_to_try_out_what_the_server_would_refuse(name: str, untried: bool) -> None:
    server = Server()
    ROWS[name].change(server)
    [step] = plan_of(server).steps.values()
    assert step.untried is untried


FROZEN = "ConfigMap/settings"


def freeze(server: Server) -> None:
    server.set(FROZEN, ("immutable",), True)


def other_data(server: Server) -> None:
    """What somebody did who made an immutable object again."""
    server.program(FROZEN, ("immutable",), True)
    update(server)
    server.set(FROZEN, ("data", "LOG_LEVEL"), "trace")


def program_data(server: Server) -> None:
    server.program(FROZEN, ("immutable",), True)
    update(server)
    server.program(FROZEN, ("data", "LOG_LEVEL"), "trace")


@pytest.mark.parametrize(
    ("change", "path"),
    [(freeze, "immutable"), (other_data, "data[LOG_LEVEL]"), (program_data, "data[LOG_LEVEL]")],
)
def test_what_is_immutable_is_made_again(change: Callable[[Server], None], path: str) -> None:
    server = Server()
    change(server)
    [finding] = server.findings()
    assert (finding.path, finding.note) == (path, "cannot be changed in place: the ConfigMap is recreated")
    [step] = plan_of(server).steps.values()
    assert (step.way, step.untried) == (Way.REMAKE, True)
    update(server)
    assert server.findings() == []


def test_of_what_is_immutable_the_labels_can_be_changed() -> None:
    server = Server()
    server.program(FROZEN, ("immutable",), True)
    update(server)
    server.set(FROZEN, ("metadata", "labels", "team"), "blue")
    [step] = plan_of(server).steps.values()
    assert step.way is Way.PATCH


def end(server: Server, finalizers: list[str]) -> None:
    """Somebody deletes a Service that a finalizer holds, and changes it besides."""
    server.set("Service/web", ("spec", "selector", "app"), "other")
    metadata = server.live.objects[ref("Service/web")]["metadata"]
    metadata |= {"deletionTimestamp": "2026-11-23T14:00:00Z", "finalizers": finalizers}


@pytest.mark.parametrize(
    ("finalizers", "told"),
    [
        (["example.com/hold"], "being deleted, held by finalizer example.com/hold"),
        (["a", "b"], "being deleted, held by finalizer a, b"),
        ([], "being deleted"),
    ],
)
def test_an_object_that_is_being_deleted_is_made_again_when_it_is_gone(finalizers: list[str], told: str) -> None:
    server = Server()
    end(server, finalizers)
    [finding] = server.findings()
    assert (finding.cls, finding.path, finding.live) == (FindingClass.DRIFT, "", told)
    assert finding.declared == "ClusterIP 9000/TCP 9100/TCP"
    assert consequence(finding) == "up waits until it is gone, then creates it again"
    [step] = plan_of(server).steps.values()
    assert (step.way, step.untried) == (Way.REMAKE, True)
    update(server)
    assert server.findings() == []


def test_an_object_that_is_being_deleted_is_left_alone_where_a_rule_says_so() -> None:
    server = Server()
    end(server, ["example.com/hold"])
    server.rules = (rule(kind="Service", name="web", path=""),)
    assert plan_of(server).empty


def test_a_finalizer_of_somebody_else_stays_while_the_rest_is_healed() -> None:
    server = Server()
    server.set("Service/web", ("metadata", "finalizers"), ["example.com/hold"])
    server.set("Service/web", ("spec", "selector", "app"), "other")
    assert [(f.path, f.action) for f in server.findings()] == [("spec.selector[app]", Action.HEAL)]
    update(server)
    assert server.live.objects[ref("Service/web")]["metadata"]["finalizers"] == ["example.com/hold"]
    assert server.findings() == []


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


@settings(max_examples=150)
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
