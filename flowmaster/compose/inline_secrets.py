"""Secrets in what was read of a project: found as `flowmaster adopt` finds them, and taken out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from config.compose import SEALED
from flowmaster.cluster.inline_secrets import is_secret
from flowmaster.cluster.masking import Masker

Json = dict[str, Any]
_WORDS = ("command", "entrypoint", "healthcheck", "labels", "annotations")
"""Where a secret that a variable has may stand once more."""
_KEY = re.compile(r"[^-._a-zA-Z0-9]+")


def seal(services: Mapping[str, Json], configs: Mapping[str, Json]) -> tuple[dict[str, Json], dict[str, Json], Json]:
    """Services (their keys) and configs without their secrets, and the secrets by the key that stands for each."""
    secrets: dict[str, str] = {}
    formed = Masker()

    def by_itself(name: str, value: str) -> bool:
        return is_secret(name, value, formed)

    once = {name: _walk(keys, name, secrets, by_itself) for name, keys in services.items()}
    masker = Masker([{"kind": "Secret", "stringData": dict(secrets)}])

    def again(_: str, value: str) -> bool:
        return bool(value) and masker.text(value) != value

    sealed = {}
    for name, keys in once.items():
        sealed[name] = dict(keys)
        for where in ("environment", *_WORDS):
            if where in keys:
                sealed[name][where] = _walk(keys[where], f"{name}.{where}", secrets, again)
    kept = {name: _walk(entry, f"configs.{name}", secrets, again) for name, entry in configs.items()}
    return sealed, kept, secrets


def _walk(value: Any, place: str, secrets: dict[str, str], secret: Callable[[str, str], bool], called: str = "") -> Any:
    """A copy with marks in place of secrets."""
    if isinstance(value, Mapping):
        if set(value) == {SEALED}:
            return dict(value)
        below = {name: _place(place, str(name)) for name in value}
        return {name: _walk(part, below[name], secrets, secret, str(name)) for name, part in value.items()}
    if isinstance(value, list):
        return [_walk(part, f"{place}.{number}", secrets, secret) for number, part in enumerate(value)]
    if isinstance(value, str) and secret(called, value):
        while secrets.get(place, value) != value:
            place += "-"
        secrets[place] = value
        return {SEALED: place}
    return value


def _place(place: str, name: str) -> str:
    """The key of a secret: of a variable, the service and its name; else the way to it."""
    return _KEY.sub("-", f"{place}.{name}").replace(".environment.", ".")
