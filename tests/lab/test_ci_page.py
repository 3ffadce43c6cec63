"""The pipeline of docs/ci.md, job by job, as a runner executes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests import pages
from tests.lab.clone import NAMESPACE, ROOT, Clone, Run

REPORTS = ROOT / "reports"


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    block, *_ = pages.blocks((ROOT / "docs/ci.md").read_text(), "yaml")
    whole: dict[str, Any] = yaml.safe_load(block)
    return whole


@pytest.fixture(scope="module")
def server(deployed: Clone) -> Iterator[Clone]:
    """As declared, and nothing reported yet; left to others as changed."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    yield deployed
    shutil.rmtree(REPORTS, ignore_errors=True)
    deployed.leave_changed()


def job(clone: Clone, pipeline: dict[str, Any], name: str) -> Run:
    """A job, as GitLab's runner executes it: all lines in one shell, which ends at the first that fails."""
    lines = ["set -eo pipefail", *pipeline["default"]["before_script"], *pipeline[name]["script"]]
    return clone.run("bash", "-c", "\n".join(lines), env={"CI": "true"})


def by_hand(clone: Clone, *words: str) -> None:
    clone.succeeds(clone.run("kubectl", "--namespace", NAMESPACE, *words))


def test_every_job_is_of_a_stage_and_one_update_runs_at_a_time(pipeline: dict[str, Any]) -> None:
    jobs = {name: value for name, value in pipeline.items() if name not in ("stages", "default")}
    assert {value["stage"] for value in jobs.values()} == set(pipeline["stages"])
    assert [name for name, value in jobs.items() if any("pulumi up" in line for line in value["script"])] == ["update"]
    assert jobs["update"]["resource_group"]
    assert jobs["update"]["rules"][0]["when"] == "manual"


def test_at_night_all_is_as_declared(server: Clone, pipeline: dict[str, Any]) -> None:
    run = server.succeeds(job(server, pipeline, "night"))
    assert "No drift" in run.output


def test_what_is_previewed_is_updated_and_nothing_else(server: Clone, pipeline: dict[str, Any]) -> None:
    by_hand(server, "scale", "deployment/agent-service", "--replicas=3")
    previewed = server.succeeds(job(server, pipeline, "preview"))
    assert "Deployment/agent-service spec.replicas: 3, declared 1" in previewed.output
    approved = json.loads((REPORTS / "drift.json").read_text())["fingerprint"]

    by_hand(server, "label", "service/frontend", "late=yes")
    versions = server.versions()
    refused = job(server, pipeline, "update")
    assert refused.code != 0
    assert f"{approved} was approved, but the server and the program are now at " in refused.output
    changed = {name for name, version in server.versions().items() if versions[name] != version}
    assert changed <= {"Deployment/agent-service"}  # whose pods come up

    server.succeeds(job(server, pipeline, "preview"))
    assert json.loads((REPORTS / "drift.json").read_text())["fingerprint"] != approved
    server.succeeds(job(server, pipeline, "update"))
    answers = ElementTree.parse(REPORTS / "smoke.xml").getroot()  # noqa: S314 written just now, by ourselves
    assert len(answers.findall(".//testcase")) > 20
    assert answers.findall(".//failure") == []


def test_at_night_a_change_by_hand_fails_the_job(server: Clone, pipeline: dict[str, Any]) -> None:
    by_hand(server, "label", "service/frontend", "night=yes")
    run = job(server, pipeline, "night")
    assert run.code == 2
    assert "metadata.labels[night]" in (REPORTS / "drift.md").read_text()
