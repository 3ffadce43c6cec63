"""What every `flowmaster drift` asks, one after the other: by the project's own client."""

import sys
from dataclasses import dataclass

from flowmaster.cluster.connection import connect
from flowmaster.cluster.kinds import KINDS


@dataclass(frozen=True)
class Target:
    """The cluster."""

    context: str = sys.argv[1]
    request_timeout: int = 30


with connect(Target()) as api:
    for kind in KINDS:
        api.get(kind.path(sys.argv[2]))
