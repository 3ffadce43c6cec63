"""Compares the findings of an approved preview with those of the update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowmaster.report.values import brief

_RELEVANT_CLASSES = frozenset({"conflict", "drift", "foreign", "pending"})
"""Classes that affect what an update does. Restarted pods, for example, do not matter."""
_OF_CONTROLLERS = ("pods[", "replicaSets[")
"""Paths into what controllers make of an object: an update does not write it."""

Key = tuple[str, str, str, str]


def changes_since(approved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one line for each difference between two reports (JSON documents); empty if the approval still holds."""
    if approved.get("fingerprint") == now.get("fingerprint"):
        return []
    before, after = _differences(approved), _differences(now)
    lines = [f"new: {_describe(after[key])}" for key in after if key not in before]
    lines += [f"gone: {_describe(before[key])}" for key in before if key not in after]
    for key in before.keys() & after.keys():
        was, now_is = before[key], after[key]
        if _compared(was) != _compared(now_is):
            lines.append(f"changed: {_describe(now_is)}, it was {_value(was)}")
    return sorted(lines) or ["the findings are the same, but another version of this program made them"]


def _differences(document: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    found = {}
    for finding in document["findings"]:
        ref = finding["object"]
        if finding["class"] in _RELEVANT_CLASSES and not finding["path"].startswith(_OF_CONTROLLERS):
            found[(ref["kind"], ref["namespace"], ref["name"], finding["path"])] = finding
    return found


def _compared(finding: Mapping[str, Any]) -> str:
    names = ("class", "change", "action", "live", "declared", "revision")
    return json.dumps([finding.get(name) for name in names], sort_keys=True)


def _describe(finding: Mapping[str, Any]) -> str:
    ref = finding["object"]
    where = f"{ref['kind']}/{ref['name']} {finding['path']}".strip()
    return f"{finding['class']} {where}: {_value(finding)}"


def _value(finding: Mapping[str, Any]) -> str:
    return brief(finding["live"]) if "live" in finding else "(missing)"
