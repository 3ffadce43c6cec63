"""The report for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import IO, TYPE_CHECKING

from flowmaster.compare.finding import Finding, FindingClass, ObjectRef
from flowmaster.drift.engine import Exit, Report
from flowmaster.report import screen, summary
from flowmaster.report.screen import GAP, Cell, columns
from flowmaster.report.values import declared, field, on_server, outcome, who

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {
    FindingClass.UNKNOWN: "bold magenta",
    FindingClass.CONFLICT: "bold red",
    FindingClass.DRIFT: "bold yellow",
    FindingClass.FOREIGN: "bold cyan",
    FindingClass.UNHEALTHY: "bold red",
    FindingClass.STALE: "bold blue",
    FindingClass.PENDING: "green",
}
_NARROW = 100
_CLASS = 11


def show(report: Report, stream: IO[str]) -> None:
    """Print the report: by object, the most pressing first, a summary last where the eye is."""
    out = screen.console(stream)
    screen.show(out, _parts(report, out.width))


def _parts(report: Report, width: int) -> Iterator[RenderableType]:
    yield screen.text(summary.subject(report), "dim")
    widths = _widths(report, width)
    for ref, findings in _by_object(report.findings):
        yield ""
        yield screen.text(str(ref), "bold")
        rows = (row for finding in findings for row in _rows(finding, report, widths))
        yield from screen.rows(rows, (_CLASS, *widths))
    yield ""
    for note in report.notes:
        yield screen.text(note, "dim")
    style = "bold green" if report.exit_code is Exit.CLEAN else STYLES[report.findings[0].cls]
    yield screen.text(summary.headline(report), style)
    yield screen.text(summary.basis(report), "dim")


def _by_object(findings: list[Finding]) -> Iterator[tuple[ObjectRef, list[Finding]]]:
    """All findings of an object together, in the order in which its most pressing one comes."""
    order: dict[ObjectRef, int] = {}
    for finding in findings:
        order.setdefault(finding.object, len(order))
    together = sorted(findings, key=lambda finding: order[finding.object])
    for ref, group in groupby(together, key=lambda finding: finding.object):
        yield ref, list(group)


def _widths(report: Report, width: int) -> tuple[int, ...]:
    """Columns for field, values, who and what follows: the same for all objects, so that the eye runs down them.

    On a narrow terminal the last two have none, and stand below.
    """
    rows = report.findings
    room = width - _CLASS - GAP
    fields = max((columns(field(row)) for row in rows), default=0)
    if width < _NARROW:
        first = max(min(fields, room // 2), 1)
        return first, max(room - GAP - first, 1)
    room -= 3 * GAP
    by = min(max((columns(who(row, report.taken)) for row in rows), default=0), 26)
    after = min(max((columns(outcome(row)) for row in rows), default=0), 34)
    first = min(fields, (room - by - after) * 9 // 20)
    values = max((columns(_values(row)) for row in rows), default=0)
    return first, min(values, room - by - after - first), by, after


def _rows(finding: Finding, report: Report, widths: tuple[int, ...]) -> Iterator[list[Cell]]:
    by: Cell = [(who(finding, report.taken), "dim")]
    after: Cell = [(outcome(finding), "")]
    first: list[Cell] = [[(f"  {finding.cls}", STYLES[finding.cls])], [(field(finding), "")], _values(finding)]
    if len(widths) == 4:
        yield [*first, by, after]
    else:
        yield first
        yield [[], by, after]
    if finding.note:
        yield [[], [], [(finding.note, "dim italic")]]


def _values(finding: Finding) -> Cell:
    """What there is, and what should be: `3 ← 1`."""
    ours = declared(finding)
    there = (on_server(finding), "red" if finding.heals else "")
    return [there, (" ← ", "dim"), (ours, "green")] if ours else [there]
