"""`flowmaster status`: the whole server on one screen. Reads only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from flowmaster.cluster.reader import LiveState
from flowmaster.drift.engine import Report
from flowmaster.drift.overview import Inputs, Overview
from flowmaster.report.progress import progress


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(options: argparse.Namespace) -> int:
    """Look once and show it; the exit code is that of `flowmaster drift`."""
    from config import load
    from flowmaster.drift.overview import overview
    from flowmaster.report import overview as shown

    settings = load.from_file(options.stack)
    seen = read_status(settings)
    whole: Overview = overview(settings, seen.live, seen.report, seen.known)
    shown.show(whole, sys.stdout)
    return int(whole.report.exit_code)


@dataclass(frozen=True)
class Status:
    """Everything that was read at once."""

    live: LiveState
    report: Report
    known: Inputs


def read_status(settings: Settings) -> Status:
    """Read the cluster, the machine, the state and the tests' record, all beside each other."""
    from config.load import PROJECT, ROOT
    from flowmaster.cli import smoke
    from flowmaster.cluster import reader
    from flowmaster.cluster.connection import connect
    from flowmaster.drift import engine, last_applied
    from flowmaster.drift.host import start_reading
    from flowmaster.drift.overview import memory
    from flowmaster.host.errors import HostError
    from flowmaster.render.manifests import manifests

    host = start_reading(settings, containers=True)
    waiting = progress("reading the server", lines=False)
    # not before it is connected: a credential helper may have to ask somebody
    with connect(settings.stack.cluster) as api, waiting, ThreadPoolExecutor(2) as pool:
        measuring = pool.submit(memory, api, settings.namespace)
        reading = pool.submit(reader.read, api, settings.namespace)
        declared = [dict(body) for body in manifests(settings)]
        before = last_applied.from_stack(PROJECT, settings.name, ROOT)
        live = reading.result()
        declared += host.bodies(live, before) if host is not None else []
        how = engine.Options(stack=settings.name, rules=settings.stack.rules, sources=(host,) if host else ())
        report = engine.build_report(api, live, declared, before, how)
        state, problem = None, ""
        projects: Mapping[str, Mapping[str, Any]] = {}
        if host is not None:
            try:
                state, projects = host.state(), host.project_states()
            except HostError as err:
                problem = err.found
        known = Inputs(
            host=state,
            host_problem=problem,
            compose=projects,
            updated=before.updated,
            tested=smoke.recorded(settings.name),
            memory=measuring.result(),
        )
    return Status(live, report, known)
