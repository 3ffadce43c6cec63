"""What goes wrong with the server itself, in words that say what to do."""

from __future__ import annotations

from config.errors import UserError


class HostError(UserError):
    """Something on the server could not be read or changed."""


class HostUnreachableError(HostError):
    """The server did not answer over SSH, or went away in the middle."""


class HostKeyError(HostError):
    """The server is not the one that it is said to be. Nothing is ever sent to such a one."""


class HostAccessError(HostError):
    """The server does not let this user in, or does not let it act as root."""


class PolicyError(HostError):
    """Something was to be touched that this project must never touch."""
