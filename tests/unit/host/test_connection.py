"""What is sent to the server for a request: all that carries it out there, and little else."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest

from host.connection import PYTHON, source
from host.remote import docker_verbs

REMOTE = Path(docker_verbs.__file__).parent
REQUESTS = {
    **{do: module for do, (module, _) in {**docker_verbs._READING, **docker_verbs._WORKING}.items()},
    "journal": "docker_journal",
    "state": "docker_steps",
}


def sent(text: str) -> set[str]:
    """The modules that a program brings along."""
    return {path.stem for path in REMOTE.glob("*.py") if f"'host.remote.{path.stem}'] = types" in text}


def needed(module: str) -> set[str]:
    """A module, and all of the package that it cannot be imported without."""
    found, left = set[str](), {module}
    while left:
        name = left.pop()
        found.add(name)
        for node in ast.parse((REMOTE / f"{name}.py").read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module == "host.remote":
                left |= {alias.name for alias in node.names} - found
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("host.remote."):
                left |= {str(node.module).removeprefix("host.remote.")} - found
    return found


@pytest.mark.parametrize("do", REQUESTS)
def test_a_request_about_a_project_brings_what_carries_it_out(do: str) -> None:
    text = source({"verb": "compose", "do": do, "project": "sdx", "folder": "/opt/sdx", "run": "1"})
    # whatever is asked, what was noted meanwhile goes into the journal first
    wanted = needed(REQUESTS[do]) | {"docker_journal", "docker_verbs", "main", "common"}
    assert wanted <= sent(text)
    assert sent(text) == wanted or REQUESTS[do] in ("docker", "docker_steps")


@pytest.mark.parametrize(
    "request_",
    [
        {"verb": "compose", "do": "journal", "what": "nothing of the kind", "project": "sdx", "run": "1"},
        {"verb": "compose", "do": "nothing of the kind", "project": "sdx", "run": "1"},
        {"verb": "nothing of the kind"},
    ],
)
def test_what_is_not_known_is_refused_by_the_program_that_is_sent(request_: dict[str, str]) -> None:
    done = subprocess.run(PYTHON.split(), input=source(request_), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert (answer["ok"], answer["stage"]) == (False, "request")
