"""What a person sees while tools are built: one line redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

QUIET_INTERVAL = 15.0
"""Seconds between two lines about the same work where lines cannot be redrawn (a log, a CI)."""


class Progress:
    """Collects what each piece of work is at, and shows it until closed. Safe to call from several threads."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._doing: dict[str, str] = {}
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

    def at(self, name: str, what: str) -> None:
        """Say what the work called NAME is doing now."""
        with self._guard:
            self._doing[name] = what

    def done(self, name: str) -> None:
        """Leave the work called NAME out from now on."""
        with self._guard:
            self._doing.pop(name, None)

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

    def _paint(self) -> None:
        while not self._closed.wait(0.5 if self._terminal else QUIET_INTERVAL):
            with self._guard:
                if not self._doing:
                    continue
                line = self._stamped(" · ".join(f"{name}: {what}" for name, what in self._doing.items()))
                if self._terminal:
                    self._erase()
                    line = line[:119]
                    self._drawn = len(line)
                    self._write(line)
                else:
                    self._write(line + "\n")
