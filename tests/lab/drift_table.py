"""The table of docs/drift.md: everything that the tests of the lab inject, what it is told as, and what up does.

`python -m tests.lab.drift_table` updates the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowmaster.compare.finding import ABSENT, ALLOCATED, Action, Change, Finding, FindingClass, ObjectRef, consequence
from tests.lab import nginx_rows, port_rows, rows, traffic_rows
from tests.lab.row import Expected, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "drift.md"
BEGIN, END = "<!-- injected -->", "<!-- end of injected -->"
TABLES: dict[str, Mapping[str, Row]] = {
    "Deployments": rows.OF_DEPLOYMENTS,
    "Services": rows.OF_SERVICES,
    "Configuration and the namespace": rows.OF_CONFIGURATION,
    "Foreign objects": rows.FOREIGN,
    "Traffic, owners and pods": {**traffic_rows.ROWS, **traffic_rows.ALONE, **traffic_rows.UNREAD},
    "nginx": nginx_rows.ROWS,
    "Ports and certificates": port_rows.ROWS,
}
"""Rows by what they are about."""
_HEAD = "| done by hand | object | field | class | by default |\n| --- | --- | --- | --- | --- |"
_WHICH = {"pod": "POD", "set": "REPLICASET", "uid": "UID"}


def table() -> str:
    """Return all rows as Markdown."""
    parts = [f"### {title}\n\n{_HEAD}\n" + "\n".join(_lines(found)) for title, found in TABLES.items()]
    return "\n\n".join(parts)


def updated(page: str) -> str:
    """Return the text of the page with the current table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _lines(found: Mapping[str, Row]) -> Iterator[str]:
    for name, row in found.items():
        for expected in row.findings:
            kind, _, object_name = _plain(expected.object or row.object).partition("/")
            field = f"`{_plain(expected.path)}`" if expected.path else "the whole object"
            outcome = consequence(_finding(row, expected, ObjectRef(kind, "", object_name)))
            yield f"| {name} | {kind} | {field} | `{expected.cls}` | {outcome} |"


def _finding(row: Row, expected: Expected, ref: ObjectRef) -> Finding:
    """Return a finding like the expected one, as far as what up does about it depends on it."""
    change = Change.CHANGED
    if expected.live is None:
        change = Change.MISSING
    elif expected.declared is None:
        change = Change.ADDED
    return Finding(
        FindingClass(expected.cls), ref, expected.path, change, live=ABSENT, action=Action(expected.action),
        conditions=frozenset({ALLOCATED}) if row.address else frozenset(),
    )  # fmt: skip


def _plain(text: str) -> str:
    """Return a text with words in place of what is known only on a server."""
    return re.sub(r"\{(pod|set|uid):[^}]+\}", lambda found: _WHICH[found[1]], text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
