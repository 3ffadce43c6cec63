"""Values that can be spelled in several ways."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.cluster.quantity import integer_or_string, quantity, timestamp


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1000m", "1"),
        ("1000m", 1),
        ("1Gi", "1024Mi"),
        ("0.5", "500m"),
        ("1e3", "1k"),
        (".5", "0.5"),
        ("100u", "100000n"),
    ],
)
def test_the_same_amount(one: Any, other: Any) -> None:
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), ("1", "1m"), ("64Mi", "64M"), ("abc", "abd"), (True, 1)])
def test_another_amount(one: Any, other: Any) -> None:
    assert quantity(one) != quantity(other) or one is True


def test_ports_and_percentages() -> None:
    assert integer_or_string("8080") == integer_or_string(8080)
    assert integer_or_string("25%") == "25%"
    assert integer_or_string("http") == "http"


def test_moments() -> None:
    assert timestamp("2026-02-08T11:00:00+04:00") == timestamp("2026-02-08T07:00:00Z")
    assert timestamp("2026-02-08T07:00:01Z") != timestamp("2026-02-08T07:00:00Z")
    assert timestamp("20260208") == "20260208"
    assert timestamp("The 1st") == "The 1st"
