"""Comparisons as a table on the terminal, and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.context import Comparison
from bench.measure import Sample

HEADINGS = ("what", "services", "ours", "time", "memory", "instead of", "time", "memory", "ratio", "target")
_RIGHT = {1, 3, 4, 6, 7, 8, 9}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the times were taken on."""

    taken: datetime
    cores: int
    gibibytes: float
    python: str
    load: float
    """Processes that wanted a core, on average over the minute before the first measurement."""
    runs: int

    def __str__(self) -> str:
        return (
            f"{self.taken:%Y-%m-%d}, {self.cores} cores, {self.gibibytes:.0f} GiB, Python {self.python}; "
            f"load before the first run {self.load:.1f}; medians of {self.runs} alternate runs"
        )


@dataclass(kw_only=True)
class Outcome:
    """What one run of the benchmarks has found."""

    machine: Machine
    comparisons: list[Comparison] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Rows that could not be measured, and why."""


def machine(runs: int) -> Machine:
    """This machine, now."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        taken=datetime.now(UTC),
        cores=os.cpu_count() or 0,
        gibibytes=pages / 2**30,
        python=platform.python_version(),
        load=os.getloadavg()[0],
        runs=runs,
    )


def cells(comparison: Comparison) -> tuple[str, ...]:
    """One line of the table as text."""
    target = "" if comparison.target is None else f"≤ {comparison.target:g}{'' if comparison.met else ' missed'}"
    return (
        comparison.what,
        f"{comparison.size:,}",
        comparison.ours,
        _time(comparison.our_sample),
        f"{comparison.our_sample.mebibytes:.0f} MiB",
        comparison.other,
        _time(comparison.other_sample),
        f"{comparison.other_sample.mebibytes:.0f} MiB",
        f"{comparison.ratio:.2f}",
        target,
    )


def _time(sample: Sample) -> str:
    """The median and, of several runs, the range."""
    median = f"{sample.seconds:.2f} s"
    return median if len(sample.runs) == 1 else f"{median} ({sample.fastest:.2f}-{sample.slowest:.2f})"


def show(outcome: Outcome, console: Console) -> None:
    """The table on a terminal."""
    table = Table(title="side by side", caption=str(outcome.machine), header_style="bold")
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number in _RIGHT else "left")
    for comparison in outcome.comparisons:
        style = None if comparison.met is None else "green" if comparison.met else "red"
        table.add_row(*cells(comparison), style=style)
    console.print(table)
    for note in _notes(outcome.comparisons):
        console.print(f"note: {note}", markup=False)
    for failure in outcome.failures:
        console.print(f"failed: {failure}", style="red", markup=False)


def markdown(outcome: Outcome) -> str:
    """The table for `docs/speed.md`, with its notes below."""
    rule = ("---:" if number in _RIGHT else "---" for number in range(len(HEADINGS)))
    lines = [_line(HEADINGS), _line(rule), *(_line(cells(comparison)) for comparison in outcome.comparisons)]
    lines += ["", f"Taken {outcome.machine}."]
    lines += [f"Note: {note}." for note in _notes(outcome.comparisons)]
    lines += [f"Failed: {' '.join(failure.split())}." for failure in outcome.failures]
    return "\n".join(lines) + "\n"


def _line(words: Iterable[str]) -> str:
    return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"


def _notes(comparisons: Iterable[Comparison]) -> list[str]:
    """Each note once, with the sizes that it is about."""
    sizes: dict[str, set[int]] = {}
    for comparison in comparisons:
        for note in comparison.notes:
            sizes.setdefault(note, set()).add(comparison.size)
    return [f"at {', '.join(f'{size:,}' for size in sorted(found))} services {note}" for note, found in sizes.items()]


BEGIN, END = "<!-- table: make bench -->", "<!-- end of table -->"


def write(path: Path, table: str) -> None:
    """Put the table into a page between its marks, or make the file anew where it has none."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    before, found, rest = old.partition(BEGIN)
    _, closed, after = rest.partition(END)
    whole = f"{before}{BEGIN}\n{table}{END}{after}" if found and closed else table
    path.write_text(whole, encoding="utf-8")
