"""Versions of the tools: how they are found in what a program prints, and which one serves."""

from __future__ import annotations

import pytest

from lab import tools
from lab.tools.versions import Version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.259.0\n", (3, 259, 0, "")),
        ("go version go1.26.8 linux/amd64", (1, 26, 8, "")),
        ("go version go1.25 linux/amd64", (1, 25, 0, "")),
        ("3.228.0-alpha.xf00", (3, 228, 0, "alpha.xf00")),
        ("1.25.11", (1, 25, 11, "")),
    ],
)
def test_a_version_is_found_in_what_a_program_prints(text: str, expected: tuple[int, int, int, str]) -> None:
    assert tuple(Version.find(text)) == expected


def test_versions_compare_by_number_and_a_prerelease_is_older() -> None:
    ordered = ["3.9.0", "3.10.0-rc.1", "3.10.0", "3.10.1", "4.0.0"]
    assert [str(version) for version in sorted(map(Version.find, reversed(ordered)))] == ordered


def test_a_version_serves_within_its_major_version() -> None:
    wanted = Version.find("4.25.0")
    assert [Version.find(text).serves(wanted) for text in ("4.24.1", "4.25.0", "4.34.2", "5.0.0")] == [
        False,
        True,
        True,
        False,
    ]


def test_no_version_is_an_error() -> None:
    with pytest.raises(tools.ToolError, match="no version in 'command not found'"):
        Version.find("command not found")
