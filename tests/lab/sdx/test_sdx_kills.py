"""Moves of SDX that are killed, at every step and in both directions: nothing is lost, and the next run finishes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from config.compose import Phase
from migration import steps
from tests.lab import compose
from tests.lab.compose import Users, phase
from tests.lab.operate import Operator
from tests.lab.server import Server
from tests.lab.test_faults import Update

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
EXCHANGE = range(1, steps.FINISH + 1)


@pytest.fixture
def begun() -> Iterator[list[Update]]:
    """Updates that were begun; what is left of them is ended after the test."""
    updates: list[Update] = []
    yield updates
    for update in updates:
        update.clean_up()


def kill_at(operator: Operator, begun: list[Update], step: int, *, everything: bool) -> Update:
    """Begin an update, and kill it when it says that it is at a step: all of it, or the command alone."""
    update = Update(operator)
    begun.append(update)
    update.reached(rf"ComposePhase sdx updating[\s\S]*sdx: step {step} of ", 180)
    update.kill()
    if everything:
        for child in update.children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return update


def be_in(operator: Operator, server: Server, word: Phase) -> None:
    """Have SDX in a phase before a test, whatever was left of the one before."""
    found = compose.journal(server)
    if found["phase"] != word or found["move"]:
        operator.run("flowmaster", "unlock")
        phase(operator, word, skip=True)
        operator.up()


def finishes(operator: Operator, server: Server, word: Phase) -> None:
    """The next run is in the right state at its end."""
    operator.run("flowmaster", "unlock")
    operator.up()
    found = compose.journal(server)
    assert (found["phase"], found["move"], found["run"]) == (word, None, None)
    running = server.sh("docker ps --filter name=sdx --format '{{.Names}}'").split()
    assert len(running) == (3 if word in (DOCKER, SHADOW) else 0)
    # that previews are empty in each phase is tested by moves that nobody kills
    assert operator.report()["findings"] == []


NAMES = {
    (DOCKER, SHADOW): "to-shadow",
    (SHADOW, DOCKER): "to-docker",
    (SHADOW, CLUSTER): "forwards",
    (CLUSTER, SHADOW): "backwards",
    (CLUSTER, RETIRED): "to-retired",
    (RETIRED, CLUSTER): "made-again",
}
# to and fro, so that each begins where the one before ended
ORDER = [
    *[(*way, step) for step in (1, 2) for way in ((DOCKER, SHADOW), (SHADOW, DOCKER))],
    (DOCKER, SHADOW, 3),
    *[(*way, step) for step in EXCHANGE for way in ((SHADOW, CLUSTER), (CLUSTER, SHADOW))],
    *[(CLUSTER, RETIRED, step) for step in (1, 2, 3)],
    (RETIRED, CLUSTER, 1),
]
CASES = [pytest.param(*case, id=f"{NAMES[case[:2]]}-{case[2]}") for case in ORDER]


@pytest.mark.parametrize(("before", "after", "step"), CASES)
def test_killed_at_a_step_it_is_finished_by_the_next_run(
    operator: Operator, server: Server, begun: list[Update], before: Phase, after: Phase, step: int
) -> None:
    be_in(operator, server, before)
    phase(operator, after, skip=False)
    with Users(server.access.address) as users:
        kill_at(operator, begun, step, everything=step % 2 == 0)
        time.sleep(0.5)
        finishes(operator, server, after)
        users.settle()
    assert users.wrong == []
    assert users.missing() == []
    assert users.refused_reads == []


@pytest.mark.parametrize("step", [steps.COPY, steps.READS, steps.OPEN])
@pytest.mark.parametrize(("before", "after"), [(SHADOW, CLUSTER), (CLUSTER, SHADOW)])
def test_killed_at_a_step_it_can_be_taken_back(
    operator: Operator, server: Server, begun: list[Update], before: Phase, after: Phase, step: int
) -> None:
    be_in(operator, server, before)
    phase(operator, after, skip=False)
    with Users(server.access.address) as users:
        kill_at(operator, begun, step, everything=True)
        phase(operator, before)
        finishes(operator, server, before)
        users.settle()
    assert users.wrong == []
    assert users.missing() == []
    assert users.refused_reads == []
