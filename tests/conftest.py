"""Fixtures that every layer of tests shares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from config import load
from config.settings import Settings, secret_variable

ROOT = Path(__file__).resolve().parent.parent
KEPT = {"FLOWMASTER_CACHE", "FLOWMASTER_PATIENCE"}
"""Variables that say what machine this is."""

# how long an example takes says what else the machine does, twins of other workers for one
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why tests were run again: they passed then, and nothing else says it. Each is a fault to be explained."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext[-4000:])


@pytest.fixture(autouse=True)
def nobody_in_particular(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the shell that it is run from: `lab/lab env` sets a server, a stack and its secrets."""
    for name in os.environ:
        ours = name.startswith(("FLOWMASTER_", "PULUMI_")) and name not in KEPT
        if ours or name in ("COLUMNS", "KUBECONFIG", "NO_COLOR"):
            monkeypatch.delenv(name)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A value in the environment for every secret of the catalogue, each its own."""
    catalogue = yaml.safe_load((ROOT / "config/catalogue.yaml").read_text())
    values = {}
    for entry in catalogue["secrets"].values():
        for key in entry["keys"]:
            values[key] = f"value-of-{key.lower()}"
            monkeypatch.setenv(secret_variable(key), values[key])
    return values


@pytest.fixture
def demo(secrets: dict[str, str]) -> Settings:
    """The settings of the demo stack as they are in the repository."""
    return load.from_file("demo")


@pytest.fixture
def demo_values() -> dict[str, Any]:
    """The demo stack's values as plain data, to be spoilt by a test."""
    config = yaml.safe_load((ROOT / "Pulumi.demo.yaml").read_text())["config"]
    return {key.removeprefix("flowmaster:"): value for key, value in config.items()}


@pytest.fixture
def catalogue_values() -> dict[str, Any]:
    """The catalogue as plain data, to be spoilt by a test."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config/catalogue.yaml").read_text())
    return values
