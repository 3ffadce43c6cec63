"""What a run of the program does around its resources."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from config.errors import UserError

SHOWN = 32
"""The exit code by which a program tells Pulumi that its error was shown, so that it adds no line of its own."""


def no_debug_messages() -> None:
    """Keep the SDK from sending debug messages to the engine, unless ``FLOWMASTER_DEBUG`` is set.

    It sends five for each resource and waits for each to be taken, and the engine drops them where nobody asked for
    them with ``--debug``: half of a preview's time at 300 services.
    """
    if not os.environ.get("FLOWMASTER_DEBUG"):
        pulumi.log.debug = _nothing


def _nothing(*_: object, **__: object) -> None:
    """Say nothing."""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show what a person can put right as its message alone: Pulumi would print a traceback for anything else."""
    try:
        yield
    except UserError as err:
        pulumi.log.error(str(err))
        sys.exit(SHOWN)
