"""What a run of the program does around its resources."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config
from pulumi.runtime import stack

from config import load
from config.errors import UserError
from config.load import ROOT
from config.settings import Settings

SHOWN = 32
"""The exit code by which a program tells Pulumi that its error was shown, so that it adds no line of its own."""


def no_debug_messages() -> None:
    """Keep the SDK from sending debug messages to the engine, unless ``FLOWMASTER_DEBUG`` is set.

    It sends five for each resource and waits for each to be taken, and the engine drops them where nobody asked for
    them with ``--debug``: half of a preview's time at 300 services.
    """
    if not os.environ.get("FLOWMASTER_DEBUG"):
        pulumi.log.debug = _nothing


def wait_for_all_outputs_at_once() -> None:
    """Let the SDK, at the end of the program, wait for all outputs together instead of for the next one of them.

    For each output that is known it would begin again to wait for all the others: half of a preview's time at 300
    services, and growing with the square of their number. An output that fails ends the waiting at once, as before.
    """
    stack.asyncio = _Patient()  # type: ignore[attr-defined, assignment]


class _Patient:
    """The module asyncio, but for how long `wait` waits."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def wait(tasks: Any, *, return_when: str) -> Any:
        if return_when == asyncio.FIRST_COMPLETED:
            return_when = asyncio.FIRST_EXCEPTION
        return await asyncio.wait(tasks, return_when=return_when)


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


def load_settings(root: Path = ROOT) -> Settings:
    """Settings of the stack that Pulumi is running this program for."""
    values = {}
    for key, text in runtime_config.CONFIG.get().items():
        namespace, _, name = key.partition(":")
        if namespace == load.PROJECT:
            values[name] = _value(text)
    stack = pulumi.get_stack()
    return load.settings(stack, values, f"Pulumi.{stack}.yaml", root)


def _value(text: str) -> Any:
    """A configuration value as data: Pulumi hands objects over as JSON and plain words as they are."""
    if text[:1] in "{[":
        return json.loads(text)
    return text
