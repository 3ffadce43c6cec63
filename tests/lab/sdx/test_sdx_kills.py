"""The exchange of SDX killed at every step, in both directions: nothing is lost, and the next run finishes."""

from __future__ import annotations

import pytest

from config.compose import Phase
from migration import steps
from tests.lab.operate import Operator
from tests.lab.sdx.kills import killed
from tests.lab.server import Server
from tests.lab.test_faults import Update

FORWARDS, BACKWARDS = (Phase.SHADOW, Phase.CLUSTER), (Phase.CLUSTER, Phase.SHADOW)


# to and fro, so that each begins where the one before ended
@pytest.mark.parametrize(
    ("way", "step"),
    [(way, step) for step in range(1, steps.FINISH + 1) for way in (FORWARDS, BACKWARDS)],
    ids=[f"{word}-{step}" for step in range(1, steps.FINISH + 1) for word in ("forwards", "backwards")],
)
def test_killed_at_a_step_of_the_exchange_it_is_finished_by_the_next_run(
    operator: Operator, server: Server, begun: list[Update], way: tuple[Phase, Phase], step: int
) -> None:
    killed(operator, server, begun, way, step, everything=step % 2 == 0, end=way[1])
