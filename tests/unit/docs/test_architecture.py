"""The architecture page: the graph is current, every file exists, and no class of finding is forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowmaster.compare.finding import FindingClass
from flowmaster.report.terminal import STYLES
from flowmaster.report.topology import COLOURS
from lab import rooms

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
FILE = re.compile(r"`((?:__main__\.py|[a-z_]+/[a-z_./-]+))`")


def test_the_graph_is_that_of_the_imports() -> None:
    text = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.updated(text) == text, "python -m lab.rooms"


def test_arrows_that_follow_from_others_are_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert rooms.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = set(FILE.findall(page.read_text(encoding="utf-8")))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("cls", FindingClass)
def test_a_class_of_finding_has_its_colours_its_row_and_its_place_in_the_schema(cls: FindingClass) -> None:
    assert cls in STYLES, "flowmaster/report/terminal.py"
    assert cls in COLOURS, "flowmaster/report/topology.py"
    assert f"\n| `{cls}` |" in (ROOT / "docs/drift.md").read_text(encoding="utf-8")
    schema = json.loads((ROOT / "docs/drift-report.schema.json").read_text(encoding="utf-8"))
    assert f'"{cls}": {{' in json.dumps(schema), "docs/drift-report.schema.json"
    assert cls.meaning
