"""Records what nginx's sites inherit from other files, as the base for telling a later change."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path

from config.reverse_proxy import Recorded
from config.settings import Settings
from flowmaster.adopt import write
from flowmaster.adopt.errors import AdoptionError
from flowmaster.drift import effective_nginx
from flowmaster.drift import host as host_source
from flowmaster.host import effective_config
from flowmaster.host.nginx import HostState


def read(settings: Settings) -> Recorded:
    """What the sites of the stack inherit now.

    :raises AdoptionError: where the stack has no sites, or the server's configuration of nginx is not known.
    :raises HostError: where the server cannot be read over SSH.
    """
    host = host_source.start_reading(settings, ask=False)
    if host is None or settings.stack.reverse_proxy is None:
        raise AdoptionError(
            f"stack {settings.name} has no sites of nginx",
            "there is nothing that could inherit anything",
            "declare them first (flowmaster:reverseProxy)",
        )
    own = {*settings.stack.reverse_proxy.sites, *(project.transfer.site for project in host.projects.values())}
    recorded = of(host.state(), own)
    if recorded is None:
        raise AdoptionError(
            f"{host.state().configuration} cannot be read on the server",
            "what the sites inherit is not known, so nothing is recorded",
            "see `nginx -t` on the server, then run this again",
        )
    return recorded


def of(host: HostState, own: Collection[str]) -> Recorded | None:
    """What the sites of these names inherit; None where that is not known."""
    effective = effective_config.load({path: file.content for path, file in host.files.items()}, host.configuration)
    if host.configuration in (*effective.unread, *effective.unparsed):
        return None
    return effective_nginx.record(host, effective, own, datetime.now(UTC))


def is_same(settings: Settings, recorded: Recorded) -> bool:
    """Whether the stack has the same record, whenever that was made."""
    proxy = settings.stack.reverse_proxy
    before = proxy.recorded if proxy else None
    return before is not None and before.model_copy(update={"at": recorded.at}) == recorded


def written(original: str, recorded: Recorded) -> str:
    """The stack's file with the record."""
    return write.with_recorded(original, recorded)


def diff(before: str, after: str, path: Path) -> str:
    """What becomes different in the stack's file."""
    lines = unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), lineterm="", n=1)
    return "\n".join(lines)
