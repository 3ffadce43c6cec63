"""What stands in the blocks of a page in Markdown."""

from __future__ import annotations

import re


def blocks(text: str, language: str = "[a-z]*") -> list[str]:
    """What is in each block, in order.

    :param language: a pattern of what stands after the three backquotes.
    """
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines to be typed into a shell, in order."""
    return [line for block in blocks(text, "bash") for line in block.splitlines() if line]
