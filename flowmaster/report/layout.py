"""Text in columns, wrapped and coloured: as much of it as a report needs, at a fraction of what a library costs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

Span = tuple[str, str]
"""Text, and its style: words such as `bold red`."""
Cell = list[Span]

_CODES = {
    "bold": "1", "dim": "2", "italic": "3", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "magenta": "35", "cyan": "36",
}  # fmt: skip


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Painter:
    """Lays out text; without colours where there are none."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def wrapped(self, cell: Cell, width: int) -> Iterator[str]:
        """The text in lines of at most this width."""
        for line in wrap(cell, width):
            yield self._painted(line)

    def row(self, cells: Sequence[Cell], widths: Sequence[int], gap: int) -> Iterator[str]:
        """Cells beside each other, each wrapped within its column."""
        wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=False)]
        for number in range(max(map(len, wrapped))):
            text, missing = "", 0
            for lines, width in zip(wrapped, widths, strict=False):
                line = lines[number] if number < len(lines) else []
                if line:
                    text += " " * missing + self._painted(line)
                    missing = 0
                missing += width + gap - sum(columns(part) for part, _ in line)
            yield text

    def _painted(self, line: Cell) -> str:
        return "".join(self._paint(text, style) for text, style in line)

    def _paint(self, text: str, style: str) -> str:
        if not self._coloured or not style:
            return text
        return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def wrap(cell: Cell, width: int) -> list[Cell]:
    """The text in lines of at most this width, broken between words or parts of names if possible."""
    if sum(columns(text) for text, _ in cell) <= width:
        return [cell]
    chars = [(char, style) for text, style in cell for char in text]
    lines: list[Cell] = []
    while chars:
        end, taken = 0, 0
        while end < len(chars) and (taken := taken + _width(chars[end][0])) <= width:
            end += 1
        end = max(end, 1)
        following = end
        if end < len(chars):
            end, following = _break(chars, end)
        lines.append(_spans(chars[:end]))
        chars = chars[following:]
    return lines


def _break(chars: list[Span], end: int) -> tuple[int, int]:
    """Where to end a line that is full, and where to go on: at a space, else before what begins a part of a name."""
    space = next((at for at in range(end, end // 3, -1) if chars[at][0] == " "), None)
    if space is not None:
        return space, space + 1
    part = next((at for at in range(end, end // 2, -1) if chars[at][0] in ".[/"), end)
    return part, part


def _spans(chars: list[Span]) -> Cell:
    spans: Cell = []
    for char, style in chars:
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + char, style)
        else:
            spans.append((char, style))
    return spans
