"""What an update makes of a server: the plan carried out, and then what Pulumi and its provider do, on plain data."""

from __future__ import annotations

import copy
from typing import Any

from flowmaster.cluster.defaults import fill
from flowmaster.cluster.normalise import normalise, without_allocated
from flowmaster.cluster.schema import schema
from flowmaster.cluster.writes import Way
from flowmaster.compare.finding import ABSENT, Change, ObjectRef
from flowmaster.compare.three_way import apply, compare
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import reference, value_at
from flowmaster.heal.plan import Plan, plan
from tests.unit.drift.server import NAMESPACE, OWN, Server

Body = dict[str, Any]


def plan_of(server: Server) -> Plan:
    """What the next update has to do."""
    return plan(server.declared, Applied(server.applied), server.live, server.findings(), server.rules)


def inputs_of(server: Server, todo: Plan) -> dict[ObjectRef, Body]:
    """What Pulumi is told about each object."""
    declared = {reference(body, NAMESPACE): body for body in server.declared}
    return {ref: todo.kept.get(ref, body) for ref, body in declared.items()}


def changed(server: Server, todo: Plan) -> set[ObjectRef]:
    """The objects that a preview shows a change of."""
    inputs = inputs_of(server, todo)
    written = {ref for ref, body in inputs.items() if body != server.applied.get(ref)}
    return set(todo.steps) | written | (server.applied.keys() - inputs.keys())


def update(server: Server) -> Plan:
    """Carry out the plan, then apply whatever Pulumi takes for changed; returns the plan."""
    todo = plan_of(server)
    inputs, written = inputs_of(server, todo), changed(server, todo)
    for ref, step in todo.steps.items():
        assert step.healed is not None
        if step.way is Way.PATCH:
            server.live.objects[ref] = stored(ref, copy.deepcopy(step.healed))
        else:
            server.live.objects[ref] = made(step.healed)
    for step in todo.deletions:
        del server.live.objects[step.ref]
    for ref in written & inputs.keys():
        there = server.live.objects.get(ref) or made(inputs[ref])
        server.live.objects[ref] = applied(ref, inputs[ref], there, server.applied.get(ref, {}))
        server.applied[ref] = copy.deepcopy(inputs[ref])
    for ref in server.applied.keys() - inputs.keys():
        server.live.objects.pop(ref, None)
        del server.applied[ref]
    return todo


def stored(ref: ObjectRef, body: Body) -> Body:
    """The object as the server stores it: what only another type of Service has goes with that type."""
    kind = body["spec"].get("type", "ClusterIP") if ref.kind == "Service" else ""
    if kind == "ClusterIP":
        body["spec"].pop("externalTrafficPolicy", None)
        for port in body["spec"].get("ports", []):
            port.pop("nodePort", None)
    elif kind == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "internalTrafficPolicy"):
            body["spec"].pop(name, None)
    return body


def made(body: Body) -> Body:
    """An object as the server makes it: with its defaults, and everything set by this program."""
    whole = fill(str(body["kind"]), normalise(copy.deepcopy(body)), body["metadata"]["name"])
    owner = {"manager": OWN, "operation": "Apply", "fieldsV1": {"f:metadata": {}, "f:spec": {}, "f:data": {}}}
    metadata = {**whole["metadata"], "name": body["metadata"]["name"], "managedFields": [owner]}
    return {**whole, "kind": body["kind"], "apiVersion": body.get("apiVersion"), "metadata": metadata}


def applied(ref: ObjectRef, body: Body, live: Body, last: Body) -> Body:
    """The object after a server-side apply: as the body has it, without what it gave up, and else untouched."""
    wanted = fill(ref.kind, normalise(copy.deepcopy(body)), ref.name)
    there = without_allocated(normalise(live), wanted, ref.kind)
    written, before = normalise(body), normalise(last)
    touched = [
        difference
        for difference in compare(wanted, there, wanted, schema(ref.kind))
        if value_at(before if difference.change is Change.ADDED else written, difference.path) is not ABSENT
    ]
    return dict(apply(touched, live))
