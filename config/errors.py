"""Errors shown to users: at most three lines (found, breaks, remedy)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

MAX_LINES = 3
_FORMS = ("(typed site)", "(site template)")
"""What pydantic inserts into the path of a value that has one of several forms."""


class UserError(Exception):
    """An error that the user can fix.

    ``found`` says what is wrong and names the value, ``breaks`` what it would break or what is allowed instead,
    ``remedy`` what to do. Shown as one line each, never with a traceback.
    """

    def __init__(self, found: str, breaks: str = "", remedy: str = "") -> None:
        self.found = found
        self.breaks = breaks
        self.remedy = remedy
        super().__init__("\n".join(line for line in (found, breaks, remedy) if line))


class ConfigError(UserError, ValueError):
    """The stack's configuration or the catalogue is invalid."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean x?)"`` for the closest known word, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""


def from_validation(error: ValidationError, model: type[BaseModel], source: str) -> ConfigError:
    """Convert a pydantic error to three lines: the most specific problem, and the number of others."""
    problems = error.errors(include_url=False)
    # A misspelt key causes two problems; the missing key is the less specific one.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    first = {**first, "loc": tuple(step for step in first["loc"] if step not in _FORMS)}
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    location = _dotted(first["loc"])
    nested = first.get("ctx", {}).get("error")
    if isinstance(nested, UserError):
        return ConfigError(f"{source}: {location}: {nested.found}{more}", nested.breaks, nested.remedy)
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = known_keys(model, first["loc"][:-1])
        return ConfigError(
            f"{source}: {_dotted(first['loc'][:-1]) or 'top level'}: unknown key {key!r}{closest(key, known)}{more}",
            f"known keys here: {', '.join(sorted(known))}" if known else "",
            "correct the key, or put what the model has no field for into that service's override",
        )
    if first["type"] == "missing":
        known = known_keys(model, first["loc"][:-1])
        return ConfigError(
            f"{source}: {location}: a value is needed and none is given{more}",
            f"keys here: {', '.join(sorted(known))}" if known else "",
            f"add {first['loc'][-1]}",
        )
    return ConfigError(f"{source}: {location}: {_plain(first['msg'])}, found {_short(first.get('input'))}{more}")


def known_keys(model: type[BaseModel], path: Sequence[int | str]) -> set[str]:
    """Return the keys allowed by the model at ``path`` below ``model``; empty if there is no model."""
    found: set[type[BaseModel]] = {model}
    for step in path:
        below: set[type[BaseModel]] = set()
        for candidate in found:
            matching = [f for name, f in candidate.model_fields.items() if step in (f.alias, name)]
            below |= {m for field in matching for m in _models_in(field.annotation)}
        # a step that is not a field is a key of a mapping or an index of a list: the models stay the same
        found = below or found
    return {field.alias or name for candidate in found for name, field in candidate.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {m for part in get_args(annotation) for m in _models_in(part)}


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
