"""`flowmaster gaps`: lists open questions about the server."""

from __future__ import annotations

import argparse


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(options: argparse.Namespace) -> int:
    """Print a line for each gap."""
    from config import load

    settings = load.from_file(options.stack)
    gaps = list(settings.gaps())
    width = max((len(where) for where, _ in gaps), default=0)
    for where, what in gaps:
        print(f"{where:<{width}}  {what}")
    print(f"{len(gaps)} gaps" if gaps else "no gaps: everything was read from the server")
    return 0
