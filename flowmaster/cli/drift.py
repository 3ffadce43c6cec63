"""`flowmaster drift`: how the server differs from what is declared. Reads only."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from config.settings import Settings
    from flowmaster.cluster.connection import Api
    from flowmaster.drift.engine import Report
    from flowmaster.drift.host import HostSource

EPILOG = """\
exit codes:
  0  the server is as declared
  1  the question could not be asked: usage, configuration, kubeconfig
  2  the next up would undo something on the server (drift, conflict, foreign field)
  3  only changes of the program that are not applied yet (pending)
  4  only things for a person to look at (unhealthy, stale, foreign objects)
  5  something could not be read, so nothing is said about it (unknown)
"""
INTERVAL = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="default: table")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=INTERVAL,
        metavar="SECONDS",
        help=f"look again and again, and show what changes (default: every {INTERVAL:g} seconds)",
    )
    parser.add_argument("--no-registry", action="store_true", help="do not ask the registry what tags stand for now")
    parser.add_argument("--fast", action="store_true", help="do not ask the ports of sites whether nginx answers there")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as {INTERVAL:g}") from None
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: at least 1 second, since each look costs the server some work")
    return value


def run(options: argparse.Namespace) -> int:
    """Look once, or until interrupted; returns the exit code of the last look."""
    from config import load
    from flowmaster.drift.host import start_reading

    settings = load.from_file(options.stack)
    # connecting to the host takes as long as all of the cluster: it goes on beside that, from the start
    host = start_reading(settings, ask=not options.fast)
    with _connected(settings) as api:
        if options.watch is None:
            with progress("reading the server", lines=False):
                report = _look(options, settings, api, host)
            _show(options, report)
            return int(report.exit_code)
        return _watch(options, settings, api, host)


@contextmanager
def _connected(settings: Settings) -> Iterator[Api]:
    from flowmaster.cluster.connection import UnreachableError, connect
    from flowmaster.drift.preflight import check_identity

    with connect(settings.stack.cluster) as api:
        if settings.stack.cluster.uid:
            # Where nobody answers, the look that follows meets the same, and reports it as unknown.
            with suppress(UnreachableError):
                check_identity(settings, api)
        yield api


def _look(options: argparse.Namespace, settings: Settings, api: Api, host: HostSource | None) -> Report:
    from flowmaster.drift import engine, last_applied

    def declared() -> list[engine.Body]:
        from flowmaster.render.manifests import manifests

        return [dict(body) for body in manifests(settings)]

    def last() -> last_applied.Applied:
        from config.load import PROJECT, ROOT

        if options.format == "table":
            # Imported while the server is being read.
            import flowmaster.report.terminal  # noqa: F401
        return last_applied.from_stack(PROJECT, settings.name, ROOT)

    how = engine.Options(
        stack=settings.name,
        rules=settings.stack.rules,
        registry=not options.no_registry,
        sources=(host,) if host else (),
    )
    return engine.detect_drift(api, settings.namespace, declared, last, how)


def _show(options: argparse.Namespace, report: Report) -> None:
    if options.format == "json":
        from flowmaster.report import as_json

        print(as_json.text(report))
    elif options.format == "markdown":
        from flowmaster.report import markdown

        print(markdown.text(report))
    else:
        from flowmaster.report import terminal

        terminal.show(report, sys.stdout)


def _watch(options: argparse.Namespace, settings: Settings, api: Api, host: HostSource | None) -> int:
    """Show each report that differs from the one before; on a terminal, in place of it."""
    from flowmaster.drift.host import start_reading

    seen: tuple[object, ...] | None = None
    code = 0
    try:
        while True:
            report = _look(options, settings, api, host)
            state = tuple((finding.cls, finding.object, finding.path, str(finding.live)) for finding in report.findings)
            if state != seen:
                if sys.stdout.isatty() and options.format == "table":
                    print("\x1b[H\x1b[2J", end="")
                _show(options, report)
                sys.stdout.flush()
                seen = state
            code = int(report.exit_code)
            time.sleep(options.watch)
            host = start_reading(settings, ask=not options.fast)
    except KeyboardInterrupt:
        return code
