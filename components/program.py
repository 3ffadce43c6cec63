"""What a run of the program does around its resources."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from config.errors import UserError

SHOWN = 32
"""The exit code by which a program tells Pulumi that its error was shown, so that it adds no line of its own."""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show what a person can put right as its message alone: Pulumi would print a traceback for anything else."""
    try:
        yield
    except UserError as err:
        pulumi.log.error(str(err))
        sys.exit(SHOWN)
