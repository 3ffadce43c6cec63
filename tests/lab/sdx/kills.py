"""A move of SDX that is killed at a step, and what has to be so once another run has finished it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from config.compose import Phase
from tests.lab import compose
from tests.lab.compose import Users, phase
from tests.lab.operate import Operator
from tests.lab.sdx.mover import Mover
from tests.lab.server import Server
from tests.lab.test_faults import Update


@dataclass
class Engine:
    """Moves SDX by `pulumi up`, and kills that: at even steps all of it, else its command alone.

    Where the command alone is killed, the provider that it has started goes on by itself.
    """

    operator: Operator
    begun: list[Update] = field(default_factory=list)

    def killed_at(self, target: Phase, step: int) -> bool:
        """Begin an update and kill it at a step; False where it ended well without coming there."""
        phase(self.operator, target, skip=False)
        update = Update(self.operator)
        self.begun.append(update)
        if not update.comes_to(rf"ComposePhase sdx updating[\s\S]*sdx: step {step} of ", 180):
            return False
        update.kill()
        if step % 2 == 0:
            for child in update.children:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        return True

    def reach(self, target: Phase) -> None:
        """Be in a phase, whatever was left of the updates before."""
        self.operator.run("flowmaster", "unlock")
        phase(self.operator, target, skip=True)
        self.operator.up()


def be_in(engine: Engine, server: Server, word: Phase) -> None:
    """Have SDX in a phase before a test, whatever was left of the one before."""
    found = compose.journal(server)
    if found["phase"] != word or found["move"]:
        engine.reach(word)


def killed(
    mover: Mover | Engine,
    server: Server,
    target: Phase,
    steps: Sequence[int],
    *,
    end: Phase,
    last: Engine | None = None,
) -> None:
    """Killed at a step of a move, at a later one the next time and so on, it is finished or taken back by a last run.

    :param steps: where, in rising order.
    :param end: where it is to be after the last kill.
    :param last: who does that last run, where it is not who was killed.
    """
    with Users(server.access.address) as users:
        for step in steps:
            if not mover.killed_at(target, step):
                assert step > steps[0]
                break
            time.sleep(0.5)
            assert (users.wrong, users.refused_reads) == ([], []), f"after the kill at step {step}"
            if isinstance(mover, Engine):
                mover.operator.run("flowmaster", "unlock")
        (last or mover).reach(end)
        finished(mover.operator, server, end)
        users.settle()
    assert users.wrong == []
    assert users.missing() == []
    assert users.refused_reads == []


def finished(operator: Operator, server: Server, word: Phase) -> None:
    """SDX is in a phase, as a stack has it that declares so."""
    found = compose.journal(server)
    assert (found["phase"], found["move"], found["run"]) == (word, None, None)
    running = server.sh("docker ps --filter name=sdx --format '{{.Names}}'").split()
    assert len(running) == (3 if word in (Phase.DOCKER, Phase.SHADOW) else 0), running
    # that previews are empty in each phase is tested by moves that nobody kills
    phase(operator, word)
    assert operator.report()["findings"] == []
