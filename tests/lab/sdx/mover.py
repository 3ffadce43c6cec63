"""A move of SDX without Pulumi: what the provider of its phase does, in a process of its own that can be killed.

`python -m tests.lab.sdx.mover describe` prints everything that a move takes as JSON, and `... move FILE` does it; both
with the variables of a shell that works on the twin.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from config.compose import Phase
from config.errors import UserError
from lab.twin.patience import patience
from tests.lab.clone import STACK_FILE
from tests.lab.operate import ROOT, Operator

SDX = "sdx"


class Move:
    """A move under way, whose output is read as it comes."""

    def __init__(self, operator: Operator, file: Path) -> None:
        command = [sys.executable, "-m", __name__, "move", str(file)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=operator.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line)

    @property
    def text(self) -> str:
        """What it has said so far."""
        return "".join(self.lines)

    def comes_to(self, step: int) -> bool:
        """Wait until it says that it is at a step; False where it ended well without."""
        deadline = time.monotonic() + patience(120)
        begun = re.compile(rf"^{SDX}: step {step} of ", re.MULTILINE)
        while not begun.search(self.text):
            if self.process.poll() is not None:
                assert self.ended() == 0, self.text
                return begun.search(self.text) is not None
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)
        return True

    def kill(self) -> None:
        """End it as the kernel does when memory runs out, with all processes that it has started."""
        if self.process.poll() is None:
            # it leads a group of its own
            os.killpg(self.process.pid, signal.SIGKILL)
        self.ended()

    def ended(self, seconds: float = 300) -> int:
        """Its exit code."""
        code = self.process.wait(patience(seconds))
        self._reader.join(10)
        return code


class Mover:
    """Somebody who moves SDX by what the stack's provider does, without the stack."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.described: dict[str, Any] = json.loads(operator.run(sys.executable, "-m", __name__, "describe").stdout)

    def begin(self, target: Phase) -> Move:
        """Begin a move, or the rest of one; where it is left to itself the caller ends it."""
        file = Path(self.operator.environ[STACK_FILE]).with_name("move.json")
        file.write_text(json.dumps({**self.described, "phase": target}))
        return Move(self.operator, file)

    def killed_at(self, target: Phase, step: int) -> bool:
        """Begin a move and kill it at a step; False where it ended well without coming there."""
        move = self.begin(target)
        try:
            return move.comes_to(step)
        finally:
            move.kill()

    def reach(self, target: Phase) -> str:
        """Be in a phase; what was said on the way."""
        move = self.begin(target)
        assert move.ended() == 0, move.text
        return move.text

    def fails(self, target: Phase) -> str:
        """Be refused a phase; what was said."""
        move = self.begin(target)
        assert move.ended() != 0, move.text
        return move.text


def describe() -> None:
    """Print what a move takes: how server and cluster are reached, and what is moved. Holds no secret."""
    from config import load
    from flowmaster.compose.desired import desired_projects

    settings = load.from_file("demo")
    whole = {
        "host": settings.stack.host.model_dump(mode="json", by_alias=True, exclude={"private_key"}),
        "cluster": settings.stack.cluster.model_dump(mode="json", by_alias=True),
        "namespace": settings.namespace,
        "moved": desired_projects(settings)[SDX].transfer.to_properties(),
    }
    print(json.dumps(whole))


def move(file: Path) -> None:
    """Do what `pulumi up` has the provider do, once the cluster's copy runs, to which an update has seen by then."""
    from pulumi.dynamic import Config, ConfigureRequest

    from components.compose_phase import ComposePhaseProvider
    from config.load import PROJECT
    from config.stack import Cluster as Target
    from flowmaster.cluster.connection import connect
    from flowmaster.migrate.workloads import Workloads

    given = json.loads(file.read_text())
    told = {f"{PROJECT}:{key}": json.dumps(given[key]) for key in ("host", "cluster")}
    provider = ComposePhaseProvider()
    provider.configure(ConfigureRequest(config=Config(told, PROJECT)))
    props = {"project": SDX, "phase": given["phase"], "moved": given["moved"], "namespace": given["namespace"]}
    target, copies = Target.model_validate(given["cluster"]), given["moved"]["objects"].values()
    try:
        if given["phase"] != Phase.DOCKER:
            with connect(target) as api:
                cluster = Workloads(api, given["namespace"], target.rollout_timeout, heartbeat=lambda: None)
                cluster.scale(copies, 1)
                cluster.ready(copies)
        provider.update(SDX, props, {**props, "drift": [], "standstill": None})
    except UserError as err:
        sys.exit(f"error: {err}")


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        describe()
    else:
        move(Path(sys.argv[2]))
