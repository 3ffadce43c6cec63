"""A command that can begin before everything is there: the twin comes up while Pulumi is still compiled."""

from __future__ import annotations

import subprocess
import threading

from lab.tools.errors import ToolError
from lab.tools.progress import Progress


class Meanwhile:
    """One run of a shell's command, whose lines go through the progress of what it runs beside."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def alone(self) -> None:
        """Run it with nothing beside it.

        Raises:
            ToolError: it failed.
        """
        self._judge(subprocess.run(["sh", "-c", self._command], check=False).returncode)

    def begin(self, progress: Progress) -> None:
        """Start it, once."""
        if self._process:
            return
        self._process = subprocess.Popen(
            ["sh", "-c", self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._follow, args=(self._process, progress), daemon=True)
        self._reader.start()

    def finish(self, progress: Progress) -> None:
        """Start it if nobody has, and wait for its end.

        Raises:
            ToolError: it failed.
        """
        self.begin(progress)
        if self._process and self._reader:
            self._reader.join()
            self._judge(self._process.wait())

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process:
            self._process.terminate()

    def _follow(self, process: subprocess.Popen[str], progress: Progress) -> None:
        with process:
            for line in process.stdout or ():
                progress.say(line.strip())

    def _judge(self, code: int) -> None:
        if code:
            raise ToolError(f"`{self._command}` ended with {code} (see above)")
