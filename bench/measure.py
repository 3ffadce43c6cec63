"""Running commands and measuring them, alternately."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError

_LAUNCHER = Path(__file__).with_name("launcher.py")
_PATIENCE = 1800.0
_GRACE = 20.0


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line as a user would type it."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    accepted: frozenset[int] = frozenset({0})
    """Exit codes of a run that did what is measured."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a command."""

    seconds: float
    cpu_seconds: float
    mebibytes: float
    """Peak memory of its largest process."""
    output: str
    """What it printed, errors included."""


def run(command: Command, patience: float = _PATIENCE) -> Run:
    """Run a command to its end.

    :param patience: seconds after which it is stopped.
    :raises BenchError: where its exit code is not an accepted one, or it takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="flowmaster-bench-") as folder:
        result, output = Path(folder) / "result.json", Path(folder) / "output"
        argv = [sys.executable, "-I", "-S", str(_LAUNCHER), str(result), *command.argv]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                argv,
                cwd=command.cwd,
                env=dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # a group of its own: so that Ctrl-C reaches it once, and from here
                start_new_session=True,
            )
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired as err:
                raise BenchError(f"{_shown(command)} has not ended within {patience:.0f} s") from err
            finally:
                _stop(process)
        text = output.read_text(errors="replace")
        measured: dict[str, float] = json.loads(result.read_text()) if result.exists() else {"code": -signal.SIGKILL}
    if measured["code"] not in command.accepted:
        raise BenchError(f"{_shown(command)} ended with {measured['code']}:\n{_tail(text)}")
    return Run(
        seconds=measured["seconds"],
        cpu_seconds=measured["cpu_seconds"],
        mebibytes=measured["kibibytes"] / 1024,
        output=text,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the command's group, gently first, where it still runs."""
    for how in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _shown(command: Command) -> str:
    return " ".join(command.argv)[:200]


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


@dataclass(frozen=True, kw_only=True)
class Sample:
    """All runs of one side."""

    runs: Sequence[Run]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def fastest(self) -> float:
        """Seconds of the quickest run."""
        return min(run.seconds for run in self.runs)

    @property
    def slowest(self) -> float:
        """Seconds of the slowest run."""
        return max(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float:
        """The median of the processor time."""
        return statistics.median(run.cpu_seconds for run in self.runs)

    @property
    def mebibytes(self) -> float:
        """The largest of the peaks."""
        return max(run.mebibytes for run in self.runs)


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the things that are compared."""

    name: str
    """What a reader knows it by."""
    command: Command
    prepare: Callable[[], None] = field(default=nothing)
    """Called before each run, not measured."""
    check: Callable[[Run], None] = field(default=lambda _: None)
    """Called after each run, not measured. Raises BenchError where the run did not do what is measured."""


def alternate(sides: Sequence[Side], runs: int, say: Callable[[str], None], *, warm_up: bool = False) -> list[Sample]:
    """Run all sides in turn, A B A B ..., so that whatever else the machine does falls on all of them alike.

    :param warm_up: run each once before, unmeasured, so that none pays for filling caches.
    :raises BenchError: where a run fails.
    """
    taken: list[list[Run]] = [[] for _ in sides]
    for number in range(-1 if warm_up else 0, runs):
        for side, sample in zip(sides, taken, strict=True):
            side.prepare()
            done = run(side.command)
            side.check(done)
            if number >= 0:
                sample.append(done)
                say(
                    f"{side.name}: {done.seconds:.2f} s, {done.cpu_seconds:.2f} s of processor ({number + 1} of {runs})"
                )
    return [Sample(runs=sample) for sample in taken]
