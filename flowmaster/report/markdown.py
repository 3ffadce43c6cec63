"""The report as Markdown, for a comment on a merge request."""

from __future__ import annotations

import re

from flowmaster.compare.finding import Finding, FindingClass
from flowmaster.drift.engine import Report
from flowmaster.report import summary
from flowmaster.report.values import declared, on_server, outcome, who

LIMIT = 60_000
"""Characters: the hosts of merge requests refuse or cut longer comments."""

_HEAD = (
    "| | object | field | on the server | declared | by | the next `up` |\n| --- | --- | --- | --- | --- | --- | --- |"
)
_TICKS = re.compile(r"`+")


def text(report: Report, limit: int = LIMIT) -> str:
    """The report, the summary first; what does not fit is counted, never dropped in silence."""
    top = f"### Drift of {report.stack or report.namespace}\n\n{summary.headline(report)}\n"
    foot = f"\n{_plain(summary.basis(report))}\n"
    foot += f"\n{_plain(summary.subject(report))} · fingerprint `{report.fingerprint}`\n"
    if report.notes:
        foot = "\n" + "\n".join(_plain(note) for note in report.notes) + "\n" + foot
    if not report.findings:
        return top + foot
    rows: list[str] = []
    room = limit - len(top) - len(foot) - len(_HEAD) - 200
    for finding in report.findings:
        row = _row(finding, report)
        if room < len(row) + 1:
            break
        room -= len(row) + 1
        rows.append(row)
    left = len(report.findings) - len(rows)
    more = f"\nand {left} more findings: `flowmaster drift` lists them all\n" if left else ""
    legend = "\n".join(f"- **{cls}**: {cls.meaning}" for cls in FindingClass if report.counts[cls])
    return f"{top}\n{_HEAD}\n" + "\n".join(rows) + f"\n{more}\n{legend}\n{foot}"


def _row(finding: Finding, report: Report) -> str:
    what = outcome(finding) + (f"; {finding.note}" if finding.note else "")
    cells = [
        f"**{finding.cls}**",
        _code(str(finding.object)),
        _code(finding.path),
        _code(on_server(finding)),
        _code(declared(finding)),
        _plain(who(finding, report.taken)),
        _plain(what),
    ]
    return f"| {' | '.join(cells)} |"


def _code(value: str) -> str:
    """A value as code: nothing in it counts as Markdown, whatever it is."""
    if not value:
        return ""
    value = value.replace("|", "\\|").replace("\n", " ")
    fence = "`" * (1 + max((len(ticks) for ticks in _TICKS.findall(value)), default=0))
    pad = " " if value.startswith("`") or value.endswith("`") else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def _plain(value: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", value).replace("\n", " ")
