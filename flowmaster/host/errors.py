"""Errors of the server, with remedies."""

from __future__ import annotations

from config.errors import UserError


class HostError(UserError):
    """Something on the server could not be read or changed."""


class HostUnreachableError(HostError):
    """The server did not answer over SSH, or the connection was lost."""


class HostKeyError(HostError):
    """The host key does not match. Nothing is sent to such a server."""


class HostAccessError(HostError):
    """The server does not let this user in, or does not let it act as root."""


class PolicyError(HostError):
    """A request concerned something that this project must never touch."""
