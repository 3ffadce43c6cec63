"""How long a volume is waited for before its claim is made."""

from __future__ import annotations

from typing import Any

import pytest

from components import volumes
from flowmaster.cluster.errors import ApiError


def wait(*phases: str | None) -> tuple[bool, list[str]]:
    """Whether it is known in the end, and what was asked."""
    asked: list[str] = []

    def get(path: str) -> dict[str, Any]:
        asked.append(path)
        phase = phases[min(len(asked), len(phases)) - 1]
        if phase is None:
            raise ApiError("the API server refuses it", status=403)
        return {"status": {"phase": phase} if phase else {}}

    return volumes._wait(get, "data", lambda _: None), asked


@pytest.mark.parametrize("phase", ["Available", "Bound"])
def test_it_is_asked_until_the_controller_has_seen_it(phase: str) -> None:
    assert wait("", "Pending", phase) == (True, ["/api/v1/persistentvolumes/data"] * 3)


def test_where_it_may_not_be_read_nothing_is_waited_for() -> None:
    known, asked = wait(None)
    assert (known, len(asked)) == (False, 1)


def test_it_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "PATIENCE", 0.05)
    assert wait("Pending")[0] is False
