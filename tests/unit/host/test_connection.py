"""What is sent to the server for a request: all that carries it out there, and little else."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowmaster.host.connection import PYTHON, modules, told
from flowmaster.host.remote import docker_requests
from flowmaster.host.ssh import BEGIN

REMOTE = Path(docker_requests.__file__).parent
REQUESTS = {
    **{do: module for do, (module, _) in {**docker_requests._READING, **docker_requests._WORKING}.items()},
    "journal": "docker_journal",
    "state": "docker_steps",
}


def needed(module: str) -> set[str]:
    """A module, and all of the package that it cannot be imported without."""
    found, left = set[str](), {module}
    while left:
        name = left.pop()
        found.add(name)
        for node in ast.parse((REMOTE / f"{name}.py").read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module == "flowmaster.host.remote":
                left |= {alias.name for alias in node.names} - found
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowmaster.host.remote."):
                left |= {str(node.module).removeprefix("flowmaster.host.remote.")} - found
    return found


@pytest.mark.parametrize("do", REQUESTS)
def test_a_request_about_a_project_brings_what_carries_it_out(do: str) -> None:
    brought = set(modules({"verb": "compose", "do": do, "project": "sdx", "folder": "/opt/sdx", "run": "1"}))
    # whatever is asked, what was noted meanwhile goes into the journal first
    wanted = needed(REQUESTS[do]) | {"docker_journal", "docker_requests", "main", "common"}
    assert wanted <= brought
    assert brought == wanted or REQUESTS[do] in ("docker", "docker_steps")


JOURNAL = {"verb": "compose", "do": "journal", "what": "nothing of the kind", "project": "sdx", "run": "1"}
UNKNOWN = [JOURNAL, {"verb": "compose", "do": "nothing of the kind", "project": "sdx", "run": "1"}, {"verb": "none"}]


def told_here(text: str) -> tuple[list[dict[str, Any]], str]:
    """What the program answers to all of it, run on this machine; and what it complains of."""
    done = subprocess.run(shlex.split(PYTHON), input=text, capture_output=True, text=True, check=False)
    begin, *answers = [line for line in done.stdout.splitlines() if line]
    assert begin == BEGIN
    return [json.loads(line) for line in answers], done.stderr


def test_one_program_answers_one_request_after_the_other_and_gets_each_module_once() -> None:
    text, has = "", frozenset[str]()
    for request in UNKNOWN:
        text, has = text + told(request, has), has.union(modules(request))
    assert text.count(json.dumps((REMOTE / "common.py").read_text())) == 1
    answers, complaints = told_here(text)
    assert [(answer["ok"], answer["stage"]) for answer in answers] == [(False, "request")] * len(UNKNOWN)
    assert complaints == ""


def test_a_request_that_fails_in_its_own_way_leaves_the_program_to_the_next_one() -> None:
    answers, _ = told_here(told({}) + told(JOURNAL, frozenset(modules({}))))
    assert "Traceback" in answers[0]["ended"]
    assert answers[1]["stage"] == "request"


def test_a_request_that_is_cut_short_is_not_begun() -> None:
    text = told(JOURNAL)
    for length in (len(text) // 3, len(text) - len(JOURNAL["run"]) - 5):
        assert told_here(text[:length])[0] == []
