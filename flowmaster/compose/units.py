"""Converts durations, sizes, names and texts of compose to Kubernetes' notation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_LABEL_LENGTH = 63


class UnitError(ValueError):
    """A value that does not have the format of its key."""


def seconds(value: object) -> float:
    """Parse a duration such as ``1m30s``; a bare number is in seconds.

    :raises UnitError: if it cannot be parsed.
    """
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise UnitError(f"{text!r} is not a duration such as 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def whole_seconds(value: object, least: int = 1) -> int:
    """Parse a duration and round it up to whole seconds."""
    return max(least, math.ceil(round(seconds(value), 9)))


def size(value: object) -> int:
    """Parse a size such as ``256m`` into bytes.

    :raises UnitError: if it cannot be parsed.
    """
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise UnitError(f"{value!r} is not a size such as 256m")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def quantity(number: int) -> str:
    """Format bytes as a Kubernetes quantity, in the largest unit that is exact."""
    for unit, factor in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def cores(value: object) -> str:
    """Format a number of processors as a Kubernetes quantity.

    :raises UnitError: if it cannot be parsed.
    """
    try:
        thousandths = math.ceil(round(float(str(value)) * 1000, 6))
    except ValueError as err:
        raise UnitError(f"{value!r} is not a number of processors") from err
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def slug(text: str) -> str:
    """Turn a text into a DNS label; other characters become ``-``."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain[:_LABEL_LENGTH].strip("-") or "x"


def is_label(text: str) -> bool:
    """Return whether a text is a valid Service name."""
    return len(text) <= _LABEL_LENGTH and bool(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", text))


def is_host(text: str) -> bool:
    """Return whether a text is a valid host name for ``hostAliases``."""
    return len(text) <= 253 and bool(_HOST.fullmatch(text))


def escape_expansion(text: str) -> str:
    """Escape a text against Kubernetes' expansion of ``$(NAME)`` and ``$$``."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def replace_addresses(text: str, hosts: Mapping[str, str]) -> str:
    """Replace addresses by names, except within longer numbers."""
    for address, name in hosts.items():
        text = re.sub(rf"(?<![\d.]){re.escape(address)}(?![\d]|\.\d)", name, text)
    return text
