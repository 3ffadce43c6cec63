"""Adopting what the program itself has brought up: nothing is made again, moved or restarted by it."""

from __future__ import annotations

from lab.twin import Twin
from tests.lab.batch import until_told
from tests.lab.operate import Operator

WHO_AND_WHERE = '{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.spec.clusterIP}{"\\n"}{end}'


def test_a_stack_that_was_brought_up_is_adopted_without_a_replacement(empty_twin: Twin) -> None:
    operator = Operator.of(empty_twin)
    operator.up()
    until_told(operator, [])
    before = operator.kubectl("get", "pods,services", "--output", f"jsonpath={WHO_AND_WHERE}")
    assert "Service/postgres" in before
    # addresses are pinned by that, and ExternalName services become Services as they are
    operator.run("flowmaster", "adopt")
    preview = operator.preview()
    assert set().union(*preview.changes.values()) == {"update"}
    operator.up()
    assert operator.kubectl("get", "pods,services", "--output", f"jsonpath={WHO_AND_WHERE}") == before
    operator.preview("--expect-no-changes")
    until_told(operator, [])
