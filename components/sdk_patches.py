"""Patches of Pulumi's Python SDK, for speed only. Every program runs correctly without them.

Each patch names the upstream issue. `tests/components/test_sdk_patches.py` fails as soon as the installed SDK no longer
needs one of them. :data:`PLAIN` set to anything runs the SDK as it is, and so does an SDK that looks different.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pulumi
from pulumi.runtime import stack

PLAIN = "FLOWMASTER_PLAIN_SDK"
DEBUG = "FLOWMASTER_DEBUG"


def apply() -> None:
    """Apply every patch, unless :data:`PLAIN` is set."""
    if os.environ.get(PLAIN):
        return
    drop_debug_messages()
    wait_for_all_outputs_at_once()


def drop_debug_messages() -> None:
    """Do not send debug messages to the engine, unless :data:`DEBUG` is set.

    The SDK sends about five for each resource and waits for the engine's answer to each. Without ``--debug`` the engine
    drops them: half of a preview's time at 300 services (docs/speed.md).

    Upstream: https://github.com/pulumi/pulumi/issues/7292 removed most messages in 2021, not those that are left.
    """
    if not os.environ.get(DEBUG):
        pulumi.log.debug = _ignore


def wait_for_all_outputs_at_once() -> None:
    """At the end of the program, wait for all outputs together instead of for the next one.

    The SDK waits until any output is known, then starts to wait for all others again. This takes half of a preview's
    time at 300 services, and grows with the square of their number. A failed output still ends the wait at once.

    Upstream: https://github.com/pulumi/pulumi/pull/22411 introduced the loop, in place of a busy one.
    """
    if getattr(stack, "asyncio", None) is asyncio:
        stack.asyncio = _Asyncio()  # type: ignore[attr-defined, assignment]


class _Asyncio:
    """The module `asyncio`, except that `wait` does not return on the first completed task."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def wait(tasks: Any, *, return_when: str) -> Any:
        if return_when == asyncio.FIRST_COMPLETED:
            return_when = asyncio.FIRST_EXCEPTION
        return await asyncio.wait(tasks, return_when=return_when)


def _ignore(*_: object, **__: object) -> None:
    """Drop the message."""
