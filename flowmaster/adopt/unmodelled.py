"""Removes values that the models cannot hold; they go into the override."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, ValidationError

from flowmaster.adopt.desired import Body
from flowmaster.adopt.override import InexpressibleError
from flowmaster.cluster.inline_secrets import marked

_MAPPINGS = frozenset({"env", "volumes", "probes", "labels", "annotations", "podLabels", "podAnnotations"})
"""Mappings of which single entries can be removed; other values are removed as a whole."""


def fitting(model: type[BaseModel], values: Body, otherwise: Body | None = None) -> Body:
    """Return the values without those that the model rejects, and without those that contain a secret.

    :param otherwise: what stands in the place of values that the model cannot do without.
    :raises InexpressibleError: where the model refuses the values together.
    """
    result = copy.deepcopy(values)
    for place in [place for place in _places(result) if marked(_at(result, place))]:
        _remove(result, place)
    while True:
        result = {**(otherwise or {}), **result}
        try:
            model.model_validate(result)
        except ValidationError as err:
            locations = [problem["loc"] for problem in err.errors(include_url=False)]
            refused = {place for place in _places(result) if any(loc[: len(place)] == place for loc in locations)}
            if not refused:
                raise InexpressibleError(".".join(str(step) for step in locations[0]) or "the whole") from err
            for place in refused:
                _remove(result, place)
        else:
            return result


def _places(values: Body) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in values.items():
        found += [(key, name) for name in value] if key in _MAPPINGS and isinstance(value, dict) else [(key,)]
    return found


def _at(values: Body, place: tuple[str, ...]) -> Any:
    return values[place[0]] if len(place) == 1 else values[place[0]][place[1]]


def _remove(values: Body, place: tuple[str, ...]) -> None:
    if len(place) == 1:
        del values[place[0]]
        return
    del values[place[0]][place[1]]
    if not values[place[0]]:
        del values[place[0]]
