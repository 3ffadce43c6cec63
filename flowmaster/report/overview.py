"""The overview for a person at a terminal: one screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import IO

from flowmaster.drift.engine import Exit
from flowmaster.drift.overview import Line, Overview, ServiceRow
from flowmaster.report import summary
from flowmaster.report.layout import Cell, Painter, columns
from flowmaster.report.terminal import STYLES
from flowmaster.report.values import ago

_MARK = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "magenta")}
_HEADS = ("service", "ready", "restarts", "version", "age", "memory", "tested", "drift")
_GAP = 2
_WIDTH = 160


def show(whole: Overview, stream: IO[str]) -> None:
    """Print the overview; colours as the terminal and `NO_COLOR` say."""
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    stream.write("\n".join(line.rstrip() for line in lines(whole, coloured)) + "\n")


def lines(whole: Overview, coloured: bool) -> Iterator[str]:
    """Services, everything else, and the drift last, where the eye is."""
    paint = Painter(coloured)
    yield from paint.wrapped([(summary.subject(whole.report), "dim")], _WIDTH)
    yield from _table(
        paint, [[[(head, "dim")] for head in _HEADS], *(_row(r, whole.report.taken) for r in whole.services)]
    )
    yield ""
    yield from _table(paint, [_cells(line) for line in whole.lines])
    yield ""
    ran = sum(row.ready >= row.wanted > 0 for row in whole.services)
    zero = sum(row.wanted == 0 for row in whole.services)
    tested = f"{whole.untested} never tested (flowmaster smoke)" if whole.untested else "all tested"
    tested += f", {whole.failed} failed" if whole.failed else ""
    yield from paint.wrapped(
        [(f"{ran} of {len(whole.services) - zero} services are ready, {zero} at 0, {tested}.", "bold")], _WIDTH
    )
    clean = whole.report.exit_code is Exit.CLEAN
    style = "bold green" if clean else STYLES[whole.report.findings[0].cls]
    yield from paint.wrapped([(summary.headline(whole.report), style)], _WIDTH)


def _table(paint: Painter, rows: list[list[Cell]]) -> Iterator[str]:
    widths = [max(sum(columns(text) for text, _ in row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield from paint.row(row, tuple(widths), _GAP)


def _cells(line: Line) -> list[Cell]:
    return [[_MARK[line.well]], [(line.what, "")], [(line.words, "")]]


def _row(row: ServiceRow, now: datetime) -> list[Cell]:
    tested = "UNTESTED" if row.tested is None else ("failed " if row.failed else "") + ago(row.tested, now)
    above = row.memory is not None and row.request is not None and row.memory > row.request
    return [
        [(row.name, "" if row.wanted else "dim")],
        [(f"{row.ready}/{row.wanted}", "bold red" if row.ready < row.wanted else "")],
        [(str(row.restarts or "·"), "yellow" if row.restarts else "dim")],
        [(row.version, "")],
        [(ago(row.since, now).removesuffix(" ago") if row.since else "·", "dim")],
        [(_memory(row), "bold red" if above else "")],
        [(tested if row.wanted else "·", "bold red" if row.failed else "dim")],
        [(str(row.worst or "·"), STYLES[row.worst] if row.worst else "dim")],
    ]


def _memory(row: ServiceRow) -> str:
    used = "?" if row.memory is None else f"{row.memory / 2**20:.0f}"
    return f"{used}/{row.request / 2**20:.0f} Mi" if row.request else f"{used} Mi"
