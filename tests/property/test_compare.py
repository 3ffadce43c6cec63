"""The comparison over any two structures: settling what was found gives what was declared, and equals give nothing."""

from operator import itemgetter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster.compare.finding import ABSENT, Change, FindingClass
from flowmaster.compare.path import covers, render
from flowmaster.compare.three_way import Schema, apply, compare, same

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab.", max_size=3)
names = st.sampled_from(["name", "value", "items", "labels", "tags", "ports", "a", "b.c"])
structures = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=20
)


def elements(*keys: str) -> st.SearchStrategy[list[Any]]:
    """Lists of maps with different keys, as a server stores them."""
    key: dict[str, st.SearchStrategy[Any]] = {
        name: st.integers(1, 4) if name == "port" else st.sampled_from("wxyz") for name in keys
    }
    rest: dict[str, st.SearchStrategy[Any]] = {"value": structures, "from": scalars}
    if "name" not in keys:
        rest["name"] = st.sampled_from("pqr")
    element = st.fixed_dictionaries(key, optional=rest)
    return st.lists(element, max_size=4, unique_by=lambda found: tuple(found[key] for key in keys))


SCHEMA = Schema(
    fields={
        "env": Schema(keys=("name",), items=Schema(union=frozenset({"value", "from"}))),
        "steps": Schema(keys=("name",), ordered=True),
        "ports": Schema(keys=("port", "protocol"), alias="name"),
        "labels": Schema(open=True),
        "tags": Schema(scalars=True),
    }
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "env": elements("name"),
        "steps": elements("name"),
        "ports": elements("port", "protocol"),
        "labels": st.dictionaries(names, scalars, max_size=3),
        "tags": st.lists(st.text("ab", max_size=2), max_size=3),
        "free": structures,
    },
)


def plain(value: dict[str, Any]) -> dict[str, Any]:
    """The object with everything in one order and nothing that is empty where empty means absent."""
    result = dict(value)
    for name, keys in (("env", ("name",)), ("ports", ("port", "protocol"))):
        # by what tells them apart: sorted by all they hold, 1 and True, which are the same, would stand in two places
        result[name] = sorted(value.get(name, []), key=itemgetter(*keys))
    tags = value.get("tags", [])
    result["tags"] = sorted(tags) if len(set(tags)) == len(tags) else tags
    result["steps"] = value.get("steps", [])
    result["labels"] = value.get("labels", {})
    return result


@settings(max_examples=400)
@given(structures, structures, structures)
def test_settling_any_two_structures_gives_the_declared_one(declared: Any, live: Any, applied: Any) -> None:
    for before in (ABSENT, applied, declared, live):
        assert apply(compare(declared, live, before), live) == declared


@settings(max_examples=600)
@given(objects, objects, objects)
def test_settling_keyed_lists_gives_the_declared_ones(
    declared: dict[str, Any], live: dict[str, Any], applied: dict[str, Any]
) -> None:
    differences = compare(declared, live, applied, SCHEMA)
    settled = apply(differences, live)
    assert plain(settled) == plain(declared)
    assert compare(declared, settled, applied, SCHEMA) == []


@given(structures, structures)
def test_equal_structures_give_nothing(value: Any, applied: Any) -> None:
    assert compare(value, value, applied) == []
    assert same(value, value)


@given(objects, objects, st.randoms())
def test_the_order_of_keyed_lists_means_nothing(value: dict[str, Any], applied: dict[str, Any], random: Any) -> None:
    shuffled = dict(value)
    for name in {"env", "ports"} & value.keys():
        shuffled[name] = random.sample(value[name], len(value[name]))
    assert compare(value, shuffled, applied, SCHEMA) == []


@given(objects, objects)
def test_comparing_does_not_change_what_it_compares(declared: dict[str, Any], live: dict[str, Any]) -> None:
    before = repr((declared, live))
    apply(compare(declared, live, ABSENT, SCHEMA), live)
    assert repr((declared, live)) == before


@given(structures, structures)
def test_what_was_applied_and_not_touched_is_never_drift(declared: Any, live: Any) -> None:
    assert {found.cls for found in compare(declared, live, live)} <= {FindingClass.PENDING}


@given(structures, structures)
def test_what_the_program_did_not_change_is_never_pending(declared: Any, live: Any) -> None:
    assert {found.cls for found in compare(declared, live, declared)} <= {FindingClass.DRIFT, FindingClass.FOREIGN}


@given(objects, objects)
def test_each_place_is_found_once_and_on_the_right_side(declared: dict[str, Any], live: dict[str, Any]) -> None:
    differences = compare(declared, live, ABSENT, SCHEMA)
    paths = [found.path for found in differences]
    assert len(set(paths)) == len(paths)
    for found in differences:
        assert (found.change is Change.ADDED) == (found.declared is ABSENT)
        assert (found.change is Change.MISSING) == (found.live is ABSENT)
        assert covers(render(found.path[:1]), render(found.path))
