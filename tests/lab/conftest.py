"""A twin for the tests of the lab: the one FLOWMASTER_TWIN names, else one of the worker's own, up for this run."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.twin import Twin, TwinError, states
from tests.lab.clone import Clone, Run

HERE = Path(__file__).parent
MAIN_JOB = pytest.StashKey[Run]()


LONGEST_FIRST = (
    "test_sdx_kills", "test_faults", "test_sdx_faults", "test_drift_table",
    "test_compose_translation", "test_adoption", "test_main_job", "test_nginx", "test_sdx_drift", "test_sdx_move",
)  # fmt: skip
"""Modules that take minutes: begun first, so that no worker is left alone with one at the end."""


MEMORY = 3 << 30
"""Bytes that a twin with FlowMaster on it takes at most, together with the tools at work on it."""


def pytest_xdist_auto_num_workers() -> int:
    """As many twins as this machine's cores and memory carry: more would only make each other late."""
    cores = len(os.sched_getaffinity(0))
    [available] = re.findall(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return max(1, min(cores, int(available) * 1024 // MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the twin, and is begun before the rest."""
    turns = {name: turn for turn, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: (HERE not in item.path.parents, turns.get(item.path.stem, len(turns))))
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            # A real server on a busy machine may be late once; what fails twice is broken. Each rerun is reported.
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def twin() -> Iterator[Twin]:
    """The twin, up. Where it cannot come up the tests fail, and say why: a lab that is skipped proves nothing."""
    given = os.environ.get("FLOWMASTER_TWIN")
    own = os.environ.get("PYTEST_XDIST_WORKER", "gw0").replace("gw", "test")
    twin = Twin(given or own, say=lambda line: print(line, file=sys.stderr))
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


@pytest.fixture(scope="session")
def clone(twin: Twin) -> Clone:
    """This clone, at work on the twin."""
    return Clone.of(twin)


@pytest.fixture(scope="session")
def main_job(clone: Clone) -> Run:
    """`lab/demo --fresh`, once for all tests that look at what it does."""
    return clone.deploy()


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest, clone: Clone) -> Clone:
    """FlowMaster on the twin, as declared; made anew where another module's tests left something else."""
    if MAIN_JOB not in request.session.stash:
        request.session.stash[MAIN_JOB] = request.getfixturevalue("main_job")
    elif not clone.is_as_declared():
        clone.deploy()
    # up is through when each service has enough pods: those of before may still be on their way out
    clone.settled()
    return clone
