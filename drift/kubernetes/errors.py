"""What can go wrong between here and the API server."""

from __future__ import annotations

from config.errors import UserError


class ApiError(UserError):
    """The API server could not be reached, or would not answer.

    ``status`` is the HTTP status; None where there was no answer at all. Of the kubeconfig, where it is
    not usable, so that nobody was even asked.
    """

    def __init__(self, found: str, breaks: str = "", remedy: str = "", *, status: int | None = None) -> None:
        super().__init__(found, breaks, remedy)
        self.status = status


class UnreachableError(ApiError):
    """The server was asked, and there was no answer: down, cut off, too slow, or not the one it should be."""
