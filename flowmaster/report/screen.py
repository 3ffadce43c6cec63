"""What a terminal shows, by rich, set up in one place; where there is no terminal, the same as stable plain text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPED_WIDTH = 160
"""Columns where the output is no terminal: a file can be scrolled, and a log must not break values."""
GAP = 2

Span = tuple[str, str]
"""Text, and its style: words such as `bold red`."""
Cell = list[Span]


def console(stream: IO[str]) -> Console:
    """A console for a stream: colours and width are as the terminal, `NO_COLOR` and `COLUMNS` say."""
    terminal = stream.isatty()
    known = terminal or os.environ.get("COLUMNS")
    coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Console(
        file=stream,
        width=shutil.get_terminal_size().columns if known else PIPED_WIDTH,
        color_system="standard" if coloured else None,
        force_terminal=coloured,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def show(out: Console, parts: Iterable[RenderableType], *, whole: bool = False) -> None:
    """Print one part after the other, each on lines of its own, without blanks at the ends of lines.

    :param whole: whether lines are left whole, however long they are.
    """
    with out.capture() as capture:
        for part in parts:
            out.print(part, soft_wrap=whole)
    out.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().removesuffix("\n").split("\n")))


def text(cell: Cell | str, style: str = "") -> Text:
    """Text with its styles; what does not fit in a line is wrapped, a word that is too long in the midst of it."""
    spans = [(cell, style)] if isinstance(cell, str) else cell
    return Text.assemble(*spans, overflow="fold")


def table(rows: Iterable[Sequence[Cell]], widths: Sequence[int] | None = None, *, gap: int = GAP) -> Table:
    """Cells in columns, each wrapped within its own: as wide as its text, or of the given widths."""
    cells = [[text(cell) for cell in row] for row in rows]
    found = Table.grid(padding=(0, gap, 0, 0))
    for number in range(max(map(len, cells), default=0)):
        found.add_column(width=widths[number] if widths else None, overflow="fold")
    for row in cells:
        found.add_row(*row)
    return found


def rows(cells: Iterable[Sequence[Cell]], widths: Sequence[int]) -> Iterator[RenderableType]:
    """The same as :func:`table` of given widths, row by row: a row that fits is one text, which takes a fifth."""
    for row in cells:
        taken = [columns(cell) for cell in row]
        if any(found > width for found, width in zip(taken, widths, strict=False)):
            yield table([row], widths)
            continue
        blanks = [width - found + GAP for found, width in zip(taken, widths, strict=False)]
        yield text([span for cell, blank in zip(row, blanks, strict=True) for span in (*cell, (" " * blank, ""))][:-1])


def columns(cell: Cell | str) -> int:
    """How many columns of a terminal the text takes."""
    return cell_len(cell) if isinstance(cell, str) else sum(cell_len(part) for part, _ in cell)
