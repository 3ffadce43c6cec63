"""`flowmaster restore FILE`: restores the objects that `flowmaster adopt` backed up."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowmaster.report.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", type=Path, help="the backup that adopt wrote")


def run(options: argparse.Namespace) -> int:
    """Restore all objects, and print what was done to each."""
    from config import load
    from flowmaster.adopt import backup
    from flowmaster.cluster.connection import connect
    from flowmaster.drift.preflight import check_identity

    settings = load.from_file(options.stack)
    lines: list[str] = []
    try:
        with connect(settings.stack.cluster) as api, progress("reading the backup") as say:
            check_identity(settings, api)
            for ref, done in backup.restore(api, settings, options.file):
                lines.append(f"{ref}: {done}")
                say(lines[-1])
    finally:
        # what was put back before it failed is said, too
        for line in lines:
            print(line)
    return 0
