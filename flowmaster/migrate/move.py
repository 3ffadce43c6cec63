"""Moves a compose project between phases, in both directions, and resumes moves that were interrupted.

A cutover is the same in both directions: one side serves, the other takes over. Reads are always answered. Writes wait
from step CLOSE to step OPEN. So if a step before OPEN fails, the side that served before serves again at once, with all
data. The journal on the server records each step before it begins, so a later run can resume after a kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import Side
from flowmaster.host.connection import RefusedError
from flowmaster.migrate import steps
from flowmaster.migrate.cutover import Cutover
from flowmaster.migrate.operations import Operations

ACQUIRE_SECONDS = 60.0


class MoveError(UserError):
    """A move that failed. The message says which side serves now."""


class Mover(Operations):
    """One run that moves one project."""

    def reach(self, target: Phase) -> float | None:
        """Move the project to a phase, from any phase and after any interruption.

        :return: seconds for which writes waited; None if they did not, or if another run began the wait.
        :raises MoveError: if the phase was not reached. Unless the message says otherwise, the side that served before
            serves again.
        """
        journal = self.server.acquire(ACQUIRE_SECONDS)
        here = Phase(journal["phase"])
        if journal.get("move"):
            here = self._finish_interrupted(journal["move"], target)
        else:
            self.ensure(here)
        for before, after in steps.phase_changes(here, target):
            self._move(before, after, 1)
        return self.standstill

    def _finish_interrupted(self, move: Mapping[str, Any], target: Phase) -> Phase:
        """Complete an interrupted move if it leads towards the target, else roll it back."""
        before, after, step = Phase(move["from"]), Phase(move["to"]), int(move["step"])
        onwards = (before, after) in steps.phase_changes(before, target)
        short = step >= steps.OPEN if steps.serving_sides(before, after) else before is not Phase.DOCKER
        self.report(f"an earlier run stopped in step {step} of {before} → {after}")
        if not move.get("back") and (onwards or short):
            self._move(before, after, steps.resume_step(before, after, step))
            return after
        self._roll_back(before, after, step)
        return before

    def _move(self, before: Phase, after: Phase, first: int) -> None:
        words = steps.descriptions(before, after, self.transfer)
        does = self._actions(before, after)
        for number in range(first, len(words) + 1):
            self.server.note_next(move={"from": before, "to": after, "step": number, "of": len(words)})
            self.report(f"step {number} of {len(words)}: {words[number - 1]}")
            try:
                does[number - 1]()
            except UserError as err:
                raise self._failed(before, after, number, words[number - 1], err) from err
        self.server.write_journal(phase=after, move=None, since=time.time(), copied=None, measured=self.standstill)
        self.report(f"is in phase {after}")

    def _actions(self, before: Phase, after: Phase) -> list[Callable[[], None]]:
        both = steps.serving_sides(before, after)
        if both is not None:
            return Cutover(self, *both).steps
        match before, after:
            case Phase.DOCKER, Phase.SHADOW:
                return [self._check_docker, self._wait_for_copy, self._route_to_nginx]
            case Phase.SHADOW, Phase.DOCKER:
                return [lambda: self.smoke(Side.DOCKER), lambda: self.redirect(on=False)]
            case Phase.CLUSTER, Phase.RETIRED:
                return [lambda: self.smoke(Side.CLUSTER), self._archive, lambda: self.request("remove")]
            case _:
                return [lambda: self.request("create")]

    def _failed(self, before: Phase, after: Phase, step: int, words: str, err: UserError) -> MoveError:
        found = f"{self.transfer.project}: {before} → {after} failed in step {step}, {words}: {err.found}"
        if isinstance(err, RefusedError) and err.stage == "taken":
            return MoveError(found, "this run stops here", err.remedy)
        if steps.serving_sides(before, after) and step == steps.FINISH:
            remedy = "fix this, then run `pulumi up` again to resume"
            return MoveError(found, f"{after} serves; only the cleanup is left", remedy)
        try:
            self._roll_back(before, after, step)
        except UserError as worse:
            return MoveError(
                found,
                f"the rollback failed, too: {worse.found}; no acknowledged write is lost",
                "fix this, then run `pulumi up` again to resume",
            )
        return MoveError(found, f"it is back in phase {before}, and nothing is lost", err.remedy)

    def _roll_back(self, before: Phase, after: Phase, step: int) -> None:
        """Let the side that served before serve again."""
        self.report(f"rolling back to {before}")
        both = steps.serving_sides(before, after)
        if both is not None and step >= steps.OPEN:
            # the new side may have accepted writes: move them back with all other data
            self.server.write_journal(phase=after, move=None, copied=None)
            self._move(after, before, steps.FIRST_COPY)
            return
        self.server.note_next(move={"from": before, "to": after, "step": step, "back": True})
        if both is None:
            self.ensure(before)
        else:
            Cutover(self, *both).undo(step)
        self.server.write_journal(phase=before, move=None, copied=None)
        self.report(f"is in phase {before}")

    def ensure(self, phase: Phase) -> None:
        """Correct containers, firewall rules and nginx that deviate from a phase."""
        state = self.request("state")
        there = {c["service"] for c in state["containers"]}
        alive = [c for c in state["containers"] if c["state"] == "running"]
        running = {c["service"] for c in alive}
        if phase in (Phase.DOCKER, Phase.SHADOW) and set(self.transfer.objects) - running:
            self.report("starting stopped containers")
            self.request("start", services=sorted(self.transfer.objects))
        again = [c["name"] for c in state["containers"] if c["restart"] != "no"]
        if phase in (Phase.CLUSTER, Phase.RETIRED) and (alive or again):
            self.report(f"stopping and disabling restart: {', '.join(sorted({*(c['name'] for c in alive), *again}))}")
            self.request("stop")
        if phase is Phase.CLUSTER and set(self.transfer.objects) - there:
            self.report("recreating containers without starting them")
            self.request("create")
        if phase is Phase.RETIRED and there:
            self.request("remove")
        if phase is Phase.DOCKER:
            self.redirect(on=False)
            return
        if phase is Phase.SHADOW:
            self._route_to_nginx()
        else:
            self.serve(proxy.PROXY_MODES[phase])
            self.redirect(on=False)

    def _check_docker(self) -> None:
        self.smoke(Side.DOCKER)
        self.record_outside_ports()

    def _wait_for_copy(self) -> None:
        self.wait_for_cluster_copy()

    def _route_to_nginx(self) -> None:
        self.serve(proxy.PROXY_MODES[Phase.SHADOW])
        self.redirect(on=True)
        self.check_outside_ports()

    def _archive(self) -> None:
        answer = self.request("archive", volumes=[{"name": v.name, "source": v.docker} for v in self.transfer.copied])
        self.report(f"backup: {answer['backup']} ({answer['bytes'] / 1e6:.1f} MB)")
