"""The rows of the table, one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.context import Bench, Comparison
from bench.rows import drift, host, preview, refresh, update


@dataclass(frozen=True, kw_only=True)
class Row:
    """One question, asked at several sizes."""

    name: str
    """What `--only` knows it by."""
    largest: int
    """Services beyond which it is not asked."""
    measure: Callable[[Bench, int], list[Comparison]]


ROWS = (
    Row(name="up", largest=1000, measure=update.measure),
    Row(name="preview", largest=300, measure=preview.measure),
    Row(name="drift", largest=3000, measure=drift.measure),
    Row(name="drift-host", largest=30, measure=host.measure),
    Row(name="preview-drift", largest=300, measure=refresh.measure),
)
