"""The one error of the tools: what was found, what was needed, what to do."""

from __future__ import annotations


class ToolError(Exception):
    """A tool is missing, too old or could not be built; the text names the remedy."""
