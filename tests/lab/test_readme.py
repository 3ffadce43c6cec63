"""The README's tour, command by command, with what each is said to end with, and the report as it is shown there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import screens
from tests import pages
from tests.lab.clone import ROOT, Clone

TOUR = "## A tour of ten minutes"
ENDS_WITH = re.compile(r"# exits with (\d+)")


def commands() -> list[str]:
    """The lines of the tour's blocks, in order."""
    tour = (ROOT / "README.md").read_text().partition(TOUR)[2].partition("\n## ")[0]
    return pages.commands(tour)


def test_the_commands_that_the_screens_are_taken_of_are_those_of_the_tour() -> None:
    by_hand = [line for line in commands() if line.startswith("kubectl --namespace flowmaster ")]
    assert by_hand[1:] == [f"kubectl --namespace flowmaster {words}" for words in screens.BY_HAND]


def test_the_tour_goes_as_it_says(deployed: Clone) -> None:
    # as it is declared, should an earlier attempt have come half of the way
    deployed.succeeds(deployed.run("pulumi", "config", "set", "--path", "flowmaster:services.manager-app.tag", "r30"))
    deployed.succeeds(deployed.up())
    whole, lines, seen = deployed.settled(), commands(), list[str]()
    assert len(lines) > 10
    for line in lines:
        expected = int(match[1]) if (match := ENDS_WITH.search(line)) else 0
        # CI, so that `make up` does not ask; the line itself, as it would be typed.
        run = deployed.run("bash", "-c", line, env={"CI": "true", "FLOWMASTER_TWIN": deployed.twin.name})
        assert run.code == expected, f"{line}\n{run.output}"
        if line.startswith("uv run flowmaster drift ") and not seen:
            seen.append(run.output.strip("\n"))
    changed = {name for name, uids in deployed.settled().items() if uids != whole[name]}
    assert changed <= {"frontend", "manager-app"}
    shown = screens.timeless(screens.block(screens.README.read_text(), "drift")).splitlines()
    # a busy machine may have more to tell: of pods that take long to start
    assert set(shown[:-2]) <= set(screens.timeless(seen[0]).splitlines()), seen[0]
    assert "1 drift, 1 foreign" in seen[0]


@pytest.fixture(autouse=True, scope="module")
def afterwards(deployed: Clone) -> Iterator[None]:
    """Whoever needs what was deployed has to make it anew."""
    yield
    deployed.leave_changed()
