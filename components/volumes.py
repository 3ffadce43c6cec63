"""Waits until Kubernetes has seen a PersistentVolume before its claim is created.

If the controller sees the claim first, it retries only in its resync, every 15 s, and the pods wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from flowmaster.cluster.connection import Target, connect
from flowmaster.cluster.errors import ApiError

PATIENCE = 10.0
"""Seconds. After that the claim is created anyway; it may be bound late."""
_POLL_SECONDS = 0.1


def wait_until_known(cluster: Target, name: str) -> None:
    """Wait until the controller has seen a PersistentVolume, 10 s at most; not at all without permission to read it."""
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
