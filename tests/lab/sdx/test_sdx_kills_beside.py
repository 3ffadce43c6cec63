"""The other moves of SDX killed at every step, and exchanges that are taken back after a kill: nothing is lost."""

from __future__ import annotations

import pytest

from config.compose import Phase
from flowmaster.migrate import steps
from tests.lab.operate import Operator
from tests.lab.sdx.kills import killed
from tests.lab.server import Server
from tests.lab.test_faults import Update

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
# to and fro, so that each begins where the one before ended
CASES = [(DOCKER, SHADOW, 3), (SHADOW, DOCKER, 2), (CLUSTER, RETIRED, 3), (RETIRED, CLUSTER, 1)]


@pytest.mark.parametrize(("before", "after", "count"), CASES, ids=[f"{before}-{after}" for before, after, _ in CASES])
def test_killed_at_each_step_it_is_finished_by_the_next_run(
    operator: Operator, server: Server, begun: list[Update], before: Phase, after: Phase, count: int
) -> None:
    # left alone, these would be over before they are killed again
    killed(operator, server, begun, (before, after), range(1, count + 1), end=after, alone=False)


@pytest.mark.parametrize("step", [steps.COPY, steps.SERVE_READS, steps.OPEN])
@pytest.mark.parametrize("way", [(CLUSTER, SHADOW), (SHADOW, CLUSTER)], ids=["backwards", "forwards"])
def test_killed_at_a_step_it_can_be_taken_back(
    operator: Operator, server: Server, begun: list[Update], way: tuple[Phase, Phase], step: int
) -> None:
    killed(operator, server, begun, way, [step], end=way[0])
