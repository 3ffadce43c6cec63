"""The names by which the services of a project knew each other, and the ports that they used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.compose import ComposeService
from flowmaster.compose.context import Context, Work
from flowmaster.compose.service.network import DEFAULT, add_port
from flowmaster.compose.units import is_host

_HIGHEST_PORT = 65535
_OF_A_HOST = re.compile(r"HOST|ADDR|SERVER|ENDPOINT", re.IGNORECASE)
"""Variables whose value is a name, if it is one of ours: `DB_HOST`."""


def networks_of(service: ComposeService) -> dict[str, list[str]]:
    """The networks that a service is on, each with its aliases there."""
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
    """Names that a service has on every network it is on."""
    given = [name, *service.containers, *(str(service.keys.get(k) or "") for k in ("container_name", "hostname"))]
    return list(dict.fromkeys(filter(None, given)))


def names_of(name: str, service: ComposeService) -> list[str]:
    """Every name by which a service was reached."""
    aliases = [alias for found in networks_of(service).values() for alias in found]
    return list(dict.fromkeys([*own_names(name, service), *aliases]))


def peers(context: Context) -> dict[str, dict[str, str]]:
    """By service, the names that it knew and the service behind each. A name that led to two is refused."""
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
                _know(context, known, called, name)
        for entry in service.keys.get("links") or ():
            target, _, alias = str(entry).partition(":")
            if target in services:
                _know(context, known, alias or target, target)
        found[consumer] = dict(sorted(known.items()))
    return found


def _know(context: Context, known: dict[str, str], called: str, service: str) -> None:
    plain = called.lower()
    if not is_host(plain):
        if any(True for _ in mentions(context, called)):
            context.account.refuse(
                f"services.{service}",
                f"is called {called} by others, and Kubernetes takes no such name for a host",
                "give it an alias of letters, digits and '-', and use that",
            )
        else:
            context.account.tell(f"{service}: {called} is no name of a host in Kubernetes, and nobody mentions it")
        return
    if known.setdefault(plain, service) != service:
        context.account.refuse(
            f"services.{service}.networks",
            f"the name {called} leads to {known[plain]} as well",
            "give each a name of its own: docker shared the requests among them, Kubernetes does not",
        )


def mentions(context: Context, name: str, but: str = "") -> Iterator[int | None]:
    """Where a name stands in what the services are told: the port behind it, or None where it is an address without.

    :param but: the service whose own texts do not count.
    """
    pattern = re.compile(rf"(//|@)?(?<![\w.-]){re.escape(name)}(?![\w.-])(?::(\d{{1,5}}))?", re.IGNORECASE)
    for text in context_texts(context, but):
        for match in pattern.finditer(text):
            if match[2] or match[1]:
                yield int(match[2]) if match[2] else None


def context_texts(context: Context, but: str = "") -> Iterator[str]:
    """Every text that might name another service: variables, commands, health checks, configs, secrets."""
    for name, service in context.source.services.items():
        for key in ("environment", "command", "entrypoint", "healthcheck") if name != but else ():
            yield from _texts(service.keys.get(key))
        environment = service.keys.get("environment")
        for variable, value in environment.items() if isinstance(environment, Mapping) and name != but else ():
            if _OF_A_HOST.search(variable) and isinstance(value, str):
                yield f"//{value}"
    for config in context.source.configs.values():
        yield from _texts(config.get("content"))
    for place, value in context.settings.sealed.items():
        if not but or not place.startswith(f"{but}."):
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


def find_ports(context: Context, work: Work) -> None:
    """Ports that others use of a service although it does not say that it has them.

    In docker every port of a container is open to its networks; a Service has those that it names.
    """
    used = False
    for name in names_of(work.name, work.entry):
        # its own health check, or its own name among its variables, needs no Service
        for port in mentions(context, name, but=work.name):
            used = True
            if port is not None and 0 < port <= _HIGHEST_PORT and (port, "tcp") not in work.service_ports:
                add_port(work, port)
                work.tell(f"port {port} is named nowhere as its own, but used as {name}:{port}: the Service has it")
    if not work.service_ports:
        if used:
            work.refuse("expose", "others use its name, and nobody says on which port it listens", "write expose")
        else:
            work.tell("no port of it is known, so it has no Service, and nobody reaches it by name")
