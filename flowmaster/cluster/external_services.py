"""The stack's ExternalName services that lead to Services of the same cluster."""

from __future__ import annotations

import re
from typing import Any, Protocol

from config.settings import Settings
from flowmaster.cluster.errors import ApiError

_NOT_FOUND = 404
_IN_CLUSTER = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


class Reader(Protocol):
    """What is needed of a connection to the API server."""

    def get(self, path: str) -> Any:
        """A decoded answer."""


def external_hosts(api: Reader, settings: Settings) -> dict[str, str]:
    """The stack's ExternalName services by the ClusterIP of what each stands for, where that is in the cluster.

    :raises ApiError: where the API server does not say.
    """
    found: dict[str, str] = {}
    for name, host in sorted(settings.catalogue.external_services.items()):
        match = _IN_CLUSTER.fullmatch(host)
        if match is None:
            continue
        try:
            service = api.get(f"/api/v1/namespaces/{match[2]}/services/{match[1]}")
        except ApiError as err:
            if err.status == _NOT_FOUND:
                continue
            raise
        address = str(service["spec"].get("clusterIP") or "")
        if _IPV4.fullmatch(address):
            found.setdefault(address, name)
    return found
