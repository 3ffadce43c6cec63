"""Finds directives of sites that lead to the former address of a Service. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from config.reverse_proxy import Site, SiteTemplate
from flowmaster.compare.three_way import Difference
from flowmaster.render.nginx import services

NO_ADDRESS = "address-of-{}:0"
"""What a site is rendered with for a Service that has no address."""
_IP = r"(\d+(?:\.\d+){3})"


def moved(site: Site | SiteTemplate, found: Difference, addresses: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the service that is declared, and the live address, if a difference leads to where no Service is.

    :param addresses: ``CLUSTERIP:PORT`` by service.
    """
    if isinstance(site, Site):
        return _of_location(site, found, addresses)
    known = {address.rpartition(":")[0] for address in addresses.values()}
    for declared in _alone(found.declared, found.live):
        for live in _alone(found.live, found.declared):
            for service in services(site):
                address = _former(declared, live, service, addresses)
                if address and address.partition(":")[0] not in known:
                    return service, address
    return None


def _former(declared: str, live: str, service: str, addresses: Mapping[str, str]) -> str:
    """Return the address in a live text that stands where a declared one has a service's; nothing if there is none."""
    address = addresses.get(service, NO_ADDRESS.format(service))
    ip = address.rpartition(":")[0]
    # the same text but for the address, and for the port where none is known
    pattern = re.escape(declared)
    if service not in addresses:
        pattern = pattern.replace(re.escape(address), rf"{_IP}:\d+")
    match = re.fullmatch(pattern.replace(re.escape(ip), _IP), live) if ip in declared else None
    if match is None:
        return ""
    whole = re.search(rf"{re.escape(match[1])}:\d+", live)
    return whole[0] if whole else match[1]


def _of_location(site: Site, found: Difference, addresses: Mapping[str, str]) -> tuple[str, str] | None:
    if found.path[-1] != "proxy_pass" or not isinstance(found.live, str):
        return None
    address = found.live.partition("://")[2].partition("/")[0]
    location = site.locations.get(str(found.path[-2]))
    if location is None or not location.service:
        return None
    port = location.port
    known = {f"{a.partition(':')[0]}:{port}" if port else a for a in addresses.values()}
    return None if address in known else (location.service, address)


def _alone(values: Any, others: Any) -> list[str]:
    """The texts of one side that the other one has not."""
    sides = [value if isinstance(value, list) else [value] for value in (values, others)]
    return [value for value in sides[0] if isinstance(value, str) and value not in sides[1]]
