"""`flowmaster restore FILE`: put back the objects that `flowmaster adopt` saved."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("file", type=Path, help="the backup that adopt wrote")


def run(options: argparse.Namespace) -> int:
    """Put every object back, and say what was done to each."""
    from config import load
    from flowmaster.adopt import backup
    from flowmaster.cluster.connection import connect
    from flowmaster.drift.preflight import check_identity

    settings = load.from_file(options.stack)
    with connect(settings.stack.cluster) as api:
        check_identity(settings, api)
        for ref, done in backup.restore(api, settings, options.file):
            print(f"{ref}: {done}")
    return 0
