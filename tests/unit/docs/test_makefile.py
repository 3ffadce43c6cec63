"""The Makefile's verbs call what the clone itself has: a fresh machine has no uv, no ruff and no pytest on its PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VERBS = re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_calls_nothing_that_a_fresh_machine_lacks(verb: str) -> None:
    make = shutil.which("make")
    assert make
    # read, not run; and with nothing to be found but make itself
    told = subprocess.run(
        [make, "--dry-run", verb],
        cwd=ROOT, env={"PATH": str(Path(make).parent)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    commands = [line for line in told.splitlines() if not re.match(r"make\[\d+\]: |\S*make ", line)]
    assert commands
    for command in commands:
        assert command.startswith(("lab/", ".venv/bin/")), command


def test_there_are_no_more_verbs_than_one_remembers() -> None:
    assert 5 < len(VERBS) <= 8
