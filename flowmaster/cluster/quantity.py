"""Canonical forms of values that Kubernetes accepts in several notations."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d{1,3}))?\Z")
_SUFFIX = {
    **{suffix: Fraction(1024) ** power for power, suffix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "m": Fraction(1, 1000),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
}


@lru_cache(maxsize=4096)
def _parse(text: str) -> Fraction | str:
    match = _QUANTITY.match(text)
    if match is None:
        return text
    number, suffix, exponent = match.groups()
    return Fraction(number) * (Fraction(10) ** int(exponent) if exponent else _SUFFIX[suffix or ""])


def quantity(value: Any) -> Any:
    """A number for a resource quantity (`1000m` and `1`, `1Gi` and `1024Mi`); what is none stays as it is."""
    return _parse(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


def integer_or_string(value: Any) -> Any:
    """A port or a count written as text counts as the number (`"8080"`); names and percentages stay."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def timestamp(value: Any) -> Any:
    """The moment a time stands for, whatever its zone; what is none stays as it is."""
    if not isinstance(value, str) or "T" not in value:
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
