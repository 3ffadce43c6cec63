"""SDX on a twin: read into a stack as `flowmaster compose` reads it, and moved by the operator from phase to phase."""

from __future__ import annotations

from typing import Any

from host import docker
from lab.twin import Twin
from migration.result import Surroundings
from migration.source import read_source
from tests.lab.operate import NAMESPACE, Operator
from tests.lab.server import Server

SDX, FOLDER = "sdx", "/opt/sdx"
FEW = ("api-gateway", "frontend", "scheduling", "websocket-gateway")
PORTS = (8010, 3010, 8011)
ARANGO = {"10.43.85.29": "arangodb"}


def only_a_few(settings: dict[str, Any]) -> None:
    """Of a stack or a catalogue only some services: the rest has nothing to do with SDX."""
    services = settings["services"]
    for name in set(services) - set(FEW):
        del services[name]


def operator_of(twin: Twin) -> Operator:
    """Somebody with a stack of a few services, at a server where SDX runs in docker."""
    operator = Operator.of(twin)
    operator.edit_stack(only_a_few)
    operator.edit_catalogue(only_a_few)
    return operator


def read(operator: Operator, server: Server, name: str = SDX, folder: str = FOLDER, **more: Any) -> None:
    """Write down what runs."""
    found = docker.read_project(server.access, name, folder)
    around = Surroundings(namespace=NAMESPACE, registry="localhost:30500", external_hosts=ARANGO)
    source, secrets, _ = read_source(
        found["config"], found["containers"], found["volumes"], found["files"], found["images"], around
    )
    entry = {
        "folder": folder,
        "phase": "docker",
        "source": source.model_dump(mode="json", by_alias=True, exclude_none=True),
        "sealed": dict(secrets),
        **more,
    }

    def add(settings: dict[str, Any]) -> None:
        settings.setdefault("compose", {})[name] = entry

    operator.edit_stack(add)


def phase(operator: Operator, word: str, **more: Any) -> None:
    """Say where SDX is to be."""

    def change(settings: dict[str, Any]) -> None:
        settings["compose"][SDX].update(phase=word, **more)

    operator.edit_stack(change)
