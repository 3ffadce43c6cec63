"""Short forms of values, times and paths."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, consequence

WIDTH = 60
"""Characters that a value may take in a table."""

_SENTENCE = 320
"""Characters of what is said about something as a whole: a table has lines enough for it."""

_NAMED = 24
"""Characters up to which the declared value is repeated in what `up` does."""

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
        return f"{value['kind']}/{value.get('name')}" if {"kind", "uid"} <= value.keys() else _part(value)
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
    """Format an age, rounded."""
    seconds = max(0, int((now - when).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def who(finding: Finding, now: datetime) -> str:
    """Name the field manager of the live value, and its age."""
    parts = [finding.manager or "", ago(finding.when, now) if finding.when else ""]
    return ", ".join(part for part in parts if part)


def field(finding: Finding) -> str:
    """The field as short as it is clear beneath its object: without what goes without saying.

    Fields of pods begin in the same way all, and the container that is named like its object is its main one.
    """
    short = finding.path
    for opening in (_PODS, f"containers[{finding.object.name}]."):
        short = short.removeprefix(opening)
    if short == f"pods.containers[{finding.object.name}]":
        return "pods"
    return short or "(all of it)"


def outcome(finding: Finding) -> str:
    """Say what the next `up` does about a finding."""
    value = "" if finding.declared is ABSENT or finding.secret else _text(finding.declared)
    return consequence(finding, _visible(value) if len(value) <= _NAMED else "")


def on_server(finding: Finding, width: int = WIDTH) -> str:
    """What there is, or that there is nothing."""
    if finding.change is Change.MISSING:
        return "(missing)"
    # What a server, a pod or a whole object is said to be like is a sentence, and its end matters most.
    sentence = isinstance(finding.live, str) and (finding.change is Change.STATE or not finding.path)
    return brief(_without_folder(finding.live, finding), _SENTENCE if sentence else width)


def declared(finding: Finding, width: int = WIDTH) -> str:
    """What is declared; nothing where nothing is, or where it goes without saying."""
    if finding.change is Change.ADDED:
        return ""
    if finding.cls is FindingClass.UNHEALTHY and isinstance(finding.declared, str):
        return ""
    return brief(_without_folder(finding.declared, finding), width)


def _without_folder(value: Any, finding: Finding) -> Any:
    """An image without registry and folder, where these are the same on both sides."""
    both = (finding.live, finding.declared)
    if not finding.path.endswith(".image") or finding.cls is FindingClass.STALE:
        return value
    folders = {part.rpartition("/")[0] if isinstance(part, str) else None for part in both}
    return value.rpartition("/")[2] if len(folders) == 1 and isinstance(value, str) else value


def line(finding: Finding, now: datetime) -> str:
    """Render a finding on one line, as preview prints it."""
    where = f"{finding.object} {finding.path}".strip()
    told = on_server(finding)
    if finding.change is not Change.ADDED and (meant := declared(finding)):
        told += f", declared {meant}"
    by = f"by {who(finding, now)}" if finding.manager else who(finding, now)
    tail = f"; {finding.note}" if finding.note else ""
    return f"{finding.cls}: {where}: {told}{f' ({by})' if by else ''}: {outcome(finding)}{tail}"
