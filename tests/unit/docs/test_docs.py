"""The documentation says what is so: every key, every verb, every variable, every link."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.catalogue import Catalogue
from config.settings import Settings
from config.stack import Stack
from flowmaster.cli.main import VERBS
from tests import pages

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = ROOT / "docs/configuration.md"
HEADING = re.compile(r"^### (Stack|Catalogue): (?:top level|`([^`]+)`)$")
ROW = re.compile(r"^\| `(?P<key>[A-Za-z]+)` \| (?P<default>[^|]*?) ?\| (?P<meaning>[^|]+) \|$")
ROOTS: dict[str, type[BaseModel]] = {"Stack": Stack, "Catalogue": Catalogue}
VERB = r"(?<!namespace )\bflowmaster ([a-z]+)\b"
NOBODY_SETS = {"FLOWMASTER_SITES", "FLOWMASTER_PYTHON"}
"""Variables by which the program speaks to what it starts."""
AN_EXAMPLE = {"FLOWMASTER_SECRET_KEY"}
WRITTEN_OUT = "see below"
"""A default that is too long for a table."""


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """Every model that a value of this type is made of, at its first level."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models_in(part)}


def fields_of(models: set[type[BaseModel]]) -> dict[str, list[FieldInfo]]:
    found: dict[str, list[FieldInfo]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            found.setdefault(field.alias or name, []).append(field)
    return found


def models_at(root: type[BaseModel], path: str) -> set[type[BaseModel]]:
    """The models at a path such as ``services.NAME.probes``; a step in capitals is any key of a mapping."""
    models = {root}
    for step in path.replace("[]", "").split(".") if path else ():
        if not step.isupper():
            models = {model for field in fields_of(models)[step] for model in models_in(field.annotation)}
    return models


def reachable(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from reachable(inner)


@cache
def sections() -> Mapping[tuple[str, str], dict[str, tuple[str, str]]]:
    """By root and path, what the reference says of each key: its default and its meaning."""
    found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    rows: dict[str, tuple[str, str]] | None = None
    for line in text_of(REFERENCE).splitlines():
        heading, row = HEADING.match(line), ROW.match(line)
        if heading:
            rows = found.setdefault((heading[1], heading[2] or ""), {})
        elif line.startswith("#"):
            rows = None
        elif row and rows is not None:
            assert row["key"] not in rows, f"{row['key']} is in one table twice"
            rows[row["key"]] = row["default"], row["meaning"]
    return found


def shown(field: FieldInfo) -> str:
    """A default as the reference writes it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value in ("", ()) or isinstance(value, (dict, BaseModel)):
        return "" if not isinstance(value, dict) or not value else WRITTEN_OUT
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_model_is_in_the_reference() -> None:
    described = {model for root, path in sections() for model in models_at(ROOTS[root], path)}
    assert described == {model for root in ROOTS.values() for model in reachable(root)}


@pytest.mark.parametrize("section", sections(), ids=".".join)
def test_every_key_is_in_the_reference_with_its_default_and_no_other(section: tuple[str, str]) -> None:
    root, path = section
    fields = fields_of(models_at(ROOTS[root], path))
    rows = sections()[section]
    assert set(rows) == set(fields)
    assert {key: default for key, (default, _) in rows.items()} == {key: shown(f[0]) for key, f in fields.items()}
    assert all(meaning.endswith(".") for _, meaning in rows.values())


def test_the_gaps_are_those_that_the_command_shows(demo: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    from flowmaster.cli.main import main

    assert main(["gaps"]) == 0
    assert capsys.readouterr().out in text_of(REFERENCE)


def code_of(page: Path) -> str:
    """What is code on a page: blocks and words in backquotes, each on a line of its own."""
    text = text_of(page)
    indented = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    words = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*pages.blocks(text), *indented, *words])


def names(pattern: str, pages: list[Path]) -> set[str]:
    return {word for page in pages for word in re.findall(pattern, code_of(page), re.MULTILINE)}


def test_every_make_verb_that_is_named_exists_and_all_are_named_in_the_readme() -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert names(r"\bmake ([a-z]+)", PAGES) <= verbs
    assert names(r"\bmake ([a-z]+)", [ROOT / "README.md"]) == verbs


def test_every_verb_of_the_lab_that_is_named_exists() -> None:
    from lab.twin.cli import _parser

    usage = _parser().format_help()
    verbs = set(re.findall(r"^    ([a-z-]+) {2,}", usage, re.MULTILINE))
    assert verbs >= {"up", "down", "status", "shell", "env", "hand-made", "empty"}
    assert names(r"\blab/lab (?:--name \S+ )?([a-z][a-z-]+)", PAGES) <= verbs


def test_every_verb_of_the_command_line_that_is_named_exists() -> None:
    assert names(VERB, PAGES) <= set(VERBS)
    assert names(VERB, [ROOT / "README.md"]) == set(VERBS)


def test_every_script_that_is_named_exists() -> None:
    for script in names(r"(?:^|[ (])((?:lab|tests|docs|bench|\.ci)/[\w./-]+)", PAGES):
        assert (ROOT / script).exists(), script


def variables_in(folder: str) -> set[str]:
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix == ".py" or path.name in ("bootstrap", "demo")]
    return {word for path in files for word in re.findall(r"\bFLOWMASTER_[A-Z_]+", path.read_text())}


def test_every_variable_is_in_the_reference_and_no_other() -> None:
    used = {v for folder in ("components", "config", "flowmaster", "lab") for v in variables_in(folder)}
    table = text_of(REFERENCE).partition("## Environment variables")[2].partition("# Reference")[0]
    documented = set(re.findall(r"^\| (.+?) \|", table, re.MULTILINE))
    listed = {word for cell in documented for word in re.findall(r"FLOWMASTER_[A-Z_]+", cell)}
    assert used - NOBODY_SETS - AN_EXAMPLE == listed


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_named_in_the_readme() -> None:
    readme = text_of(ROOT / "README.md")
    assert not [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme]


def test_the_readme_opens_with_two_commands_that_do_everything() -> None:
    opening = text_of(ROOT / "README.md").split("\n## ")[0]
    block = pages.blocks(opening)[0]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


def test_every_place_in_the_readme_exists_and_every_folder_is_a_place() -> None:
    table = text_of(ROOT / "README.md").partition("## Places")[2].partition("\n## ")[0]
    places = {
        cell for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for cell in re.findall(r"`([^`]+)`", row)
    }
    assert places
    for place in places - {"Pulumi.STACK.yaml"}:
        assert (ROOT / place).exists(), place
    packages = {path.parent.name + "/" for path in ROOT.glob("*/__init__.py")} | {"docs/"}
    assert packages <= places
