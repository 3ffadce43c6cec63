"""Finds the names by which services of a project reach each other, and the ports that they use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.compose import ComposeService
from flowmaster.compose.context import Context, ServiceBuilder
from flowmaster.compose.service.network import DEFAULT, add_port
from flowmaster.compose.units import is_host

_HIGHEST_PORT = 65535
_OF_A_HOST = re.compile(r"HOST|ADDR|SERVER|ENDPOINT", re.IGNORECASE)
"""Variables that may hold the name of a service: `DB_HOST`."""


def networks_of(service: ComposeService) -> dict[str, list[str]]:
    """Return the networks of a service, each with its aliases there."""
    given = service.keys.get("networks")
    if not given:
        return {DEFAULT: []}
    if not isinstance(given, Mapping):
        return {str(name): [] for name in given}
    found = {}
    for name, details in given.items():
        aliases = details.get("aliases") if isinstance(details, Mapping) else None
        found[str(name)] = [str(alias) for alias in aliases] if isinstance(aliases, list) else []
    return found


def own_names(name: str, service: ComposeService) -> list[str]:
    """Return the names that a service has on all its networks."""
    given = [name, *service.containers, *(str(service.keys.get(k) or "") for k in ("container_name", "hostname"))]
    return list(dict.fromkeys(filter(None, given)))


def names_of(name: str, service: ComposeService) -> list[str]:
    """Return every name by which a service is reachable."""
    aliases = [alias for found in networks_of(service).values() for alias in found]
    return list(dict.fromkeys([*own_names(name, service), *aliases]))


def find_peers(context: Context) -> dict[str, dict[str, str]]:
    """Return, by service, the names that it can resolve. A name shared by two services is refused."""
    services = context.source.services
    found: dict[str, dict[str, str]] = {}
    for consumer, service in services.items():
        known: dict[str, str] = {}
        mine = networks_of(service)
        for name, other in services.items():
            shared = {n: aliases for n, aliases in networks_of(other).items() if n in mine}
            if not shared:
                continue
            aliases = [alias for found_aliases in shared.values() for alias in found_aliases]
            for called in dict.fromkeys([*own_names(name, other), *aliases]):
                _add_peer(context, known, called, name)
        for entry in service.keys.get("links") or ():
            target, _, alias = str(entry).partition(":")
            if target in services:
                _add_peer(context, known, alias or target, target)
        found[consumer] = dict(sorted(known.items()))
    return found


def _add_peer(context: Context, known: dict[str, str], called: str, service: str) -> None:
    plain = called.lower()
    if not is_host(plain):
        if any(True for _ in mentions(context, called)):
            context.coverage.refuse(
                f"services.{service}",
                f"is reached as {called}, which is not a valid host name in Kubernetes",
                "give it an alias of letters, digits and '-', and use the alias",
            )
        else:
            context.coverage.note(f"{service}: {called} is not a valid host name in Kubernetes; no service uses it")
        return
    if known.setdefault(plain, service) != service:
        context.coverage.refuse(
            f"services.{service}.networks",
            f"shares the name {called} with {known[plain]}",
            "give each its own name: docker balances requests between them, Kubernetes does not",
        )


def mentions(context: Context, name: str, exclude: str = "") -> Iterator[int | None]:
    """Yield the port of each use of a name as an address in the services' texts; None for an address without port.

    :param but: a service whose own texts are skipped.
    """
    pattern = re.compile(rf"(//|@)?(?<![\w.-]){re.escape(name)}(?![\w.-])(?::(\d{{1,5}}))?", re.IGNORECASE)
    for text in texts_of(context, exclude):
        for match in pattern.finditer(text):
            if match[2] or match[1]:
                yield int(match[2]) if match[2] else None


def texts_of(context: Context, exclude: str = "") -> Iterator[str]:
    """Yield every text that may name another service: variables, commands, health checks, configs, secrets."""
    for name, service in context.source.services.items():
        for key in ("environment", "command", "entrypoint", "healthcheck") if name != exclude else ():
            yield from _texts(service.keys.get(key))
        environment = service.keys.get("environment")
        for variable, value in environment.items() if isinstance(environment, Mapping) and name != exclude else ():
            if _OF_A_HOST.search(variable) and isinstance(value, str):
                yield f"//{value}"
    for config in context.source.configs.values():
        yield from _texts(config.get("content"))
    for place, value in context.settings.sealed.items():
        if not exclude or not place.startswith(f"{exclude}."):
            yield value.get_secret_value()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def find_ports(context: Context, builder: ServiceBuilder) -> None:
    """Add ports that other services use although the service does not expose them.

    In docker every port of a container is open to its networks; a Service has only the ports that it lists.
    """
    used = False
    for name in names_of(builder.name, builder.entry):
        # its own health check and variables need no Service
        for port in mentions(context, name, exclude=builder.name):
            used = True
            if port is not None and 0 < port <= _HIGHEST_PORT and (port, "tcp") not in builder.service_ports:
                add_port(builder, port)
                builder.note(f"port {port} is not exposed, but used as {name}:{port}: the Service gets it")
    if not builder.service_ports:
        if used:
            builder.refuse("expose", "other services use its name, but its port is unknown", "write expose")
        else:
            builder.note("has no known port, so it gets no Service and cannot be reached by name")
