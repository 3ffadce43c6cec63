"""Registry of the functions that translate the keys of a service, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowmaster.compose.context import ServiceBuilder

Handler = Callable[[ServiceBuilder, Any], None]


@dataclass(frozen=True)
class KeyHandler:
    """One key: its documentation, and the function that translates it."""

    becomes: str
    handler: Handler
    refused: str = ""
    """Documentation of what is refused."""


SERVICE_KEYS: dict[str, KeyHandler] = {}


def key(name: str, becomes: str, refused: str = "") -> Callable[[Handler], Handler]:
    """Register the decorated function for a key. It is called if the key has a value."""

    def register(handler: Handler) -> Handler:
        SERVICE_KEYS[name] = KeyHandler(becomes, handler, refused)
        return handler

    return register
