"""Moving a compose project from phase to phase: forwards, backwards, and on from wherever a killed run left it.

An exchange is the same in both directions: one side serves, the other takes over. Reads are always answered; writes
wait from CLOSE to OPEN, and in between nobody writes. So whatever fails before OPEN, what served before serves again at
once, and has everything. The journal on the server says which step was begun; a run that is killed leaves it there.
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
    """A move that did not come to its end; where things stand now is said."""


class Mover(Operations):
    """One run at work on one project."""

    def reach(self, target: Phase) -> float | None:
        """Be in that phase, whatever phase the project is in now and however an earlier run ended.

        :return: the seconds for which writes had to wait, where they had to and this run saw both ends of it.
        :raises MoveError: where it could not be reached; what served before serves again, or it says otherwise.
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
        """What an earlier run left unfinished: to its end where that is on the way, else back."""
        before, after, step = Phase(move["from"]), Phase(move["to"]), int(move["step"])
        onwards = (before, after) in steps.phase_changes(before, target)
        short = step >= steps.OPEN if steps.serving_sides(before, after) else before is not Phase.DOCKER
        self.report(f"an earlier run ended in step {step} of {before} → {after}")
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
            return MoveError(found, "this run goes no further", err.remedy)
        if steps.serving_sides(before, after) and step == steps.FINISH:
            remedy = "put that right, then run `pulumi up` again: it goes on from there"
            return MoveError(found, f"{after} serves; only the clearing up is left", remedy)
        try:
            self._roll_back(before, after, step)
        except UserError as worse:
            return MoveError(
                found,
                f"going back failed, too: {worse.found}; nothing that was acknowledged is lost",
                "put that right, then run `pulumi up` again: it goes on from there",
            )
        return MoveError(found, f"it is in phase {before} as before, and nothing is lost", err.remedy)

    def _roll_back(self, before: Phase, after: Phase, step: int) -> None:
        """What served before serves again."""
        self.report(f"going back to {before}")
        both = steps.serving_sides(before, after)
        if both is not None and step >= steps.OPEN:
            # somebody may have written there since: what was written goes back with everything else
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
        """Put right what is not as the phase wants it: containers, rules, nginx."""
        state = self.request("state")
        there = {c["service"] for c in state["containers"]}
        alive = [c for c in state["containers"] if c["state"] == "running"]
        running = {c["service"] for c in alive}
        if phase in (Phase.DOCKER, Phase.SHADOW) and set(self.transfer.objects) - running:
            self.report("starting containers that should run")
            self.request("start", services=sorted(self.transfer.objects))
        again = [c["name"] for c in state["containers"] if c["restart"] != "no"]
        if phase in (Phase.CLUSTER, Phase.RETIRED) and (alive or again):
            self.report(f"stopping for good: {', '.join(sorted({*(c['name'] for c in alive), *again}))}")
            self.request("stop")
        if phase is Phase.CLUSTER and set(self.transfer.objects) - there:
            self.report("making containers again, not started")
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
