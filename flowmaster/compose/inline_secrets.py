"""Finds secrets in a compose project, as `flowmaster adopt` does, and replaces them by references. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from config.compose import SEALED
from flowmaster.cluster.inline_secrets import is_secret
from flowmaster.cluster.masking import Masker

Json = dict[str, Any]
_OTHER_KEYS = ("command", "entrypoint", "healthcheck", "labels", "annotations")
"""Keys in which the value of a secret variable may appear again."""
_KEY = re.compile(r"[^-._a-zA-Z0-9]+")


def take_out_secrets(
    services: Mapping[str, Json], configs: Mapping[str, Json]
) -> tuple[dict[str, Json], dict[str, Json], Json]:
    """Return services and configs with references in place of secrets, and the secrets by reference."""
    secrets: dict[str, str] = {}
    formed = Masker()

    def is_recognised(name: str, value: str) -> bool:
        return is_secret(name, value, formed)

    first_pass = {name: _sealed(keys, name, secrets, is_recognised) for name, keys in services.items()}
    masker = Masker([{"kind": "Secret", "stringData": dict(secrets)}])

    def is_known_value(_: str, value: str) -> bool:
        return bool(value) and masker.text(value) != value

    sealed = {}
    for name, keys in first_pass.items():
        sealed[name] = dict(keys)
        for where in ("environment", *_OTHER_KEYS):
            if where in keys:
                sealed[name][where] = _sealed(keys[where], f"{name}.{where}", secrets, is_known_value)
    sealed_configs = {
        name: _sealed(entry, f"configs.{name}", secrets, is_known_value) for name, entry in configs.items()
    }
    return sealed, sealed_configs, secrets


def _sealed(value: Any, place: str, secrets: dict[str, str], secret: Callable[[str, str], bool], key: str = "") -> Any:
    """Return a copy with references in place of secrets."""
    if isinstance(value, Mapping):
        if set(value) == {SEALED}:
            return dict(value)
        below = {name: _secret_key(place, str(name)) for name in value}
        return {name: _sealed(part, below[name], secrets, secret, str(name)) for name, part in value.items()}
    if isinstance(value, list):
        return [_sealed(part, f"{place}.{number}", secrets, secret) for number, part in enumerate(value)]
    if isinstance(value, str) and secret(key, value):
        while secrets.get(place, value) != value:
            place += "-"
        secrets[place] = value
        return {SEALED: place}
    return value


def _secret_key(place: str, name: str) -> str:
    """Name a secret: SERVICE.VARIABLE for a variable, else its path."""
    return _KEY.sub("-", f"{place}.{name}").replace(".environment.", ".")
