"""How the server is reached: the stack's word, and what the environment says instead."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.stack import Host
from flowmaster.host.errors import HostAccessError, HostKeyError

ADDRESS = "FLOWMASTER_HOST_ADDRESS"
PORT = "FLOWMASTER_HOST_PORT"
USER = "FLOWMASTER_HOST_USER"
PUBLIC_KEY = "FLOWMASTER_HOST_PUBLIC_KEY"
KEY_FILE = "FLOWMASTER_HOST_KEY_FILE"  # the name of a variable


@dataclass(frozen=True, kw_only=True)
class Access:
    """Everything needed for a connection. The private key is never shown."""

    address: str
    """A name, an address, or an alias of ssh_config."""
    user: str | None = None
    """Who logs in; where it is not given, ssh_config decides. The same goes for the port."""
    port: int | None = None
    host_key: str | None = None
    """The server's public key: its type and the key, as in known_hosts. Without one the user's known_hosts decides."""
    key_file: str | None = None
    """A file with a private key; without one ssh uses the keys that it has: an agent's, those of ssh_config."""
    private_key: str | None = field(default=None, repr=False)
    timeout: float = 10.0
    """Seconds for a connection."""


def access(host: Host, environ: Mapping[str, str] | None = None) -> Access:
    """The way to the server.

    :raises HostKeyError: where the host key that is given is none.
    :raises HostAccessError: where a variable holds something else than it should.
    """
    around = os.environ if environ is None else environ
    host_key = around.get(PUBLIC_KEY) or host.host_key
    port = around.get(PORT) or str(host.port or "")
    if port and (not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 1 << 16):
        raise HostAccessError(f"{PORT} is {port!r}, which is no port", "", "a number from 1 to 65535")
    return Access(
        address=around.get(ADDRESS) or host.address,
        port=int(port) if port else None,
        user=around.get(USER) or host.user,
        host_key=_checked(host_key) if host_key else None,
        key_file=around.get(KEY_FILE) or None,
        private_key=host.private_key.get_secret_value() if host.private_key else None,
    )


def from_config(values: Mapping[str, Any]) -> Access:
    """The same from the stack's `host` as plain data."""
    return access(Host.model_validate(dict(values)))


def _checked(host_key: str) -> str:
    words = host_key.split()
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-")):
        raise HostKeyError(
            f"the host key {host_key[:40]!r} is none",
            "the server could not be told from another one",
            "expected its type and the key, such as: ssh-ed25519 AAAAC3...",
        )
    return " ".join(words[:2])
