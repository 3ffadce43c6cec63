"""The report in one sentence."""

from __future__ import annotations

from flowmaster.compare.finding import FindingClass
from flowmaster.drift.engine import Exit, Report


def headline(report: Report) -> str:
    """Count the findings, and say what `up` does about them."""
    if report.exit_code is Exit.CLEAN:
        ignored = f" ({report.ignored} ignored by rules)" if report.ignored else ""
        return f"No drift: all {report.declared} declared objects are as declared{ignored}."
    counts = report.counts
    classes = ", ".join(f"{counts[cls]} {cls}" for cls in FindingClass if counts[cls])
    heals = sum(finding.heals for finding in report.findings)
    total = len(report.findings)
    parts = [f"{total} finding{'' if total == 1 else 's'}: {classes}."]
    if heals:
        whole = "it" if total == 1 else "all of them" if heals == total else f"{heals} of them"
        parts.append(f"The next up settles {whole}.")
    else:
        parts.append("The next up changes nothing about it.")
    if counts[FindingClass.UNKNOWN]:
        parts.append("What could not be read may hide more.")
    return " ".join(parts)


def basis(report: Report) -> str:
    """Say what the report rests on, and what was not looked at."""
    covered = report.coverage
    counts = (
        (covered.objects, "object"),
        (covered.kinds, "kind"),
        (covered.sites, "site"),
        (covered.projects, "compose project"),
        (covered.ports, "port"),
        (covered.certificates, "certificate"),
        (covered.tags, "tag"),
    )
    looked = [f"{count} {what}{'' if count == 1 else 's'}{_HOW.get(what, '')}" for count, what in counts if count]
    left = ", ".join(covered.not_looked_at)
    return f"Looked at: {', '.join(looked) or 'nothing'}" + (f"; not looked at: {left}." if left else ".")


_HOW = {"port": " answered"}


def subject(report: Report) -> str:
    """Name the server and the time of the report."""
    stack = f"{report.stack}: " if report.stack else ""
    taken = report.taken.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{stack}namespace {report.namespace} on {report.server}, {taken}"
