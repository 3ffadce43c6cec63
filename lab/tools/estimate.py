"""How long building takes: what each program cost once, and how quickly this machine gets on with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from lab.tools.manifest import Program

_TELLING = 0.1
"""The share of the work after which its pace says more than the number of cores does."""


@dataclass(frozen=True)
class Cost:
    """What a build takes from nothing, roughly: processor time, and the lines that `go build -v` prints.

    `GOFLAGS=-debug-actiongraph=FILE` has Go write down the time of each step (CmdUser, CmdSys).
    """

    core_seconds: float
    packages: int


COSTS = {
    "kubernetes": Cost(520, 2700),
    "docker-compose": Cost(170, 1250),
    "coredns": Cost(100, 720),
    "pulumi": Cost(320, 1900),
    "pulumi-resource-kubernetes": Cost(340, 1650),
    "pulumi-resource-command": Cost(20, 30),
    "kwok": Cost(150, 1200),
    "kapp": Cost(120, 1000),
}


@dataclass
class Estimate:
    """The time that is left, in seconds, of the builds under way."""

    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    _shares: dict[str, float] = field(default_factory=dict)

    def expect(self, program: Program) -> None:
        """Count that program in."""
        self._shares.setdefault(program.name, 0.0)

    def compiled(self, name: str, packages: int) -> float:
        """Take in how many packages of a program are compiled; return its share that is done, below 1."""
        self._shares[name] = min(0.95, packages / COSTS[name].packages)
        return self._shares[name]

    def done(self, name: str) -> None:
        """Take in that a program is there."""
        if name in self._shares:
            self._shares[name] = 1.0

    def left(self, elapsed: float = 0.0) -> float:
        """Return the seconds that are left after ELAPSED seconds of building."""
        whole = sum(COSTS[name].core_seconds for name in self._shares)
        done = sum(COSTS[name].core_seconds * share for name, share in self._shares.items())
        pace = done / elapsed if elapsed and done > _TELLING * whole else float(self.cores)
        return (whole - done) / pace


def minutes(seconds: float) -> str:
    """Return a time as people say it: `about 9 min`, `under a minute`."""
    return f"about {round(seconds / 60)} min" if seconds >= 60 else "under a minute"
