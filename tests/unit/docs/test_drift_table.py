"""The table of what was injected in docs/drift.md is that of the lab's rows."""

from __future__ import annotations

from flowmaster.compare.finding import FindingClass
from tests.lab import drift_table


def test_the_table_is_that_of_the_rows() -> None:
    text = drift_table.PAGE.read_text(encoding="utf-8")
    assert drift_table.BEGIN in text
    assert drift_table.updated(text) == text, "python -m tests.lab.drift_table"


def test_every_row_is_in_the_table_with_a_class_that_there_is() -> None:
    lines = [line for line in drift_table.table().splitlines() if line.startswith("| ")]
    rows = [line.split(" | ") for line in lines if not line.startswith(("| done by hand", "| ---"))]
    findings = sum(len(row.findings) for table in drift_table.TABLES.values() for row in table.values())
    assert len(rows) == findings > 60
    assert {row[3].strip("`") for row in rows} <= set(FindingClass)
    assert all(len(row) == 5 for row in rows)
