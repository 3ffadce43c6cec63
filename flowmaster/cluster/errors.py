"""Errors of requests to the API server."""

from __future__ import annotations

from config.errors import UserError


class ApiError(UserError):
    """The API server could not be reached, or would not answer.

    ``status`` is the HTTP status; None where there was no answer, or where the kubeconfig is not usable, so that nobody
    was even asked. ``reason`` is the server's own words alone.
    """

    def __init__(
        self, found: str, breaks: str = "", remedy: str = "", *, status: int | None = None, reason: str = ""
    ) -> None:
        super().__init__(found, breaks, remedy)
        self.status = status
        self.reason = reason or found


class UnreachableError(ApiError):
    """The server did not answer: it is down, unreachable, too slow, or another machine."""
