"""The report for a person at a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drift.engine import Exit, Report
from drift.finding import Finding, FindingClass, ObjectRef
from drift.report import summary
from drift.report.values import declared, field, on_server, outcome, who

STYLES = {
    FindingClass.UNKNOWN: "bold magenta",
    FindingClass.CONFLICT: "bold red",
    FindingClass.DRIFT: "bold yellow",
    FindingClass.FOREIGN: "bold cyan",
    FindingClass.UNHEALTHY: "bold red",
    FindingClass.STALE: "bold blue",
    FindingClass.PENDING: "green",
}
_PIPED_WIDTH = 160
"""Columns where the output is no terminal: a file can be scrolled, and a log must not break values."""
_NARROW = 100
_CLASS = 11


def console(stream: IO[str]) -> Console:
    """A console on the stream; colours and width as the terminal and `NO_COLOR`, `COLUMNS` say."""
    known = stream.isatty() or os.environ.get("COLUMNS")
    return Console(file=stream, width=None if known else _PIPED_WIDTH, highlight=False, soft_wrap=False)


def show(report: Report, stream: IO[str]) -> None:
    """Print the report: by object, the most pressing first, a summary last where the eye is."""
    out = console(stream)
    out.print(Text(summary.subject(report), style="dim"))
    widths = _widths(report, out.width)
    for ref, findings in _by_object(report.findings):
        out.print()
        out.print(Text(str(ref), style="bold"))
        out.print(_table(findings, report, widths))
    out.print()
    for note in report.notes:
        out.print(Text(note, style="dim"))
    style = "bold green" if report.exit_code is Exit.CLEAN else STYLES[report.findings[0].cls]
    out.print(Text(summary.headline(report), style=style))


def _widths(report: Report, width: int) -> tuple[int, int, int, int]:
    """Columns for field, values, who and what follows: the same for all objects, so that the eye runs down them.

    On a narrow terminal the last two have none, and stand below.
    """
    rows = report.findings
    fields = max((len(field(row)) for row in rows), default=0)
    values = max((len(_values(row)) for row in rows), default=0)
    by = max((len(who(row, report.taken)) for row in rows), default=0)
    after = max((len(outcome(row)) for row in rows), default=0)
    room = width - _CLASS - 2 * 5
    if width < _NARROW:
        first = min(fields, room // 2)
        return first, room - first, 0, 0
    by, after = min(by, 26), min(after, 34)
    first = min(fields, (room - by - after) * 9 // 20)
    return first, min(values, room - by - after - first), by, after


def _by_object(findings: list[Finding]) -> Iterator[tuple[ObjectRef, list[Finding]]]:
    """All findings of an object together, in the order in which its most pressing one comes."""
    order: dict[ObjectRef, int] = {}
    for finding in findings:
        order.setdefault(finding.object, len(order))
    together = sorted(findings, key=lambda finding: order[finding.object])
    for ref, group in groupby(together, key=lambda finding: finding.object):
        yield ref, list(group)


def _table(findings: list[Finding], report: Report, widths: tuple[int, int, int, int]) -> Table:
    narrow = widths[2] == widths[3] == 0
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for width in (_CLASS, *widths[: 2 if narrow else 4]):
        table.add_column(width=max(width, 1), overflow="fold")
    for finding in findings:
        by, after = Text(who(finding, report.taken), style="dim"), Text(outcome(finding))
        cells = [Text(f"  {finding.cls}", style=STYLES[finding.cls]), Text(field(finding)), _values(finding)]
        table.add_row(*cells, *(() if narrow else (by, after)))
        if narrow:
            table.add_row("", by, after)
        if finding.note:
            table.add_row("", "", Text(finding.note, style="dim italic"))
    return table


def _values(finding: Finding) -> Text:
    """What there is, and what should be: `3, declared 1`."""
    text = Text(on_server(finding), style="red" if finding.heals else "")
    ours = declared(finding)
    if ours:
        text.append(" ← ", style="dim").append(ours, style="green")
    return text
