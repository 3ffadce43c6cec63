"""References of environment variables to each other: `$(NAME)` is expanded only if NAME comes before. Pure."""

from __future__ import annotations

import re
from typing import Any

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
"""`$(NAME)`; `$$` is a dollar sign, so that `$$(NAME)` is none."""


def references(variable: Any) -> frozenset[str]:
    """Return the names of the variables that a variable's value refers to."""
    value = variable.get("value") if isinstance(variable, dict) else None
    if not isinstance(value, str) or "$(" not in value:
        return frozenset()
    return frozenset(filter(None, _REFERENCE.findall(value)))


def unresolved(variables: list[Any]) -> set[tuple[str, str]]:
    """Return each variable that refers to one that comes after it in the list, with the name of that one."""
    places = {str(part.get("name")): place for place, part in enumerate(variables) if isinstance(part, dict)}
    return {
        (user, name)
        for user, place in places.items()
        for name in references(variables[place])
        if places.get(name, -1) > place
    }
