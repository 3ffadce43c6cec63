"""Refuses an update if the findings differ from those of the approved preview.

`pulumi up` runs the program twice: for the preview that a person approves, and for the update. The preview saves its
report under the process id of the Pulumi CLI, and the update reads it. Between processes (a CI job that previews,
another that updates) the fingerprint of the approved preview is passed in :data:`VARIABLE`.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pulumi

from config.errors import UserError
from config.settings import Settings
from flowmaster.drift.engine import Report
from flowmaster.heal.approval import changes_since
from flowmaster.report import as_json

VARIABLE = "FLOWMASTER_APPROVED"
_NAMED = 3


class ApprovalError(UserError):
    """The server or the program changed after the approval."""


def check(settings: Settings, report: Report) -> None:
    """In a preview, save the report; in an update, compare the findings with the saved ones.

    :raises ApprovalError: if the findings changed, with the changes.
    """
    wanted = settings.environ.get(VARIABLE)
    if wanted and wanted != report.fingerprint and not pulumi.runtime.is_dry_run():
        raise ApprovalError(
            f"{wanted} was approved, but the server and the program are now at {report.fingerprint}",
            "the update would differ from what was approved",
            f"run `pulumi preview` again, and approve its result ({VARIABLE}={report.fingerprint})",
        )
    path = _record()
    if path is None:
        return
    if pulumi.runtime.is_dry_run():
        _write(path, as_json.document(report))
        return
    approved = _read(path)
    path.unlink(missing_ok=True)
    if approved is None:
        return
    changes = changes_since(approved, as_json.document(report))
    if changes:
        more = f"; and {len(changes) - _NAMED} more" if changes[_NAMED:] else ""
        raise ApprovalError(
            "the server changed after the preview that was approved: " + "; ".join(changes[:_NAMED]) + more,
            "the update would differ from what was approved, so nothing was changed",
            "run `pulumi up` again, and check its preview",
        )


def _record() -> Path | None:
    """Return the file for this CLI's preview report; None if the CLI cannot be identified (no /proc)."""
    cli = _cli()
    if cli is None:
        return None
    folder = Path(tempfile.gettempdir()) / f"flowmaster-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return None
    return folder / f"preview-{cli}.json"


def _cli() -> str | None:
    """Return process id and start time of the Pulumi CLI that runs this program."""
    pid = os.getppid()
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return None
        name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        if name == "pulumi":
            return f"{pid}-{rest[19]}"
        pid = int(rest[1])
    return None


def _write(path: Path, document: dict[str, Any]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(document, stream)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return document
