"""A server where SDX runs in docker, and somebody who is about to move it."""

import pytest

from lab.twin import Twin, handmade
from tests.lab import compose
from tests.lab.operate import Operator
from tests.lab.sdx.mover import Mover
from tests.lab.server import Server


@pytest.fixture(scope="module")
def server(empty_twin: Twin) -> Server:
    """A server where SDX and Plane run in docker."""
    handmade.containers(empty_twin)
    return Server.of(empty_twin)


@pytest.fixture(scope="module")
def operator(server: Server) -> Operator:
    """Somebody who read SDX into the stack, and leaves it in docker."""
    operator = compose.operator_of(server.twin)
    compose.read(operator)
    operator.up()
    return operator


@pytest.fixture(scope="module")
def mover(operator: Operator) -> Mover:
    """The same person, who moves SDX without an update."""
    return Mover(operator)
