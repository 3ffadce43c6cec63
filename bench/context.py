"""What every row is given: the server, the fleets on it, and commands that know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import fleet as fleets
from bench import large
from bench.fleet import Fleet
from bench.measure import Command, Sample, Side, alternate
from bench.server import Server
from bench.stack import ROOT, Stack

PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ours beside one alternative."""

    what: str
    size: int
    ours: str
    """What was run, in a few words."""
    our_sample: Sample
    other: str
    other_sample: Sample
    target: float | None = None
    """The largest ratio that is good enough."""
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Our median as a multiple of the alternative's."""
        return self.our_sample.seconds / self.other_sample.seconds

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.ratio <= self.target


@dataclass
class Bench:
    """One run of the benchmarks."""

    server: Server
    folder: Path
    """For everything that is written; removed at the end."""
    runs: int
    say: Callable[[str], None]
    _fleets: dict[int, Fleet] = field(default_factory=dict)
    _settled: set[int] = field(default_factory=set)

    def fleet(self, size: int) -> Fleet:
        """The fleet of that size, on the server or not."""
        if size not in self._fleets:
            self._fleets[size] = fleets.write(size, self.folder / f"fleet-{size}", self.server.environment)
            if not self._fleets[size].real:
                self.server.pretend_pods()
        return self._fleets[size]

    def settled(self, size: int) -> Fleet:
        """The fleet of that size, deployed by `pulumi up` or, a very large one, as if it were; all its pods ready."""
        fleet = self.fleet(size)
        if size not in self._settled:
            self.say(f"deploying {size} services")
            if size >= large.FROM:
                large.deploy(self.server, fleet)
            else:
                self.server.clear(fleet)
                self.server.pulumi(fleet, "up", "--yes", "--skip-preview", "--non-interactive")
            self._settled.add(size)
        return fleet

    def is_settled(self, fleet: Fleet) -> None:
        """Say that a measured run has left the fleet deployed."""
        self._settled.add(fleet.size)

    def remove(self, size: int) -> None:
        """Take the fleet of that size off the server."""
        if size in self._fleets:
            self.say(f"removing {size} services")
            self._settled.discard(size)
            self.server.remove(self._fleets[size].namespace, real=self._fleets[size].real)

    def command(
        self, *argv: str, variables: Mapping[str, str], cwd: Path = ROOT, accepted: frozenset[int] = frozenset({0})
    ) -> Command:
        """A command line with what a user's shell would have set."""
        return Command(argv=argv, env={**self.server.environment, **variables}, cwd=cwd, accepted=accepted)

    def preview(self, fleet: Fleet, *options: str) -> Command:
        """The project's own preview of a fleet that is up to date."""
        return self.command("pulumi", "preview", "--expect-no-changes", *options, variables=fleet.variables)

    def plain_preview(self, fleet: Fleet, *options: str) -> Command:
        """A preview of the same resources that asks the server nothing, as plain Pulumi would make it."""
        argv = ("pulumi", "preview", "--expect-no-changes", *options)
        return self.command(*argv, variables=fleet.variables, cwd=PROGRAMS / "plain")

    def empty_preview(self) -> Command:
        """A preview of a program that declares nothing, and has been deployed."""
        stack, cwd = Stack(folder=self.folder / "empty"), PROGRAMS / "empty"
        if not stack.folder.exists():
            stack.folder.mkdir()
            stack.configuration.touch()
            self.server.make_stack("empty", stack)
            self.server.pulumi(stack, "up", "--yes", "--skip-preview", "--non-interactive", cwd=cwd)
        return self.command("pulumi", "preview", "--expect-no-changes", variables=stack.variables, cwd=cwd)

    def compare(self, sides: Sequence[Side], *, warm_up: bool = True) -> list[Sample]:
        """Run all sides in turn.

        :raises BenchError: where a run fails.
        """
        return alternate(sides, self.runs, self.say, warm_up=warm_up)


__all__ = ["Bench", "Comparison", "Side"]
