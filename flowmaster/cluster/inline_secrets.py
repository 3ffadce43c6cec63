"""Finds secrets in the clear in a Deployment, and replaces them by references."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowmaster.cluster.masking import Masker, option, telling
from flowmaster.compare.path import Item, Path, render
from flowmaster.render.microservice import SEALED

Body = dict[str, Any]
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class Place:
    """A text in a Deployment that may be a secret."""

    key: str
    """What the stack calls it: the variable of the main container, `CONTAINER.VARIABLE`, `CONTAINER.args[1]`."""
    name: str
    """A name that may show that it is secret; empty if there is none."""
    holder: Any
    """The map or list that contains it."""
    at: str | int
    """Its key or index there."""

    @property
    def text(self) -> str:
        """The text."""
        return str(self.holder[self.at])


def is_secret(name: str, value: str, masker: Masker) -> bool:
    """Return whether a value is a secret: by its name, by its form, or because a Secret holds it.

    What Kubernetes is yet to fill in, `$(VARIABLE)`, is none.
    """
    named = telling(name) and not value.isdigit() and not value.startswith("$(")
    return bool(value) and (named or masker.reveals(value) or masker.holds(value))


def sealed(main: str, deployment: Body, masker: Masker) -> tuple[Body, dict[str, str]]:
    """The Deployment with a mark in place of each secret, and the secrets by the key that the mark names.

    :param main: the name of the container that is the service.
    """
    result = copy.deepcopy(deployment)
    found: dict[str, str] = {}
    for place in places(main, result):
        if is_secret(place.name, place.text, masker):
            found[place.key] = place.text
            place.holder[place.at] = mark(place.key)
    return result, found


def mark(key: str) -> str:
    """A text that stands for the sealed value of that key."""
    return f"{{{SEALED}: {key}}}"


def named(patch: Any, keys: Mapping[str, Any]) -> Any:
    """The patch of an override with `{$sealed: KEY}` for each mark."""
    marks = {mark(key): key for key in keys}
    return _replaced(patch, lambda text: {SEALED: marks[text]} if text in marks else text)


def marked(value: Any) -> bool:
    """Whether a mark stands somewhere in it."""
    prefix = mark("")[:-1]
    if isinstance(value, dict):
        return any(marked(part) for part in value.values())
    if isinstance(value, list):
        return any(marked(part) for part in value)
    return isinstance(value, str) and value.startswith(prefix)


def revealed(node: Any, masker: Masker, path: Path = ()) -> str | None:
    """The first place at which a secret stands in what is to be written down; None where there is none."""
    if isinstance(node, str):
        return render(path) if masker.reveals(node) else None
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        parts = node.items()
    elif isinstance(node, list):
        parts = ((Item((), (number,)), part) for number, part in enumerate(node))
    return next((found for step, part in parts if (found := revealed(part, masker, (*path, step)))), None)


def _replaced(node: Any, text: Callable[[str], Any]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, text) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, text) for value in node]
    return text(node) if isinstance(node, str) else node


def places(main: str, deployment: Body) -> Iterator[Place]:
    """Every text of a Deployment in which people write secrets: values of variables, arguments, commands, headers and
    paths of probes and hooks, annotations of the pods. Not what names something (images, labels, references), and not
    the object's own annotations: Pulumi does not keep these as secrets."""
    template = deployment["spec"]["template"]
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    yield from (Place(f"podAnnotations[{key}]", "", annotations, key) for key in annotations)
    pod = template["spec"]
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        name = container["name"]
        for variable in container.get("env") or ():
            if "value" in variable:
                key = variable["name"] if name == main else f"{name}.{variable['name']}"
                yield Place(key, variable["name"], variable, "value")
        yield from _words(name, container)
        hooks = {f"lifecycle.{key}": hook for key, hook in (container.get("lifecycle") or {}).items()}
        for key, handler in (*((key, container.get(key)) for key in _PROBES), *hooks.items()):
            yield from _of_handler(f"{name}.{key}", handler or {})


def _words(owner: str, holder: Body) -> Iterator[Place]:
    for part in ("command", "args"):
        words = holder.get(part) or []
        for position in range(len(words)):
            yield Place(f"{owner}.{part}[{position}]", option(words, position), words, position)


def _of_handler(owner: str, handler: Body) -> Iterator[Place]:
    yield from _words(owner, handler.get("exec") or {})
    action = handler.get("httpGet") or {}
    for header in action.get("httpHeaders") or ():
        yield Place(f"{owner}.{header['name']}", header["name"], header, "value")
    if "path" in action:
        yield Place(f"{owner}.path", "", action, "path")
