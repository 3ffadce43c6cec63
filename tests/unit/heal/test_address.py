"""A Service that somebody made again: nothing that is declared differs, but its address does."""

from __future__ import annotations

import pytest

from flowmaster.cluster.writes import Step, Way
from flowmaster.compare.finding import Finding, consequence
from flowmaster.drift.engine import Options, build_report
from flowmaster.drift.last_applied import Applied, addresses
from flowmaster.heal.plan import plan
from tests.unit.drift.server import NOW, Server, ref

WEB = ref("Service/web")


def look(server: Server, **known: str) -> tuple[list[Finding], dict[str, Step]]:
    before = Applied(server.applied, addresses={ref(f"Service/{name}"): address for name, address in known.items()})
    findings = build_report(None, server.live, server.declared, before, Options(now=NOW)).findings
    steps = plan(server.declared, before, server.live, findings).steps
    return findings, {str(name): step for name, step in steps.items()}


def address_of(server: Server, name: str) -> str:
    return str(server.live.objects[ref(f"Service/{name}")]["spec"]["clusterIP"])


def test_another_address_than_at_the_last_update_is_drift_that_up_takes_note_of() -> None:
    server = Server()
    [finding], steps = look(server, web="10.43.1.1")
    assert (str(finding.cls), finding.path) == ("drift", "spec.clusterIP")
    assert (finding.live, finding.declared) == (address_of(server, "web"), "10.43.1.1")
    assert finding.heals
    assert consequence(finding, "10.43.1.1") == "up records it"
    step = steps["Service/web"]
    assert (step.way, step.healed, step.summary) == (Way.PATCH, server.live.objects[WEB], "spec.clusterIP")


@pytest.mark.parametrize("known", [{}, {"pinned": "10.43.1.1"}, {"postgres": "10.43.1.1"}])
def test_that_is_no_finding_where_it_is_unknown_or_declared_or_there_is_none(known: dict[str, str]) -> None:
    findings, steps = look(Server(), **known)
    assert (findings, steps) == ([], {})


def test_the_same_address_is_no_finding() -> None:
    server = Server()
    assert look(server, web=address_of(server, "web")) == ([], {})


def test_addresses_are_read_from_what_the_server_answered() -> None:
    def service(name: str, address: str | None) -> dict[str, object]:
        inputs = {"kind": "Service", "metadata": {"name": name, "namespace": "n"}, "spec": {}}
        outputs = {"metadata": inputs["metadata"], "spec": {"clusterIP": address} if address else {}}
        return {"type": "kubernetes:core/v1:Service", "inputs": inputs, "outputs": outputs}

    state = {"resources": [service("a", "10.43.1.1"), service("b", "None"), service("c", None)]}
    assert {str(name): address for name, address in addresses(state).items()} == {"Service/a": "10.43.1.1"}
