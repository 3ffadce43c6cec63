"""What an update that was killed had begun and not finished, as the stack's state has it.

The next update goes on from there: every object of this program has a name of its own, so whatever a lost request made
is found by that name. Pulumi forgets unfinished changes with the next update, but warns about unfinished creations for
ever, since of objects without a fixed name nobody could tell. It is told here that there are none.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAMED = 5
_PATIENCE = 120
"""Seconds."""


def told(state: Mapping[str, Any]) -> str:
    """What was not finished, in one line; empty if everything was."""
    pending = state.get("pending_operations") or []
    names = [f"{each['type']} {_short(str(each['resource']['urn']))}" for each in pending]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return f"an update was interrupted while {named}: the next `pulumi up` goes on from there" if names else ""


def forget_creations(state: Mapping[str, Any], project: str, stack: str, root: Path) -> str:
    """Have Pulumi forget creations that were not finished; returns why it did not, or nothing.

    Its refresh does that; it is told to refresh nothing but the stack itself, and so asks the server nothing.
    """
    if not any(each["type"] == "creating" for each in state.get("pending_operations") or []):
        return ""
    urn = f"urn:pulumi:{stack}::{project}::pulumi:pulumi:Stack::{project}-{stack}"
    words = ["--clear-pending-creates", "--yes", "--skip-preview", "--non-interactive", "--target", urn]
    try:
        done = subprocess.run(
            ["pulumi", "refresh", "--stack", stack, *words],
            cwd=root, capture_output=True, text=True, check=False, timeout=_PATIENCE,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as err:
        return str(err)
    said = (done.stderr or done.stdout).split()
    return "" if done.returncode == 0 else " ".join(said)[-300:]


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]}/{name}"
