"""Renders the report as JSON (docs/drift-report.schema.json)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flowmaster.compare.finding import ABSENT, OPAQUE, Finding, FindingClass
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.engine import Report
from flowmaster.report.summary import headline
from flowmaster.report.values import outcome

VERSION = 1
"""Increases if a key changes its meaning or is removed."""


def document(report: Report) -> dict[str, Any]:
    """The report as plain data. Values are whole, other than in tables, unless they are secret."""
    return {
        "version": VERSION,
        "stack": report.stack,
        "namespace": report.namespace,
        "server": report.server,
        "taken": report.taken.isoformat(),
        "seconds": round(report.seconds, 3),
        "exitCode": int(report.exit_code),
        "summary": headline(report),
        "counts": {str(cls): report.counts[cls] for cls in FindingClass},
        "declared": report.declared,
        "ignored": report.ignored,
        "fingerprint": report.fingerprint,
        "notes": report.notes,
        "coverage": _coverage(report.coverage),
        "findings": [_finding(finding) for finding in report.findings],
    }


def _coverage(covered: Coverage) -> dict[str, Any]:
    """What the report rests on."""
    counts = {name: count for name, count in asdict(covered).items() if name != "not_looked_at"}
    return {**counts, "notLookedAt": list(covered.not_looked_at)}


def _finding(finding: Finding) -> dict[str, Any]:
    """One finding. `live` and `declared` are left out where there is nothing on that side."""
    ref = finding.object
    found: dict[str, Any] = {
        "class": str(finding.cls),
        "object": {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "path": finding.path,
        "change": str(finding.change),
        "manager": finding.manager,
        "when": finding.when.isoformat() if finding.when else None,
        "action": str(finding.action),
        "heals": finding.heals,
        "outcome": outcome(finding),
        "secret": finding.secret,
        "note": finding.note,
        "revision": finding.revision,
    }
    for name, value in (("live", finding.live), ("declared", finding.declared)):
        if value is not ABSENT:
            found[name] = "(secret)" if value is OPAQUE else value
    return found


def text(report: Report) -> str:
    """The report as indented JSON text."""
    import orjson

    return orjson.dumps(document(report), option=orjson.OPT_INDENT_2, default=str).decode()
