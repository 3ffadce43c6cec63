"""What a person sees while tools are made: one line redrawn on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from lab.tools.estimate import Estimate, minutes
from lab.tools.manifest import Program

QUIET_INTERVAL = 60.0
"""Seconds between two lines about the same work where lines cannot be redrawn (a log, a CI)."""


class Progress:
    """Collects what each piece of work is at, and shows it until closed. Safe to call from several threads."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._begun = self._start
        self._doing: dict[str, str] = {}
        self._estimate = Estimate()
        self._building = False
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._terminal = sys.stderr.isatty()
        self._painter = threading.Thread(target=self._paint, daemon=True)
        self._drawn = 0

    def __enter__(self) -> Self:
        self._painter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._painter.join()
        with self._guard:
            self._erase()

    def expect(self, downloads: Sequence[Program], builds: Sequence[Program]) -> None:
        """Say what is about to be made, how long that takes, and why."""
        if downloads:
            self.say(f"downloading {_names(downloads)}")
        if not builds:
            return
        with self._guard:
            if not self._building:
                self._begun, self._building = time.monotonic(), True
            for program in builds:
                self._estimate.expect(program)
            left = self._estimate.left()
        self.say(
            f"compiling {_names(builds)}, which cannot be downloaded here: {minutes(left)} "
            f"of {self._estimate.cores} idle cores, the first time only"
        )

    def at(self, name: str, what: str) -> None:
        """Say what the work called NAME is doing now."""
        with self._guard:
            self._doing[name] = what

    def compiled(self, name: str, packages: int) -> None:
        """Say how many packages of the program called NAME are compiled."""
        with self._guard:
            self._doing[name] = f"{self._estimate.compiled(name, packages):.0%}"

    def done(self, name: str) -> None:
        """Leave the work called NAME out from now on."""
        with self._guard:
            self._doing.pop(name, None)
            self._estimate.done(name)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        with self._guard:
            self._erase()
            self._write(self._stamped(text) + "\n")

    def _stamped(self, text: str) -> str:
        return f"[{time.monotonic() - self._start:4.0f} s] {text}"

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _line(self) -> str:
        doing = ", ".join(f"{name} {what}" for name, what in self._doing.items())
        if not self._building:
            return self._stamped(doing)
        left = self._estimate.left(time.monotonic() - self._begun)
        return self._stamped(f"{minutes(left)} left: {doing}")

    def _paint(self) -> None:
        while not self._closed.wait(0.5 if self._terminal else QUIET_INTERVAL):
            with self._guard:
                if not self._doing:
                    continue
                line = self._line()
                if self._terminal:
                    self._erase()
                    line = line[: shutil.get_terminal_size().columns - 1]
                    self._drawn = len(line)
                    self._write(line)
                else:
                    self._write(line + "\n")


def _names(programs: Sequence[Program]) -> str:
    return ", ".join(f"{program.name} {program.version}" for program in programs)
