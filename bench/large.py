"""Fleets that an update takes minutes for: made by kubectl in the program's name, with the state to it."""

from __future__ import annotations

import json
import time
from typing import Any

import yaml

from bench.errors import BenchError
from bench.fleet import Fleet
from bench.server import Server
from components.kubernetes import type_of
from config.load import PROJECT
from flowmaster.render.names import FIELD_MANAGER

FROM = 1000
"""Services from which on a fleet is made in this way."""
NOTE = "objects are made by kubectl in the program's name, and Pulumi's state is written to fit"
_KINDS = "namespaces,deployments,services,configmaps,secrets"
_PATIENCE = 1800
_PAUSE = 3


def deploy(server: Server, fleet: Fleet) -> None:
    """Make the fleet as `pulumi up` would leave it: the same objects and owner of their fields, a state that fits.

    :raises BenchError: where kubectl fails, or pods are not ready in time.
    """
    server.clear(fleet)
    server.kubectl("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "-f", str(fleet.manifests))
    _wait(server, fleet)
    live: dict[tuple[str, str], Any] = {}
    for kind in _KINDS.split(","):
        found = json.loads(server.kubectl("get", kind, "--namespace", fleet.namespace, "--output", "json"))
        live |= {(body["kind"], body["metadata"]["name"]): body for body in found["items"]}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    declared = [body for body in yaml.load_all(fleet.manifests.read_text(), Loader=loader) if body]
    path = fleet.stack.state / ".pulumi" / "stacks" / PROJECT / f"{fleet.stack.name}.json"
    document = json.loads(path.read_text())
    document["checkpoint"]["latest"] = {
        **(document["checkpoint"].get("latest") or {}),
        "resources": [resource(body, live[body["kind"], body["metadata"]["name"]], fleet) for body in declared],
    }
    path.write_text(json.dumps(document, indent=4))


def _wait(server: Server, fleet: Fleet) -> None:
    """Until every pod is ready. `kubectl wait` would ask for each Deployment by itself, which takes ten minutes."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        listed = server.kubectl("get", "deployments", "--namespace", fleet.namespace, "--output", "json")
        waiting = [body for body in json.loads(listed)["items"] if not _ready(body)]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"{len(waiting)} deployments are not ready after {_PATIENCE} s")
        time.sleep(_PAUSE)


def _ready(deployment: dict[str, Any]) -> bool:
    return bool(deployment["status"].get("readyReplicas", 0) == deployment["spec"]["replicas"])


def resource(declared: dict[str, Any], live: dict[str, Any], fleet: Fleet) -> dict[str, Any]:
    """An object as Pulumi's state has it."""
    kind, name = type_of(declared), declared["metadata"]["name"]
    return {
        "urn": f"urn:pulumi:{fleet.stack.name}::{PROJECT}::{kind}::{name}",
        "custom": True,
        "id": f"{fleet.namespace}/{name}",
        "type": kind,
        "inputs": declared,
        "outputs": live,
    }
