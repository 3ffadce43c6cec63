"""Which function translates which key of a service, in the order in which they are called; and in what words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowmaster.compose.context import Work

Handler = Callable[[Work, Any], None]


@dataclass(frozen=True)
class Entry:
    """One key: what becomes of it, in words, and the function that does it."""

    becomes: str
    handler: Handler
    refused: str = ""
    """What of it is refused, in words."""


SERVICE_KEYS: dict[str, Entry] = {}


def key(name: str, becomes: str, refused: str = "") -> Callable[[Handler], Handler]:
    """The function below translates this key; it is called where the key has a value, and takes it."""

    def register(handler: Handler) -> Handler:
        SERVICE_KEYS[name] = Entry(becomes, handler, refused)
        return handler

    return register
