"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import report
from bench.context import Bench
from bench.errors import BenchError
from bench.report import Outcome
from bench.rows import ROWS, Row
from bench.server import Server
from config.errors import UserError
from lab.tools import ToolError
from lab.twin import Twin, TwinError

TWIN = "bench"
SIZES = (30, 100, 300, 3000)
RUNS = 5
_EXPECTED = (BenchError, TwinError, ToolError, UserError)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print the table; returns 0, 1 where a row failed, 130 where it was interrupted."""
    options = parser().parse_args(words)
    # Ended from outside is ended like by Ctrl-C: nothing stays.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {line}", file=sys.stderr, flush=True)

    twin = Twin(options.twin, say=say)
    outcome = Outcome(machine=report.machine(options.runs))
    try:
        try:
            _measure(twin, options, say, outcome)
        finally:
            if not options.keep:
                say(f"taking the twin {twin.name} down")
                twin.down()
    except _EXPECTED as err:
        outcome.failures.append(str(err))
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    report.show(outcome, _output())
    if options.markdown:
        report.write(options.markdown, report.markdown(outcome))
    return 1 if outcome.failures else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    names = [row.name for row in ROWS]
    found = argparse.ArgumentParser(prog="python -m bench", description="Speed, side by side with the alternatives.")
    found.add_argument("--only", action="append", choices=names, help="only this row (may be repeated)")
    found.add_argument("--sizes", type=_sizes, default=SIZES, help="services, such as 30,300 (default: %(default)s)")
    found.add_argument("--runs", type=_positive, default=RUNS, help="runs of each side (default: %(default)s)")
    found.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too (docs/speed.md)")
    found.add_argument("--keep", action="store_true", help="leave the twin up, for the next run to start quicker")
    found.add_argument("--twin", default=TWIN, help="the name of the twin it brings up (default: %(default)s)")
    return found


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({_positive(word) for word in text.split(",")}))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _measure(
    twin: Twin,
    options: argparse.Namespace,
    say: Callable[[str], None],
    outcome: Outcome,
) -> None:
    """Every row at every size; a row that fails leaves the others alone."""
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    with tempfile.TemporaryDirectory(prefix="flowmaster-bench-") as folder:
        server = Server(twin, say)
        try:
            bench = Bench(server=server, folder=Path(folder), runs=options.runs, say=say)
            for size in options.sizes:
                for row in (row for row in rows if size <= row.largest):
                    _measure_row(row, size, bench, outcome)
                bench.remove(size)
        finally:
            server.close()


def _measure_row(row: Row, size: int, bench: Bench, outcome: Outcome) -> None:
    bench.say(f"{row.name}, {size:,} services")
    try:
        found = row.measure(bench, size)
    except _EXPECTED as err:
        bench.say(f"failed: {row.name}, {size:,} services (the reason is below the table)")
        outcome.failures.append(f"{row.name}, {size:,} services: {err}")
        return
    for comparison in found:
        bench.say(f"{comparison.ours} / {comparison.other} = {comparison.ratio:.2f}")
    outcome.comparisons.extend(found)


def _output() -> Console:
    """A terminal's own width; wide enough for the table where there is none."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)
