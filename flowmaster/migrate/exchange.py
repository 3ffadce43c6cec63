"""One side takes over from the other: the same steps in both directions, each of which may be taken again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import Front, Side
from flowmaster.migrate import steps
from flowmaster.migrate.operations import Operations

KEPT = {Side.DOCKER: 2, Side.CLUSTER: 1}
"""How many earlier states of a volume are kept on each side."""
_RECOPIES = 3
CLOSED_SECONDS = 45.0
"""How long the other side may take to start while writes wait; it has started before."""


class Exchange:
    """One side takes over from the other."""

    def __init__(self, operations: Operations, before: Side, after: Side) -> None:
        self.operations, self.before, self.after = operations, before, after
        self.server, self.moved = operations.server, operations.moved
        self.copied: dict[str, str] = {}
        self._started = False

    @property
    def steps(self) -> list[Callable[[], None]]:
        """What each step does; the numbers are those of :mod:`flowmaster.migrate.steps`."""
        return [
            self._check,
            self._first_copy,
            self._close,
            self._copy,
            self._place,
            self._start,
            self._reads,
            self._stop,
            self._compare,
            self._open,
            self._finish,
        ]

    def _check(self) -> None:
        state = self.server.ask("state")
        if state["problem"]:
            raise UserError(state["problem"], "the containers cannot be seen", "see `docker info` on the server")
        self._refuse_changed(state)
        self.operations.smoke(self.before)
        if self.after is Side.CLUSTER:
            self.operations.copy_runs()
        self.server.ask("room", volumes=self.operations.volumes(self.before))
        self.operations.remember_outside()

    def _refuse_changed(self, state: Mapping[str, Any]) -> None:
        """What was translated has to be what runs; for the way back there only have to be containers."""
        edited = [p for p, sha in self.moved.files.items() if state["files"].get(p) not in (None, sha)]
        missing = [p for p in self.moved.files if p not in state["files"]]
        there = {c["service"]: c for c in state["containers"]}
        foreign = sorted(
            c["name"] for c in state["containers"] if c["service"] not in self.moved.objects and c["state"] == "running"
        )
        gone = sorted(set(self.moved.objects) - there.keys())
        other = sorted(
            c["name"]
            for c in state["containers"]
            if c["service"] in self.moved.images and c["image"] != self.moved.images[c["service"]]["id"]
        )
        for names, found in (
            (gone, "has no container any more"),
            (missing, "is gone from the server"),
            (edited, "was edited since it was translated"),
            (foreign, "is a container of the project that was not translated"),
            (other, "runs another image than was translated"),
        ):
            if names and (names is gone or self.after is Side.CLUSTER):
                raise UserError(
                    f"{', '.join(names)} {found}",
                    "the cluster's copy would not be what docker runs",
                    f"put it back, or read it again (`flowmaster compose {self.moved.project}`); look at the preview",
                )

    def _first_copy(self) -> None:
        self.server.next(copied=None)
        self._rest()
        answer = self.server.ask("copy", volumes=self.operations.volumes(self.before))
        for name, done in answer["volumes"].items():
            self.operations.say(f"{name}: {done['copied']} files, {done['copiedBytes'] / 1e6:.1f} MB")

    def _rest(self) -> None:
        """The side that is to take over must not run on what is being replaced."""
        if self.after is Side.CLUSTER:
            self.operations.scale(0)
        else:
            self.server.ask("stop")

    def _close(self) -> None:
        if self.before is Side.CLUSTER and not self.server.ask("state")["rules"]["hooks"]:
            # nginx has to let go of the ports before docker can have them
            self.operations.serve(Front(side=Side.CLUSTER, own=True))
        self.operations.redirect(on=True)
        self.operations.closed = time.monotonic()
        self.operations.serve(Front(side=self.before, open=False))
        self._drained()

    def _drained(self) -> None:
        """Requests that nginx had passed on before are answered before anything else happens."""
        addresses = self.operations.cluster.addresses(self.moved.objects) if self.before is Side.CLUSTER else {}
        known = [p for p in self.moved.ports if self.before is Side.DOCKER or p.service in addresses]
        self.server.ask("drained", addresses=[proxy.upstream(p, self.before, addresses) for p in known])

    def _copy(self) -> None:
        answer = self.server.ask("copy", volumes=self.operations.volumes(self.before), prove=True)
        self.copied = {name: done["sha256"] for name, done in answer["volumes"].items()}
        for name, done in answer["volumes"].items():
            size = f"{done['bytes'] / 1e6:.1f} MB, {done['files']} files"
            self.operations.say(f"{name}: {size}, each the same ({done['copied']} copied now)")

    def _place(self) -> None:
        self.server.ask("swap", volumes=self.operations.volumes(self.before), keep=KEPT[self.after])
        # not before: whoever goes on from here takes what is written down for what is in place
        self.server.next(copied=self.copied)

    def _start(self) -> None:
        self._started = True
        if self.after is Side.CLUSTER:
            self.operations.scale(1)
            self.operations.copy_runs(CLOSED_SECONDS)
        else:
            self.server.ask("start", services=sorted(self.moved.objects), patience=CLOSED_SECONDS)
            self.operations.smoke(Side.DOCKER)

    def _reads(self) -> None:
        if not self._started:
            # another run had begun; the server may have been started again since
            self._start()
            self.operations.redirect(on=True)
        self.operations.serve(Front(side=self.after, open=False))
        self._drained()

    def _stop(self) -> None:
        if self.before is Side.DOCKER:
            self.server.ask("stop")
        else:
            self.operations.scale(0)

    def _compare(self) -> None:
        """What was written while the other side was being stopped is copied, too."""
        for _ in range(_RECOPIES):
            copied = self.copied or self.server.ask("journal", what="alive").get("copied") or {}
            if self.moved.copied and set(copied) != {entry.name for entry in self.moved.copied}:
                changed = [entry.name for entry in self.moved.copied]
            else:
                volumes = self.operations.volumes(self.before, sha256=copied)
                changed = self.server.ask("compare", volumes=volumes)["changed"]
            if not changed:
                return
            self.operations.say(f"{', '.join(changed)} changed while {self.before} was stopped: copying again")
            self._rest()
            self._copy()
            self._place()
            self._start()
        raise UserError(
            f"{', '.join(changed)} goes on changing though {self.before} stands still",
            "somebody else writes into it",
            "find out who (`fuser -vm` on the server), then run `pulumi up` again",
        )

    def _open(self) -> None:
        self.operations.serve(Front(side=self.after, own=self.after is Side.CLUSTER))
        if self.operations.closed is not None:
            self.operations.standstill = round(time.monotonic() - self.operations.closed, 2)
            self.operations.say(f"writes had to wait for {self.operations.standstill:.1f} s")

    def _finish(self) -> None:
        if self.after is Side.CLUSTER:
            self.operations.redirect(on=False)
            try:
                self.operations.same_outside()
            except UserError:
                # beside its ports nginx was answered until now
                self.operations.redirect(on=True)
                raise
            self.operations.serve(proxy.SERVED[Phase.CLUSTER])
        else:
            self.operations.scale(1)

    def undo(self, step: int) -> None:
        """Have the side serve that served before: it has everything, for nobody could write since."""
        if self.before is Side.DOCKER:
            state = self.server.ask("state")
            running = {c["service"] for c in state["containers"] if c["state"] == "running"}
            if step >= steps.STOP or (not state["problem"] and set(self.moved.objects) - running):
                self.server.ask("start", services=sorted(self.moved.objects))
                self.operations.smoke(Side.DOCKER)
            self.operations.serve(proxy.SERVED[Phase.SHADOW])
            self.operations.redirect(on=True)
            self.operations.scale(1)
            return
        self.operations.scale(1)
        self.operations.copy_runs()
        if step >= steps.CLOSE and self.server.ask("state")["rules"]["hooks"]:
            # docker may have the ports by now
            self.operations.serve(Front(side=Side.CLUSTER))
        self.server.ask("stop")
        self.operations.serve(Front(side=Side.CLUSTER, own=True))
        self.operations.redirect(on=False)
        self.operations.serve(proxy.SERVED[Phase.CLUSTER])
