"""`flowmaster topology`: draws the routes on the server, and the services with drift. Only reads the server."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the SVG (default: standard output)")


def run(options: argparse.Namespace) -> int:
    """Read the server once and draw it."""
    from config import load
    from flowmaster.cli.status import read_status
    from flowmaster.drift.overview import overview
    from flowmaster.report import topology

    settings = load.from_file(options.stack)
    seen = read_status(settings)
    picture = topology.svg(settings, overview(settings, seen.live, seen.report, seen.known))
    if options.output is None:
        print(picture, end="")
    else:
        options.output.write_text(picture, encoding="utf-8")
    return 0
