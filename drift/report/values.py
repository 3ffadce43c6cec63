"""Values, times and paths in few words."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from drift.finding import ABSENT, Change, Finding, consequence

WIDTH = 60
"""Characters that a value may take in a table."""

_PODS = "spec.template.spec."


def brief(value: Any, width: int = WIDTH) -> str:
    """A value on one line of at most this width, saying how much was left out."""
    if value is ABSENT:
        return ""
    text = _text(value)
    lines = text.splitlines()
    if len(lines) > 1:
        tail = f" … ({len(lines)} lines)"
        first = next((line for line in lines if line.strip()), "").strip()
        return _cut(first, max(width - len(tail), 8)) + tail
    if len(text) > width:
        tail = f" ({len(text)} characters)"
        return _cut(text, max(width - len(tail), 8)) + tail
    return _visible(text)


def _cut(text: str, width: int) -> str:
    text = _visible(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _visible(text: str) -> str:
    """Control characters as escapes: a value must not be able to move the cursor or colour the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, dict):
        return _part(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _part(value: dict[str, Any]) -> str:
    """A whole part of an object by what matters in it."""
    if "image" in value:
        command = value.get("command") or value.get("args")
        return f"image {value['image']}" + (f", runs {json.dumps(command, ensure_ascii=False)}" if command else "")
    named = {key: part for key, part in value.items() if key != "name"}
    if "value" in named and len(named) == 1:
        return _text(named["value"])
    if isinstance(source := named.get("valueFrom"), dict):
        return _source(source)
    if "containerPort" in named or "port" in named:
        return f"{named.get('containerPort', named.get('port'))}/{named.get('protocol', 'TCP')}"
    if len(named) == 1 and isinstance(inner := next(iter(named.values())), dict):
        # A volume: what it is made from.
        words = [str(part) for part in inner.values() if isinstance(part, (str, int)) and not isinstance(part, bool)]
        return " ".join([next(iter(named)), *words[:1]])
    return json.dumps(named or value, ensure_ascii=False, default=str)


def _source(source: dict[str, Any]) -> str:
    for kind, reference in source.items():
        if isinstance(reference, dict):
            what = "/".join(str(part) for part in reference.values() if isinstance(part, str))
            return f"from {kind.removesuffix('Ref').removesuffix('Key')} {what}"
    return json.dumps(source, ensure_ascii=False, default=str)


def ago(when: datetime, now: datetime) -> str:
    """How long ago, roughly."""
    seconds = max(0, int((now - when).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def who(finding: Finding, now: datetime) -> str:
    """Who set the live value, and when."""
    parts = [finding.manager or "", ago(finding.when, now) if finding.when else ""]
    return ", ".join(part for part in parts if part)


def field(finding: Finding) -> str:
    """The field, without the beginning that all fields of pods have."""
    return finding.path.removeprefix(_PODS) if finding.path.startswith(f"{_PODS}containers[") else finding.path


def outcome(finding: Finding) -> str:
    """What the next `up` does about it."""
    return consequence(finding, brief(finding.declared, 24) if finding.declared is not ABSENT else "")


def on_server(finding: Finding, width: int = WIDTH) -> str:
    """What there is, or that there is nothing."""
    if finding.change is Change.MISSING:
        return "(missing)"
    # What a server or a pod says about itself is worth more room than a value.
    return brief(finding.live, 4 * width if finding.change is Change.STATE else width)


def declared(finding: Finding, width: int = WIDTH) -> str:
    """What is declared, or that nothing is."""
    if finding.change is Change.ADDED:
        return "(not declared)"
    return brief(finding.declared, width)


def line(finding: Finding, now: datetime) -> str:
    """The whole finding on one line, readable without any other: what preview prints."""
    where = f"{finding.object} {finding.path}".strip()
    told = on_server(finding)
    if finding.change is not Change.ADDED and finding.declared is not ABSENT:
        told += f", declared {brief(finding.declared)}"
    by = who(finding, now)
    tail = f"; {finding.note}" if finding.note else ""
    return f"{finding.cls}: {where}: {told}{f' (by {by})' if by else ''}: {outcome(finding)}{tail}"
