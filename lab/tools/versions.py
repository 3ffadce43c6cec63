"""Versions of tools: reading them from what programs print, and comparing them."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import NamedTuple

from lab.tools.errors import ToolError

_VERSION = re.compile(r"(?<![\d.])v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([0-9A-Za-z][0-9A-Za-z.-]*))?")


class _Fields(NamedTuple):
    major: int
    minor: int
    patch: int
    pre: str


@total_ordering
class Version(_Fields):
    """A semantic version; a pre-release is older than its release, as in SemVer."""

    __slots__ = ()

    @classmethod
    def find(cls, text: str) -> Version:
        """Return the first version in TEXT (`go version go1.26.8 linux/amd64`, `v3.274.1`, `1.25`).

        Raises:
            ToolError: TEXT holds no version.
        """
        match = _VERSION.search(text.replace("go1.", " 1."))
        if match is None:
            raise ToolError(f"no version in {text.strip()[:80]!r}")
        major, minor, patch, pre = match.groups()
        return cls(int(major), int(minor), int(patch or 0), pre or "")

    def _order(self) -> tuple[int, int, int, bool, str]:
        return (self.major, self.minor, self.patch, not self.pre, self.pre)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._order() < other._order()

    def serves(self, wanted: Version) -> bool:
        """Whether this version can stand for WANTED: the same major version, and not older."""
        return self.major == wanted.major and self >= wanted

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.pre}" if self.pre else "")
