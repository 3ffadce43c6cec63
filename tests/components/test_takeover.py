"""What a preview says of objects that are taken over: no more than was proved."""

from __future__ import annotations

import pulumi
import pytest

from components.takeover import report_adoptions
from flowmaster.adopt.proof import Proof
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef

WEB, SERVICE, TEXTS = (ObjectRef(kind, "shop", "web") for kind in ("Deployment", "Service", "ConfigMap"))
ADOPTED = frozenset({WEB, SERVICE, TEXTS})


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    for level in ("info", "warn"):
        monkeypatch.setattr(pulumi.log, level, lambda text, *_, **__: lines.append(text))
    return lines


def test_where_all_is_proved_nothing_restarts(said: list[str]) -> None:
    report_adoptions(ADOPTED, [], [Proof(ref=WEB), Proof(ref=SERVICE)], {})
    assert said == [
        "adopt: 3 of 3 objects that are there already are taken over as they are: no pod restarts, no address changes"
    ]


def test_a_restart_is_told_loudly_and_at_the_end(said: list[str]) -> None:
    proof = Proof(ref=WEB, changes=("spec.template.spec.affinity",), restarts=True)
    report_adoptions(ADOPTED, [], [proof, Proof(ref=SERVICE)], {})
    assert said == [
        "adopt: Deployment/web is taken over, and ITS PODS RESTART, changed: spec.template.spec.affinity",
        "adopt: 2 of 3 objects that are there already are taken over as they are; the pods of web restart",
    ]


def test_what_the_server_refuses_is_told_in_its_words(said: list[str]) -> None:
    report_adoptions(ADOPTED, [], [Proof(ref=SERVICE, refused="403 no")], {})
    assert said[0] == "adopt: Service/web is taken over, and the API server refuses that: 403 no"
    assert "no pod restarts" not in said[1]


def test_a_change_of_what_has_neither_pods_nor_an_address_is_told_too(said: list[str]) -> None:
    finding = Finding(FindingClass.PENDING, TEXTS, "data[a]", Change.CHANGED, "x", "y")
    report_adoptions(ADOPTED, [finding], [], {})
    assert said[0] == "adopt: ConfigMap/web is taken over, and changed: data[a]"
    assert said[1].endswith("taken over as they are; 1 change (see their warnings)")
