"""Moves that are killed, or fail, at every single thing they do: nothing is lost, and the next run finishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.compose import Phase
from config.errors import UserError
from flowmaster.migrate.move import MoveError, Mover
from tests.unit.migrate.world import MOVED, Killed, World

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
MOVES = [
    (DOCKER, SHADOW),
    (SHADOW, CLUSTER),
    (CLUSTER, RETIRED),
    (RETIRED, CLUSTER),
    (CLUSTER, SHADOW),
    (SHADOW, DOCKER),
    (DOCKER, RETIRED),
    (RETIRED, DOCKER),
]
MOST = 200


def run(world: World, target: Phase, said: list[str] | None = None) -> float | None:
    """One update, as Pulumi makes it."""
    world.heal(target)
    mover: Any = Mover(world, world, MOVED, (said if said is not None else []).append)  # type: ignore[arg-type]
    seconds: float | None = mover.reach(target)
    if target is DOCKER:
        world.pods = 0
    return seconds


def in_phase(phase: Phase, **more: Any) -> World:
    """A world that was moved there, with some data."""
    world = World(**more)
    world.people()
    run(world, phase)
    world.settled(phase)
    world.refused_writes = 0
    return world


def at(number: int, error: BaseException) -> Callable[[str], None]:
    """Raise this at the time with that number that anything is begun or done."""
    count = iter(range(MOST))

    def disturb(_: str) -> None:
        if next(count) == number:
            raise error

    return disturb


def disturbed(before: Phase, after: Phase, number: int, error: BaseException, **more: Any) -> World | None:
    """A world in which a move was cut short at that point; None where it has no such point any more."""
    world = in_phase(before, **more)
    world.disturb = at(number, error)
    try:
        run(world, after)
    except (Killed, UserError):
        world.disturb = lambda _: None
        return world
    return None


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_move_refuses_no_read_and_loses_nothing(before: Phase, after: Phase) -> None:
    world, said = in_phase(before), list[str]()
    run(world, after, said)
    world.settled(after)
    assert world.refused_reads == []
    assert said[-1] == f"sdx: is in phase {after}"
    quiet = {frozenset((DOCKER, SHADOW)), frozenset((CLUSTER, RETIRED))}
    assert (world.refused_writes == 0) == (frozenset((before, after)) in quiet)


@pytest.mark.parametrize(("before", "after"), MOVES)
@pytest.mark.parametrize("back", [False, True])
def test_a_move_that_is_killed_anywhere_is_finished_or_taken_back(before: Phase, after: Phase, back: bool) -> None:
    points = 0
    for number in range(MOST):
        world = disturbed(before, after, number, Killed())
        if world is None:
            break
        points += 1
        world.people()
        target = before if back else after
        run(world, target)
        world.settled(target)
        assert world.refused_reads == [], f"killed at {number}"
    assert points > 3


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_move_that_is_killed_twice_is_finished(before: Phase, after: Phase) -> None:
    for first in range(0, MOST, 2):
        for second in range(0, MOST, 3):
            world = disturbed(before, after, first, Killed())
            if world is None:
                return
            world.disturb = at(second, Killed())
            try:
                run(world, after)
            except Killed:
                world.disturb = lambda _: None
                run(world, after)
            else:
                world.disturb = lambda _: None
                world.settled(after)
                break
            world.settled(after)


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_whatever_fails_it_serves_on_and_the_next_run_finishes(before: Phase, after: Phase) -> None:
    for number in range(MOST):
        world = disturbed(before, after, number, UserError("something failed", "", ""))
        if world is None:
            break
        refused = world.refused_writes
        world.people()
        if not world.journal["move"]:
            assert world.refused_writes == refused, f"writes are refused after {number}"
        run(world, after)
        world.settled(after)
        assert world.refused_reads == [], f"failed at {number}"


@pytest.mark.parametrize("flushes", [1, 2])
def test_what_is_written_while_it_is_stopped_is_copied_too(flushes: int) -> None:
    world = in_phase(SHADOW)
    world.flushes = flushes
    said = list[str]()
    # for the second copy the cluster's pods stand still: only then reads wait
    run(world, CLUSTER, said)
    world.settled(CLUSTER)
    assert any("changed while docker was stopped" in line for line in said)


@pytest.mark.parametrize("number", range(0, 60, 2))
def test_what_is_written_while_it_is_stopped_survives_a_kill(number: int) -> None:
    world = in_phase(SHADOW)
    world.flushes = 1
    world.disturb = at(number, Killed())
    try:
        run(world, CLUSTER)
    except Killed:
        world.disturb = lambda _: None
        run(world, CLUSTER)
    world.settled(CLUSTER)


def test_what_was_not_translated_is_refused_before_anything_is_done() -> None:
    world = in_phase(SHADOW)
    world.foreign = True
    with pytest.raises(MoveError) as refused:
        run(world, CLUSTER)
    assert "sdx-other is a container that was not translated" in str(refused.value)
    assert "it is back in phase shadow" in str(refused.value)
    world.settled(SHADOW)


def test_the_way_back_needs_no_more_than_the_containers() -> None:
    world = in_phase(CLUSTER)
    world.foreign = True
    run(world, SHADOW)
    world.foreign = False
    world.settled(SHADOW)


def test_a_firewall_that_lets_through_to_docker_alone_is_noticed() -> None:
    world = in_phase(DOCKER)
    world.heal(SHADOW)
    mover: Any = Mover(world, world, MOVED, [].append, lambda _: not world.rules)  # type: ignore[arg-type]
    with pytest.raises(MoveError) as refused:
        mover.reach(SHADOW)
    assert "port 8010 no longer answers from this machine" in str(refused.value)
    assert "allow 8010 and 18010" in str(refused.value)
    world.pods = 0
    world.settled(DOCKER)


def test_a_firewall_that_lets_through_beside_the_ports_alone_is_noticed() -> None:
    world = in_phase(SHADOW)
    world.heal(CLUSTER)
    mover: Any = Mover(world, world, MOVED, [].append, lambda _: world.rules)  # type: ignore[arg-type]
    with pytest.raises(MoveError, match="cluster serves; only the cleanup is left"):
        mover.reach(CLUSTER)
    assert world.rules
    run(world, CLUSTER)
    world.settled(CLUSTER)


def test_what_somebody_started_or_stopped_is_put_right() -> None:
    world = in_phase(SHADOW)
    world.docker_runs = world.rules = False
    run(world, SHADOW)
    world.settled(SHADOW)
    world = in_phase(CLUSTER)
    world.docker_runs = True
    run(world, CLUSTER)
    world.settled(CLUSTER)
    world.restart = True
    run(world, CLUSTER)
    world.settled(CLUSTER)
