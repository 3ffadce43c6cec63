"""Waiting until Kubernetes knows a volume, before the claim that names it is made.

A claim that is seen first is looked at again only when the controller goes through all of them, every 15 s, and its
pods wait for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from flowmaster.cluster.connection import Target, connect
from flowmaster.cluster.errors import ApiError

PATIENCE = 10.0
"""Seconds. A claim that is made too early is bound late, and nothing worse."""
_POLL_SECONDS = 0.1


def wait_until_known(cluster: Target, name: str) -> None:
    """Wait until the controller has seen a PersistentVolume; not for long, and not where it may not be read."""
    with connect(cluster) as api:
        _wait(api.get, name)


def _wait(get: Callable[[str], Any], name: str, sleep: Callable[[float], None] = time.sleep) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            volume: Mapping[str, Any] = get(f"/api/v1/persistentvolumes/{name}")
        except ApiError:
            return False
        if (volume.get("status") or {}).get("phase") in ("Available", "Bound"):
            return True
        sleep(_POLL_SECONDS)
    return False
