"""The overview for a person at a terminal: one screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING

from flowmaster.drift.engine import Exit
from flowmaster.drift.overview import Line, Overview, ServiceRow
from flowmaster.report import screen, summary
from flowmaster.report.screen import GAP, Cell, columns
from flowmaster.report.terminal import STYLES
from flowmaster.report.values import ago

if TYPE_CHECKING:
    from rich.console import RenderableType

_MARK = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "magenta")}
_HEADS = ("service", "ready", "version", "age", "memory", "tested", "drift")


def show(whole: Overview, stream: IO[str]) -> None:
    """Print the overview: services, everything else, and the drift last, where the eye is."""
    out = screen.console(stream)
    screen.show(out, _parts(whole, out.width))


def _parts(whole: Overview, width: int) -> Iterator[RenderableType]:
    yield screen.text(summary.subject(whole.report), "dim")
    heads: list[Cell] = [[(head, "dim")] for head in _HEADS]
    rows = [heads, *(_row(row, whole.report.taken) for row in whole.services)]
    natural = sum(max(columns(row[number]) for row in rows) + GAP for number in range(len(_HEADS))) - GAP
    yield screen.table(rows, gap=GAP if natural <= width else 1)
    yield ""
    yield screen.table([_cells(line) for line in whole.lines])
    yield ""
    ran = sum(row.ready >= row.wanted > 0 for row in whole.services)
    zero = sum(row.wanted == 0 for row in whole.services)
    restarts = sum(row.restarts for row in whole.services)
    said = [f"{ran} of {len(whole.services) - zero} services are ready", f"{zero} at 0"]
    said += [f"{restarts} restarts (↻)"] if restarts else []
    said += [f"{whole.untested} never tested (flowmaster smoke)" if whole.untested else "all tested"]
    said += [f"{whole.failed} failed"] if whole.failed else []
    yield screen.text(f"{', '.join(said)}.", "bold")
    clean = whole.report.exit_code is Exit.CLEAN
    style = "bold green" if clean else STYLES[whole.report.findings[0].cls]
    yield screen.text(summary.headline(whole.report), style)
    yield screen.text(summary.basis(whole.report), "dim")


def _cells(line: Line) -> list[Cell]:
    return [[_MARK[line.well]], [(line.what, "")], [(line.words, "")]]


def _row(row: ServiceRow, now: datetime) -> list[Cell]:
    tested = (
        "UNTESTED" if row.tested is None else ("✗ " if row.failed else "") + ago(row.tested, now).removesuffix(" ago")
    )
    above = row.memory is not None and row.request is not None and row.memory > row.request
    return [
        [(row.name, "" if row.wanted else "dim")],
        [
            (f"{row.ready}/{row.wanted}", "bold red" if row.ready < row.wanted else ""),
            *([(f" ↻{row.restarts}", "yellow")] if row.restarts else []),
        ],
        [(row.version, "")],
        [(ago(row.since, now).removesuffix(" ago") if row.since else "·", "dim")],
        [(_memory(row), "bold red" if above else "")],
        [(tested if row.wanted else "·", "bold red" if row.failed else "dim")],
        [(str(row.worst or "·"), STYLES[row.worst] if row.worst else "dim")],
    ]


def _memory(row: ServiceRow) -> str:
    used = "?" if row.memory is None else f"{row.memory / 2**20:.0f}"
    return f"{used}/{row.request / 2**20:.0f} Mi" if row.request else f"{used} Mi"
