"""Errors of an adoption."""

from __future__ import annotations

from config.errors import UserError


class AdoptionError(UserError):
    """The namespace cannot be adopted as it is."""
