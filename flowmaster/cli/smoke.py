"""`flowmaster smoke`: asks every service whether it answers, and writes down when that was. Changes nothing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from config.settings import Settings
    from flowmaster.drift.host import HostSource
    from flowmaster.drift.smoke import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write the answers as JUnit XML")


def run(options: argparse.Namespace) -> int:
    """Ask everything once; 0 where all answered, else 1."""
    from config import load
    from flowmaster.cluster.connection import connect
    from flowmaster.drift import smoke
    from flowmaster.drift.host import start_reading
    from flowmaster.host.access import access
    from flowmaster.host.ssh import host_name

    settings = load.from_file(options.stack)
    host = settings.stack.host
    server = host_name(access(host, settings.environ)) if settings.stack.reverse_proxy else host.address
    reading = start_reading(settings)
    with connect(settings.stack.cluster) as api, progress("asking every service"):
        answers = smoke.check_all(settings, api, server)
        answers += _of_host(settings, reading) if reading is not None else []
    width = max(len(answer.service) for answer in answers)
    for answer in answers:
        words = answer.problem or (
            f"skipped: {answer.skipped}" if answer.skipped else answer.detail or f"{answer.seconds * 1000:.0f} ms"
        )
        mark = "✗" if answer.problem else "✓" if answer.ok else "-"
        print(f"{mark} {answer.service:<{width}}  {answer.way:<14}  {words}")
    failed = [answer for answer in answers if answer.problem]
    ok = sum(answer.ok for answer in answers)
    print(f"{ok} of {ok + len(failed)} answer" + (f", {len(answers) - ok - len(failed)} not asked" if ok else ""))
    if options.junit:
        options.junit.write_text(smoke.junit(answers, settings.name), encoding="utf-8")
    record(settings.name, smoke.by_service(answers))
    return 1 if failed else 0


def _of_host(settings: Settings, reading: HostSource) -> list[Result]:
    """What the server itself says of its ports and certificates; that it was not asked, where it cannot be."""
    from flowmaster.drift import smoke
    from flowmaster.drift.listening import declared_texts
    from flowmaster.drift.ports import Ports
    from flowmaster.host.errors import HostError

    try:
        return smoke.of_ports(Ports(host=reading.state(), texts=declared_texts(settings.stack.reverse_proxy)))
    except HostError as err:
        return [smoke.Result(smoke.ROUTE, "ports", 0.0, skipped=err.found)]


def _file(stack: str) -> Path:
    from config.load import stack_path

    return stack_path(stack).with_name(f"tested.{stack}.json")


def record(stack: str, asked: Mapping[str, tuple[datetime, bool]]) -> None:
    """Write down, beside the stack's file, when each service was asked and whether it answered."""
    known = {**recorded(stack), **asked}
    lines = {name: {"when": when.isoformat(timespec="seconds"), "ok": ok} for name, (when, ok) in sorted(known.items())}
    _file(stack).write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def recorded(stack: str) -> dict[str, tuple[datetime, bool]]:
    """What was written down; nothing where nobody ever asked."""
    try:
        lines = json.loads(_file(stack).read_text(encoding="utf-8"))
        return {name: (datetime.fromisoformat(entry["when"]), bool(entry["ok"])) for name, entry in lines.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
