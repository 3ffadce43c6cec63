"""Runs the program: settings of the stack, readable errors, and the patches of Pulumi's SDK."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config

from components import sdk_patches
from config import load
from config.errors import UserError
from config.load import ROOT
from config.settings import Settings

SHOWN = 32
"""Exit code that tells Pulumi that the error was shown, so that it adds no message."""


@contextmanager
def program() -> Iterator[Settings]:
    """Run the program on the settings of the stack. A :class:`UserError` shows as its message, without a traceback."""
    sdk_patches.apply()
    try:
        yield load_settings()
    except UserError as err:
        pulumi.log.error(str(err))
        sys.exit(SHOWN)


def load_settings(root: Path = ROOT) -> Settings:
    """Load the settings of the stack that Pulumi runs the program for."""
    values = {}
    for key, text in runtime_config.CONFIG.get().items():
        namespace, _, name = key.partition(":")
        if namespace == load.PROJECT:
            values[name] = _value(text)
    stack = pulumi.get_stack()
    return load.settings(stack, values, f"Pulumi.{stack}.yaml", root)


def _value(text: str) -> Any:
    """Parse a configuration value: Pulumi passes objects as JSON, and strings unchanged."""
    if text[:1] in "{[":
        return json.loads(text)
    return text
