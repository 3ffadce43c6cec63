"""A twin for the tests of the lab: the one FLOWMASTER_TWIN names, else one called `test`, up for this run only."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.twin import Twin, TwinError, states

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the twin."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def twin() -> Iterator[Twin]:
    """The twin, up. Where it cannot come up the tests fail, and say why: a lab that is skipped proves nothing."""
    given = os.environ.get("FLOWMASTER_TWIN")
    twin = Twin(given or "test", say=lambda line: print(line, file=sys.stderr))
    was_up = twin.is_up()
    try:
        twin.up()
    except TwinError as error:
        pytest.fail(f"the twin {twin.name} does not come up: {error}", pytrace=False)
    yield twin
    if not given and not was_up:
        twin.down()


@pytest.fixture(scope="module")
def hand_made_twin(twin: Twin) -> Twin:
    """The twin in the state of the real server."""
    states.hand_made(twin)
    return twin


@pytest.fixture(scope="module")
def empty_twin(twin: Twin) -> Twin:
    """The twin in the state of a fresh server."""
    states.empty(twin)
    return twin
