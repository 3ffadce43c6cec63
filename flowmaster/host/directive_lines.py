"""Finds the line of a directive by its path in :mod:`flowmaster.host.nginx_tree`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmaster.compare.path import Path
from flowmaster.host import nginx_tree

Directive = Mapping[str, Any]


def line_of(directives: Iterable[Directive], path: Path) -> int:
    """Return the line of the directive at a path, or of the block around it where it has none."""
    line, steps = 1, list(map(str, path))
    while steps:
        alike = [d for d in directives if d["directive"] == steps[0]]
        exact = [d for d in alike if steps[1:] and nginx_tree.plain(steps[1]) in _keys(d)]
        line = int((exact or alike or [{"line": line}])[0]["line"])
        directives, steps = (exact[0].get("block", ()), steps[2:]) if exact else ((), [])
    return line


def _keys(directive: Directive) -> set[str]:
    words = list(directive["args"])
    key = nginx_tree.label(directive["directive"], words, directive.get("block", []))
    return {key, *words[:1], *map(nginx_tree.header, words[:1])}
