"""Pending operations that a killed update left in the stack's state.

The next update resumes: every object of this program has a fixed name, so an object that a lost request created is
found by it. Pulumi drops pending changes with the next update, but keeps warning about pending creations, which for
objects with generated names may have left orphans. Here there are none, so they are cleared.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAMED = 5
_TIMEOUT_SECONDS = 120
"""Seconds."""


def describe(state: Mapping[str, Any]) -> str:
    """Describe the pending operations in one line; empty if there are none."""
    pending = state.get("pending_operations") or []
    names = [f"{each['type']} {_short(str(each['resource']['urn']))}" for each in pending]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return f"an update was interrupted while {named}: the next `pulumi up` resumes" if names else ""


def clear_pending_creates(state: Mapping[str, Any], project: str, stack: str, root: Path) -> str:
    """Make Pulumi drop pending creations; return the reason if it failed, else an empty string.

    `pulumi refresh` does that. Its target is the stack resource only, so it sends no request to the server.
    """
    if not any(each["type"] == "creating" for each in state.get("pending_operations") or []):
        return ""
    urn = f"urn:pulumi:{stack}::{project}::pulumi:pulumi:Stack::{project}-{stack}"
    options = ["--clear-pending-creates", "--yes", "--skip-preview", "--non-interactive", "--target", urn]
    try:
        result = subprocess.run(
            ["pulumi", "refresh", "--stack", stack, *options],
            cwd=root, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as err:
        return str(err)
    output = (result.stderr or result.stdout).split()
    return "" if result.returncode == 0 else " ".join(output)[-300:]


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]}/{name}"
