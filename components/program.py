"""What a run of the program does around its resources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from config.errors import UserError


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show what a person can put right as its message alone: Pulumi would print a traceback for anything else."""
    try:
        yield
    except UserError as err:
        raise pulumi.RunError(str(err)) from None
