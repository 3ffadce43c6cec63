"""A move of SDX that is killed at a step, and what has to be so once another run has finished it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from config.compose import Phase
from tests.lab import compose
from tests.lab.compose import Users, phase
from tests.lab.operate import Operator
from tests.lab.server import Server
from tests.lab.test_faults import Update


def kill_at(operator: Operator, begun: list[Update], step: int, *, everything: bool) -> bool:
    """Begin an update, and kill it when it says that it is at a step: all of it, or the command alone.

    False where it ended well without: what was left of the one before had done that step.
    """
    update = Update(operator)
    begun.append(update)
    if not update.comes_to(rf"ComposePhase sdx updating[\s\S]*sdx: step {step} of ", 180):
        return False
    update.kill()
    if everything:
        for child in update.children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return True


def be_in(operator: Operator, server: Server, word: Phase) -> None:
    """Have SDX in a phase before a test, whatever was left of the one before."""
    found = compose.journal(server)
    if found["phase"] != word or found["move"]:
        operator.run("flowmaster", "unlock")
        phase(operator, word, skip=True)
        operator.up()


def finishes(operator: Operator, server: Server, word: Phase) -> None:
    """The next run is in the right state at its end."""
    operator.up()
    found = compose.journal(server)
    assert (found["phase"], found["move"], found["run"]) == (word, None, None)
    running = server.sh("docker ps --filter name=sdx --format '{{.Names}}'").split()
    assert len(running) == (3 if word in (Phase.DOCKER, Phase.SHADOW) else 0)
    # that previews are empty in each phase is tested by moves that nobody kills
    assert operator.report()["findings"] == []


def killed(
    operator: Operator,
    server: Server,
    begun: list[Update],
    way: tuple[Phase, Phase],
    steps: Sequence[int],
    *,
    end: Phase,
    alone: bool = True,
) -> None:
    """Killed at a step of a move, at a later one the next time and so on, it is finished or taken back by a last run.

    :param way: from where to where it goes.
    :param steps: where, in rising order; all of the update is killed there.
    :param end: where the stack says that it is to be, after the last kill.
    :param alone: whether at odd steps its command alone is killed, so that its provider goes on by itself.
    """
    be_in(operator, server, way[0])
    phase(operator, way[1], skip=False)
    with Users(server.access.address) as users:
        for step in steps:
            if not kill_at(operator, begun, step, everything=not alone or step % 2 == 0):
                assert step > steps[0]
                break
            time.sleep(0.5)
            assert (users.wrong, users.refused_reads) == ([], []), f"after the kill at step {step}"
            operator.run("flowmaster", "unlock")
        phase(operator, end)
        finishes(operator, server, end)
        users.settle()
    assert users.wrong == []
    assert users.missing() == []
    assert users.refused_reads == []
