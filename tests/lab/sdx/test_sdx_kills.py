"""The exchange of SDX killed at every step, in both directions: nothing is lost, and the next run goes on."""

from __future__ import annotations

import pytest

from config.compose import Phase
from flowmaster.migrate import steps
from tests.lab.operate import Operator
from tests.lab.sdx.kills import killed
from tests.lab.server import Server
from tests.lab.test_faults import Update

FORWARDS, BACKWARDS = (Phase.SHADOW, Phase.CLUSTER), (Phase.CLUSTER, Phase.SHADOW)
KILLS = (range(steps.CHECK, steps.START), range(steps.START, steps.COMPARE), range(steps.COMPARE, steps.FINISH + 1))
"""Each move is killed at each of these steps, one after the other, before it may finish."""


# to and fro, so that each begins where the one before ended
@pytest.mark.parametrize("way", [FORWARDS, BACKWARDS], ids=["forwards", "backwards"])
@pytest.mark.parametrize("at", KILLS, ids=[f"{at[0]}-{at[-1]}" for at in KILLS])
def test_killed_at_steps_of_the_exchange_it_is_finished_by_the_next_run(
    operator: Operator, server: Server, begun: list[Update], way: tuple[Phase, Phase], at: range
) -> None:
    killed(operator, server, begun, way, at, end=way[1])
