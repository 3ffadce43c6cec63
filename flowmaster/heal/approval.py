"""Whether the server is still what it was when somebody approved an update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowmaster.report.values import brief

_COUNTING = frozenset({"conflict", "drift", "foreign", "pending"})
"""Classes that say something about what an update does; pods that restart meanwhile do not matter."""

Key = tuple[str, str, str, str]


def changes(approved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two reports (as JSON documents), one line each; nothing if the approval still holds."""
    if approved.get("fingerprint") == now.get("fingerprint"):
        return []
    before, after = _differences(approved), _differences(now)
    lines = [f"new: {_words(after[key])}" for key in after if key not in before]
    lines += [f"gone: {_words(before[key])}" for key in before if key not in after]
    for key in before.keys() & after.keys():
        was, now_is = before[key], after[key]
        if _compared(was) != _compared(now_is):
            lines.append(f"changed: {_words(now_is)}, it was {_value(was)}")
    return sorted(lines) or ["the findings are the same, but they were made by another version of this program"]


def _differences(document: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    found = {}
    for finding in document["findings"]:
        ref = finding["object"]
        if finding["class"] in _COUNTING:
            found[(ref["kind"], ref["namespace"], ref["name"], finding["path"])] = finding
    return found


def _compared(finding: Mapping[str, Any]) -> str:
    names = ("class", "change", "action", "live", "declared", "revision")
    return json.dumps([finding.get(name) for name in names], sort_keys=True)


def _words(finding: Mapping[str, Any]) -> str:
    ref = finding["object"]
    where = f"{ref['kind']}/{ref['name']} {finding['path']}".strip()
    return f"{finding['class']} {where}: {_value(finding)}"


def _value(finding: Mapping[str, Any]) -> str:
    return brief(finding["live"]) if "live" in finding else "(missing)"
