"""Durations, sizes, names and texts of compose as Kubernetes writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_LABEL_LENGTH = 63


class WordError(ValueError):
    """A value that is not what its key wants."""


def seconds(value: object) -> float:
    """A duration such as ``1m30s``, in seconds; a bare number is one already.

    :raises WordError: where it is none.
    """
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise WordError(f"{text!r} is no duration such as 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def whole_seconds(value: object, least: int = 1) -> int:
    """A duration in whole seconds, rounded up."""
    return max(least, math.ceil(round(seconds(value), 9)))


def size(value: object) -> int:
    """A size such as ``256m`` in bytes.

    :raises WordError: where it is none.
    """
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise WordError(f"{value!r} is no size such as 256m")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def quantity(number: int) -> str:
    """Bytes as Kubernetes writes them, in the largest unit that is exact."""
    for unit, factor in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def cores(value: object) -> str:
    """A number of processors as Kubernetes writes it.

    :raises WordError: where it is none.
    """
    try:
        thousandths = math.ceil(round(float(str(value)) * 1000, 6))
    except ValueError as err:
        raise WordError(f"{value!r} is no number of processors") from err
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def slug(text: str) -> str:
    """A text as a DNS label: what else there is in it becomes ``-``."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain[:_LABEL_LENGTH].strip("-") or "x"


def is_label(text: str) -> bool:
    """Whether Kubernetes takes it for the name of a Service."""
    return len(text) <= _LABEL_LENGTH and bool(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", text))


def is_host(text: str) -> bool:
    """Whether Kubernetes takes it for a host's name in ``/etc/hosts``."""
    return len(text) <= 253 and bool(_HOST.fullmatch(text))


def literal(text: str) -> str:
    """A text so that Kubernetes takes it as it stands: it would fill in ``$(NAME)``, and make ``$`` of ``$$``."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def readdressed(text: str, hosts: Mapping[str, str]) -> str:
    """A text with addresses replaced by names, where they stand alone."""
    for address, name in hosts.items():
        text = re.sub(rf"(?<![\d.]){re.escape(address)}(?![\d]|\.\d)", name, text)
    return text
