"""The cutover from one side to the other. The steps are the same in both directions, and each can be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import ProxyMode, Side
from flowmaster.migrate import steps
from flowmaster.migrate.operations import Operations

KEPT_COPIES = {Side.DOCKER: 2, Side.CLUSTER: 1}
"""Number of earlier copies of a volume that each side keeps."""
_RECOPIES = 3
START_SECONDS = 45.0
"""Timeout for the start of the other side while writes wait. It has started before, so this is short."""


class Cutover:
    """A cutover: `after` takes over from `before`."""

    def __init__(self, operations: Operations, before: Side, after: Side) -> None:
        self.operations, self.before, self.after = operations, before, after
        self.server, self.transfer = operations.server, operations.transfer
        self.copied: dict[str, str] = {}
        self._started = False

    @property
    def steps(self) -> list[Callable[[], None]]:
        """The steps in order, numbered as in :mod:`flowmaster.migrate.steps`."""
        return [
            self._check_preconditions,
            self._first_copy,
            self._block_writes,
            self._copy,
            self._swap,
            self._start_target,
            self._serve_reads,
            self._stop_source,
            self._compare,
            self._allow_writes,
            self._finish,
        ]

    def _check_preconditions(self) -> None:
        state = self.server.request("state")
        if state["problem"]:
            raise UserError(state["problem"], "the containers cannot be inspected", "see `docker info` on the server")
        self._refuse_stale_translation(state)
        self.operations.smoke(self.before)
        if self.after is Side.CLUSTER:
            self.operations.wait_for_cluster_copy()
        self.server.request("room", volumes=self.operations.volumes(self.before))
        self.operations.record_outside_ports()

    def _refuse_stale_translation(self, state: Mapping[str, Any]) -> None:
        """Refuse a project that changed since its translation. On the way back, only containers must exist."""
        edited = [p for p, sha in self.transfer.files.items() if state["files"].get(p) not in (None, sha)]
        missing = [p for p in self.transfer.files if p not in state["files"]]
        there = {c["service"]: c for c in state["containers"]}
        foreign = sorted(
            c["name"]
            for c in state["containers"]
            if c["service"] not in self.transfer.objects and c["state"] == "running"
        )
        gone = sorted(set(self.transfer.objects) - there.keys())
        other = sorted(
            c["name"]
            for c in state["containers"]
            if c["service"] in self.transfer.images and c["image"] != self.transfer.images[c["service"]]["id"]
        )
        for names, found in (
            (gone, "no longer has a container"),
            (missing, "is missing on the server"),
            (edited, "was edited since the translation"),
            (foreign, "is a container that was not translated"),
            (other, "runs another image than the translated one"),
        ):
            if names and (names is gone or self.after is Side.CLUSTER):
                raise UserError(
                    f"{', '.join(names)} {found}",
                    "the cluster's copy would differ from what docker runs",
                    f"restore it, or read it again (`flowmaster compose {self.transfer.project}`) and preview",
                )

    def _first_copy(self) -> None:
        self.server.note_next(copied=None)
        self._stop_target()
        answer = self.server.request("copy", volumes=self.operations.volumes(self.before))
        for name, done in answer["volumes"].items():
            self.operations.report(f"{name}: {done['copied']} files, {done['copiedBytes'] / 1e6:.1f} MB")

    def _stop_target(self) -> None:
        """Stop the side that takes over, so that it does not run on data being replaced."""
        if self.after is Side.CLUSTER:
            self.operations.scale(0)
        else:
            self.server.request("stop")

    def _block_writes(self) -> None:
        if self.before is Side.CLUSTER and not self.server.request("state")["rules"]["hooks"]:
            # nginx must release the ports before docker can bind them
            self.operations.serve(ProxyMode(side=Side.CLUSTER, own_ports=True))
        self.operations.redirect(on=True)
        self.operations.writes_closed_at = time.monotonic()
        self.operations.serve(ProxyMode(side=self.before, writable=False))
        self._wait_for_drain()

    def _wait_for_drain(self) -> None:
        """Wait until requests that nginx already passed on are answered."""
        addresses = self.operations.cluster.addresses(self.transfer.objects) if self.before is Side.CLUSTER else {}
        known = [p for p in self.transfer.ports if self.before is Side.DOCKER or p.service in addresses]
        self.server.request("drained", addresses=[proxy.upstream(p, self.before, addresses) for p in known])

    def _copy(self) -> None:
        answer = self.server.request("copy", volumes=self.operations.volumes(self.before), prove=True)
        self.copied = {name: done["sha256"] for name, done in answer["volumes"].items()}
        for name, done in answer["volumes"].items():
            size = f"{done['bytes'] / 1e6:.1f} MB, {done['files']} files"
            self.operations.report(f"{name}: {size}, each the same ({done['copied']} copied now)")

    def _swap(self) -> None:
        self.server.request("swap", volumes=self.operations.volumes(self.before), keep=KEPT_COPIES[self.after])
        # only now: a run that resumes here trusts the journal for what is in place
        self.server.note_next(copied=self.copied)

    def _start_target(self) -> None:
        self._started = True
        if self.after is Side.CLUSTER:
            self.operations.scale(1)
            self.operations.wait_for_cluster_copy(START_SECONDS)
        else:
            self.server.request("start", services=sorted(self.transfer.objects), patience=START_SECONDS)
            self.operations.smoke(Side.DOCKER)

    def _serve_reads(self) -> None:
        if not self._started:
            # another run started it; the server may have rebooted since
            self._start_target()
            self.operations.redirect(on=True)
        self.operations.serve(ProxyMode(side=self.after, writable=False))
        self._wait_for_drain()

    def _stop_source(self) -> None:
        if self.before is Side.DOCKER:
            self.server.request("stop")
        else:
            self.operations.scale(0)

    def _compare(self) -> None:
        """Copy again what was written while the other side was stopping."""
        for _ in range(_RECOPIES):
            copied = self.copied or self.server.request("journal", what="alive").get("copied") or {}
            if self.transfer.copied and set(copied) != {entry.name for entry in self.transfer.copied}:
                changed = [entry.name for entry in self.transfer.copied]
            else:
                volumes = self.operations.volumes(self.before, sha256=copied)
                changed = self.server.request("compare", volumes=volumes)["changed"]
            if not changed:
                return
            self.operations.report(f"{', '.join(changed)} changed while {self.before} was stopped: copying again")
            self._stop_target()
            self._copy()
            self._swap()
            self._start_target()
        raise UserError(
            f"{', '.join(changed)} keeps changing although {self.before} is stopped",
            "another process writes to it",
            "find the process (`fuser -vm` on the server), stop it, then run `pulumi up` again",
        )

    def _allow_writes(self) -> None:
        self.operations.serve(ProxyMode(side=self.after, own_ports=self.after is Side.CLUSTER))
        if self.operations.writes_closed_at is not None:
            self.operations.standstill = round(time.monotonic() - self.operations.writes_closed_at, 2)
            self.operations.report(f"writes had to wait for {self.operations.standstill:.1f} s")

    def _finish(self) -> None:
        if self.after is Side.CLUSTER:
            self.operations.redirect(on=False)
            try:
                self.operations.check_outside_ports()
            except UserError:
                # the shadow ports were reachable until now
                self.operations.redirect(on=True)
                raise
            self.operations.serve(proxy.PROXY_MODES[Phase.CLUSTER])
        else:
            self.operations.scale(1)

    def undo(self, step: int) -> None:
        """Let the side that served before serve again. It has all data, since no write was accepted meanwhile."""
        if self.before is Side.DOCKER:
            state = self.server.request("state")
            running = {c["service"] for c in state["containers"] if c["state"] == "running"}
            if step >= steps.STOP or (not state["problem"] and set(self.transfer.objects) - running):
                self.server.request("start", services=sorted(self.transfer.objects))
                self.operations.smoke(Side.DOCKER)
            self.operations.serve(proxy.PROXY_MODES[Phase.SHADOW])
            self.operations.redirect(on=True)
            self.operations.scale(1)
            return
        self.operations.scale(1)
        self.operations.wait_for_cluster_copy()
        if step >= steps.CLOSE and self.server.request("state")["rules"]["hooks"]:
            # docker may hold the ports by now
            self.operations.serve(ProxyMode(side=Side.CLUSTER))
        self.server.request("stop")
        self.operations.serve(ProxyMode(side=Side.CLUSTER, own_ports=True))
        self.operations.redirect(on=False)
        self.operations.serve(proxy.PROXY_MODES[Phase.CLUSTER])
