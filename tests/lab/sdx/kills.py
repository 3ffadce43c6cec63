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
) -> None:
    """Killed at a step of a move, at a later one the next time and so on, it is finished or taken back by a last run.

    :param way: from where to where it goes.
    :param steps: where, in rising order; at an even step all of the update is killed, else its command alone.
    :param end: where the stack says that it is to be, after the last kill.
    """
    be_in(operator, server, way[0])
    phase(operator, way[1], skip=False)
    with Users(server.access.address) as users:
        for step in steps:
            kill_at(operator, begun, step, everything=step % 2 == 0)
            time.sleep(0.5)
            assert (users.wrong, users.refused_reads) == ([], []), f"after the kill at step {step}"
            operator.run("flowmaster", "unlock")
        phase(operator, end)
        finishes(operator, server, end)
        users.settle()
    assert users.wrong == []
    assert users.missing() == []
    assert users.refused_reads == []
