"""What a row of the table of drift is made of: a change by hand in kubectl's words, and what has to be found of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEAL, REPORT = "heal", "report"
POD = "spec.template.spec."


@dataclass(frozen=True)
class Expected:
    """One finding. A pattern stands for a value that is not known before; None for no value at all."""

    cls: str
    path: str
    live: Any = None
    declared: Any = None
    manager: str | None = None
    action: str = HEAL
    note: str = ""
    """Words that the note has."""
    object: str = ""
    """What it is about, where that is not the row's object."""


@dataclass(frozen=True)
class Row:
    """One change by hand. `commands` are kubectl's; `undo` are those that a person undoes it with, where up does not.

    With an `address`, the object is deleted and made again from the same manifest, with that ClusterIP.
    """

    object: str
    commands: Sequence[Sequence[str]]
    findings: tuple[Expected, ...]
    undo: Sequence[Sequence[str]] = ()
    address: str = ""
    made: Sequence[dict[str, Any]] = ()
    """Objects that are made first, by `kubectl create`."""

    @property
    def healed(self) -> bool:
        """Whether up undoes all of it."""
        return all(finding.action == HEAL for finding in self.findings)


def main(name: str) -> str:
    """The path of a service's container."""
    return f"{POD}containers[{name}]"


def patch(resource: str, body: dict[str, Any], manager: str = "kubectl-patch") -> tuple[str, ...]:
    """kubectl patch, with lists merged by their names."""
    return (
        "patch",
        *resource.split("/"),
        "--type=strategic",
        "--patch",
        json.dumps(body),
        f"--field-manager={manager}",
    )


def json_patch(resource: str, *operations: dict[str, Any]) -> tuple[str, ...]:
    """kubectl patch, step by step."""
    return ("patch", *resource.split("/"), "--type=json", "--patch", json.dumps(operations))


def pods(name: str, spec: dict[str, Any], manager: str = "kubectl-patch") -> tuple[str, ...]:
    """kubectl patch of a Deployment's pods."""
    return patch(f"deployment/{name}", {"spec": {"template": {"spec": spec}}}, manager)


def container(name: str, fields: dict[str, Any], manager: str = "kubectl-patch") -> tuple[str, ...]:
    """kubectl patch of a Deployment's container."""
    return pods(name, {"containers": [{"name": name, **fields}]}, manager)


def set_env(name: str, *words: str) -> tuple[str, ...]:
    """kubectl set env."""
    return ("set", "env", f"deployment/{name}", *words)


def deployment(name: str, command: Sequence[str], *findings: Expected) -> Row:
    """A row about a Deployment."""
    return Row(f"Deployment/{name}", [command], findings)
