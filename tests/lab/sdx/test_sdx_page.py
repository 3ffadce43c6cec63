"""The page that an operator follows on the day, command by command."""

from __future__ import annotations

from lab.twin import Twin, handmade
from tests import pages
from tests.lab import compose
from tests.lab.clone import ROOT, Clone
from tests.lab.compose import PORTS, Users
from tests.lab.server import Server

PAGE = ROOT / "docs/migration.md"


def test_the_day_goes_as_the_page_says(empty_twin: Twin) -> None:
    handmade.containers(empty_twin)
    server = Server.of(empty_twin)
    compose.operator_of(empty_twin)
    clone = Clone.of(empty_twin)
    lines = pages.commands(PAGE.read_text())
    assert len(lines) > 15
    phases = [line.rpartition(" ")[2] for line in lines if ".phase " in line]
    assert phases == ["shadow", "cluster", "shadow", "cluster", "retired"]
    with Users(server.access.address) as users:
        for line in lines:
            run = clone.run("bash", "-c", line, env={"CI": "true", "FLOWMASTER_TWIN": empty_twin.name})
            assert run.code == 0, f"{line}\n{run.output}"
    assert users.wrong == []
    assert users.refused_reads == []
    assert users.missing() == []
    assert compose.journal(server)["phase"] == phases[-1]
    assert sorted(PORTS) == [3010, 8010, 8011]
