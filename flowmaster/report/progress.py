"""What is being done, said while it takes its time: a line that moves on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import IO

SOON, LATE = 0.5, 2.0
"""Seconds until something is said, on a terminal and elsewhere: what is done before needs no words."""
EVERY = 10.0
"""Seconds between two lines where there is no terminal: a log is not to be filled."""


@contextmanager
def progress(doing: str, *, stream: IO[str] | None = None, lines: bool = True) -> Iterator[Callable[[str], None]]:
    """Say what is being done for as long as the block runs; what it yields says it anew.

    Nothing may be printed within the block: it would end up in the line that moves.

    :param stream: standard error where it is None.
    :param lines: whether to say anything where there is no terminal.
    """
    out = sys.stderr if stream is None else stream
    step = _Step(doing)
    follow = _on_terminal if out.isatty() else _in_lines if lines else None
    thread = Thread(target=follow, args=(step, out), daemon=True) if follow else None
    if thread:
        thread.start()
    try:
        yield step.say
    finally:
        step.ended.set()
        if thread:
            thread.join()


class _Step:
    """What is being done now."""

    def __init__(self, doing: str) -> None:
        self.doing, self.ended = doing, Event()

    def say(self, doing: str) -> None:
        self.doing = doing


def _on_terminal(step: _Step, out: IO[str]) -> None:
    if step.ended.wait(SOON):
        return
    from rich.live import Live
    from rich.spinner import Spinner

    from flowmaster.report.screen import console, text

    spinner = Spinner("dots", text(step.doing))
    with Live(spinner, console=console(out), transient=True, redirect_stdout=False, redirect_stderr=False):
        while not step.ended.wait(0.1):
            spinner.update(text=text(step.doing))


def _in_lines(step: _Step, out: IO[str]) -> None:
    pause, said = LATE, ""
    while not step.ended.wait(pause):
        if step.doing != said:
            said = step.doing
            print(f"{said} ...", file=out, flush=True)
        pause = EVERY
