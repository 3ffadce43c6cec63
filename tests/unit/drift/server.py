"""A server to change by hand: the specimens as a real one had them, with field managers kept as it keeps them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from config.rules import Rule
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ABSENT, Change, Finding, ObjectRef
from flowmaster.compare.path import Item
from flowmaster.compare.path import Path as FieldPath
from flowmaster.compare.three_way import Difference, apply
from flowmaster.drift.engine import Options, Report, build_report
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import reference

NAMESPACE = "specimens"
FOLDER = Path(__file__).parent / "specimens"
OWN = "flowmaster"
DECLARED: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "declared.yaml").read_text()))
_LIVE: list[dict[str, Any]] = json.loads((FOLDER / "live.json").read_text())
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)


def ref(text: str) -> ObjectRef:
    """`Kind/name`, in the namespace of the specimens."""
    kind, _, name = text.partition("/")
    return ObjectRef(kind, "" if kind == "Namespace" else NAMESPACE, name)


def named(name: str, key: str = "name") -> Item:
    """An element of a list by its name."""
    return Item((key,), (name,))


CONTAINER: FieldPath = ("spec", "template", "spec", "containers", named("web"))
POD: FieldPath = ("spec", "template", "spec")


class Server:
    """The live state, what is declared, and what was applied last; each to be changed."""

    def __init__(self) -> None:
        self.declared = copy.deepcopy(DECLARED)
        self.live = LiveState("https://10.77.0.2:6443", NAMESPACE)
        for body in copy.deepcopy(_LIVE):
            self.live.objects[reference(body, NAMESPACE)] = body
        self.applied: dict[ObjectRef, Any] = {reference(body, NAMESPACE): body for body in copy.deepcopy(DECLARED)}
        self.rules: tuple[Rule, ...] = ()

    def set(
        self, where: str, path: FieldPath, value: Any, manager: str = "kubectl-edit", owned: FieldPath = ()
    ) -> None:
        """Change, add or (with ABSENT) remove a field by hand; `owned` is its path where the change moves it."""
        body = self.live.objects[ref(where)]
        change = Difference(path, Change.CHANGED, value, None, None, None)
        self.live.objects[ref(where)] = apply([change], body)
        self._own(where, owned or path, manager, value)

    def program(self, where: str, path: FieldPath, value: Any) -> None:
        """Change what is declared."""
        for index, body in enumerate(self.declared):
            if reference(body, NAMESPACE) == ref(where):
                self.declared[index] = apply([Difference(path, Change.CHANGED, value, None, None, None)], body)

    def delete(self, where: str) -> None:
        """Delete an object by hand."""
        del self.live.objects[ref(where)]

    def create(self, body: dict[str, Any], manager: str = "kubectl-create") -> None:
        """Make an object by hand."""
        stamp = AN_HOUR_AGO.isoformat()
        entry = {"manager": manager, "operation": "Update", "time": stamp, "fieldsV1": {"f:spec": {}}}
        whole = {**body, "metadata": {"creationTimestamp": stamp, "managedFields": [entry], **body["metadata"]}}
        self.live.objects[reference(body, NAMESPACE)] = whole

    def report(self) -> Report:
        """What drift says now."""
        options = Options(stack="demo", rules=self.rules, now=NOW)
        return build_report(None, self.live, self.declared, Applied(self.applied), options)

    def findings(self) -> list[Finding]:
        """The findings now."""
        return self.report().findings

    def _own(self, where: str, path: FieldPath, manager: str, value: Any) -> None:
        metadata = self.live.objects[ref(where)]["metadata"]
        names = [_field(step) for step in path]
        for entry in metadata["managedFields"]:
            _remove(entry["fieldsV1"], names)
        if value is ABSENT:
            return
        tree: dict[str, Any] = {}
        for name in reversed(names):
            tree = {name: tree}
        metadata["managedFields"].append(
            {"manager": manager, "operation": "Update", "time": AN_HOUR_AGO.isoformat(), "fieldsV1": tree}
        )


def _field(step: Any) -> str:
    if isinstance(step, Item):
        key = dict(zip(step.fields, step.live or step.key, strict=True))
        return f"k:{json.dumps(key, separators=(',', ':'))}" if step.fields else f"v:{json.dumps(step.key[0])}"
    return f"f:{step}"


def _remove(fields: dict[str, Any], names: list[str]) -> None:
    if len(names) == 1:
        fields.pop(names[0], None)
    elif names[0] in fields:
        _remove(fields[names[0]], names[1:])
        if not fields[names[0]]:
            del fields[names[0]]
