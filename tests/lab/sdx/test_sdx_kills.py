"""Moves of SDX that are killed: nothing is lost, and the next run goes on, or takes the move back.

The exchange is killed at every step, in both directions. What moves it is what Pulumi's provider calls, in a process of
its own; each kind of kill and of end goes through `pulumi up`, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.compose import Phase
from flowmaster.migrate import steps
from tests.lab.operate import Operator
from tests.lab.sdx.kills import Engine, be_in, finished, killed
from tests.lab.sdx.mover import Mover
from tests.lab.server import Server

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
FORWARDS, BACKWARDS = (SHADOW, CLUSTER), (CLUSTER, SHADOW)
KILLS = (range(steps.CHECK, steps.START), range(steps.START, steps.COMPARE), range(steps.COMPARE, steps.FINISH + 1))
"""Each exchange is killed at each of these steps, one after the other, before it may finish."""


@pytest.fixture
def engine(operator: Operator) -> Iterator[Engine]:
    """What is left of its updates is ended after the test."""
    engine = Engine(operator)
    yield engine
    for update in engine.begun:
        update.clean_up()


# -- by Pulumi -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "at", "end"),
    [
        (DOCKER, SHADOW, [2], SHADOW),
        (SHADOW, CLUSTER, [steps.START, steps.SERVE_READS], CLUSTER),
        (CLUSTER, SHADOW, [steps.SERVE_READS], CLUSTER),
        (CLUSTER, SHADOW, [steps.COPY], CLUSTER),
    ],
    ids=["no exchange", "all of it, then the command alone", "the command alone, taken back", "all of it, taken back"],
)
def test_an_update_that_is_killed_is_finished_or_taken_back_by_the_next_one(
    engine: Engine, server: Server, before: Phase, after: Phase, at: list[int], end: Phase
) -> None:
    be_in(engine, server, before)
    killed(engine, server, after, at, end=end)


# -- by what the provider calls ------------------------------------------------------------------------------------


# to and fro, so that each begins where the one before ended
@pytest.mark.parametrize("way", [BACKWARDS, FORWARDS], ids=["backwards", "forwards"])
@pytest.mark.parametrize("at", KILLS, ids=[f"{at[0]}-{at[-1]}" for at in KILLS])
def test_an_exchange_killed_at_each_step_is_finished_by_the_next_run(
    engine: Engine, mover: Mover, server: Server, way: tuple[Phase, Phase], at: range
) -> None:
    be_in(engine, server, way[0])
    killed(mover, server, way[1], at, end=way[1])


@pytest.mark.parametrize("step", [steps.COPY, steps.SERVE_READS, steps.OPEN])
@pytest.mark.parametrize("way", [FORWARDS[::-1], FORWARDS], ids=["backwards", "forwards"])
def test_an_exchange_killed_at_a_step_can_be_taken_back(
    engine: Engine, mover: Mover, server: Server, way: tuple[Phase, Phase], step: int
) -> None:
    be_in(engine, server, way[0])
    killed(mover, server, way[1], [step], end=way[0])


# each of these moves has as many steps; left alone, it would be over before it is killed again
@pytest.mark.parametrize(("before", "after", "count"), [(CLUSTER, RETIRED, 3), (RETIRED, CLUSTER, 1)])
def test_another_move_killed_at_each_step_is_finished_by_the_next_run(
    engine: Engine, mover: Mover, server: Server, before: Phase, after: Phase, count: int
) -> None:
    be_in(engine, server, before)
    killed(mover, server, after, range(1, count + 1), end=after)


def test_what_begins_or_ends_in_docker_killed_at_each_step_is_finished_by_the_next_run(
    engine: Engine, mover: Mover, server: Server
) -> None:
    be_in(engine, server, SHADOW)
    # what is in the cluster stays there: only an update takes it away, and makes it
    mover.reach(DOCKER)
    killed(mover, server, SHADOW, range(1, 4), end=SHADOW)
    killed(mover, server, DOCKER, range(1, 3), end=DOCKER, last=engine)


def test_after_all_of_it_the_stack_is_as_declared(engine: Engine, server: Server) -> None:
    engine.reach(SHADOW)
    finished(engine.operator, server, SHADOW)
    assert engine.operator.preview("--expect-no-changes").changes == {}
