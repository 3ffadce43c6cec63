"""`flowmaster doctor`: checks everything that a person needs to work with a stack, on one screen. Changes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from config.settings import Settings
    from flowmaster.drift.doctor import Check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "exit codes: 0 everything is there; 1 something is missing, with what to do"


def run(options: argparse.Namespace) -> int:
    """Make all checks; returns 0 if none found a problem, else 1."""
    from config import load
    from config.errors import UserError
    from flowmaster.drift import doctor

    groups = [doctor.tools, lambda: _state(options.stack)]
    try:
        settings = load.from_file(options.stack)
    except UserError as err:
        stack = doctor.Check("stack", problem=err.found, remedy=err.remedy or err.breaks)
    else:
        adopted = settings.stack.adopted
        said = f"{len(settings.services)} services, {f'adopted at {adopted.at}' if adopted else 'not adopted'}"
        stack = doctor.Check("stack", f"{settings.name}: readable, secrets decrypted; {said}")
        groups += [lambda: doctor.cluster(settings, lambda: _connect(settings))]
        groups += [lambda: doctor.server(settings, lambda: _read(settings))]
    with progress("checking"):
        checks = [stack, *doctor.every(groups)]
    _show(checks)
    return 1 if any(check.problem for check in checks) else 0


def _connect(settings: Settings) -> Any:
    from flowmaster.cluster.connection import connect

    return connect(settings.stack.cluster)


def _read(settings: Settings) -> Any:
    from flowmaster.host.access import access
    from flowmaster.host.connection import ask

    return ask(access(settings.stack.host), {"verb": "read", "sites": [], "ports": [], "containers": False})


def _state(stack: str) -> Iterator[Check]:
    """Check the state's backend and its lock."""
    from datetime import UTC, datetime

    from config.errors import UserError
    from config.load import PROJECT, ROOT
    from flowmaster.drift import last_applied
    from flowmaster.drift.doctor import Check
    from flowmaster.heal import state_lock

    folder = last_applied.backend_folder(ROOT)
    if folder is None:
        backend = last_applied.backend(ROOT) or "Pulumi Cloud"
        yield Check("state", f"{backend}, which looks after its locks itself")
        return
    try:
        held = state_lock.read_locks(folder, PROJECT, stack)
    except UserError as err:
        yield Check("state", problem=err.found, remedy=err.remedy)
        return
    if held:
        words = held[0].describe(datetime.now(UTC))
        remedy = "`flowmaster unlock` releases it" if held[0].is_stale else "wait until that update ends"
        yield Check("state", problem=f"locked by {words}", remedy=remedy)
    else:
        yield Check("state", f"{folder}, not locked")


def _show(checks: list[Check]) -> None:
    from flowmaster.report import screen

    out = screen.console(sys.stdout)
    rows: list[list[screen.Cell]] = []
    for check in checks:
        if check.problem:
            mark, words = ("✗", "red"), check.problem + (f"\n→ {check.remedy}" if check.remedy else "")
        elif check.skipped:
            mark, words = ("·", "dim"), f"not checked: {check.skipped}"
        else:
            mark, words = ("✓", "green"), check.found
        rows.append([[mark], [(check.name, "")], [(words, "red" if check.problem else "")]])
    screen.show(out, [screen.table(rows)])
