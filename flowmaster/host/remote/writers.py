"""Who changed a file with sudo, from sudo's own lines in the system's log. Histories of shells are never read."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import Iterator  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote.common import Json, run

AUTH_LOG = "/var/log/auth.log"
_TAIL = 1 << 18
"""Bytes of the log that are looked at, from its end."""
_DAYS = 7
_SHORTLY = 60.0
"""Seconds from a command to a change that it made; an editor stays open longer."""
_EDITING = 3600.0
_EDITORS = frozenset({"vi", "vim", "vim.basic", "vim.tiny", "nvim", "nano", "emacs", "mcedit", "micro", "sudoedit"})
_READERS = frozenset({"cat", "less", "more", "head", "tail", "grep", "ls", "stat", "diff", "file", "wc", "nginx"})
_LINE = re.compile(
    r"^(?P<when>[\d.]+|\d{4}-\S+|\w{3} +\d+ [\d:]{8}) .*?\bsudo(?:\[\d+\])?: +(?P<who>\S+) : (?:.*?; )?"
    r"PWD=(?P<folder>.*?) ;.*?COMMAND=(?P<command>.*)$"
)


def writers(files: dict[str, Json], unchanged: dict[str, str]) -> dict[str, str]:
    """By path, the login of whoever ran sudo on it when it was changed last. Absent where the log does not tell.

    `unchanged` has the beginning of the hash of each file that nobody has to be found for.
    """
    since = time.time() - _DAYS * 86400
    asked = {
        path: facts
        for path, facts in files.items()
        if facts["mtime"] > since
        and not (path in unchanged and str(facts.get("sha256", "")).startswith(unchanged[path]))
    }
    if not asked:
        return {}
    commands = list(_commands(min(facts["mtime"] for facts in asked.values())))
    found = {}
    for path, facts in asked.items():
        names = [path, str(facts.get("target", path))]
        for when, who, folder, command in commands:
            # both are counted from different clocks, and sudo's line may have no fractions of a second
            if when <= facts["mtime"] + 2 <= when + 2 + _duration(command) and _names(command, folder, names):
                found[path] = who
    return found


def _names(command: str, folder: str, names: list[str]) -> bool:
    # quotes and redirections stand beside a path, too
    words = [word.strip("'\"<>;,") for word in command.split()]
    return any(name in (word, os.path.normpath(os.path.join(folder, word))) for word in words[1:] for name in names)


def _duration(command: str) -> float:
    """Seconds for which a command may write; it never does where it only reads."""
    program = os.path.basename(command.split(maxsplit=1)[0]) if command else ""
    return -3.0 if program in _READERS else _EDITING if program in _EDITORS else _SHORTLY


def _commands(since: float) -> Iterator[tuple[float, str, str, str]]:
    for line in _log(since).splitlines():
        match = _LINE.match(line) if "COMMAND=" in line else None
        when = _moment(match["when"]) if match else None
        if match and when is not None:
            yield when, match["who"], match["folder"], match["command"]


def _log(since: float) -> str:
    """The end of the log; what journald keeps where there is no file."""
    try:
        with open(AUTH_LOG, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL))
            return stream.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        begin = f"@{int(since - _EDITING)}"
        command = ["journalctl", "-q", "--no-pager", "-o", "short-unix", "-n", "1000", "--since", begin, "_COMM=sudo"]
        code, words = run(command, timeout=3.0)
        return words if code == 0 else ""


def _moment(text: str) -> float | None:
    """The time at the begin of a line: seconds, ISO 8601, or the month and day of this year."""
    try:
        if text[0].isalpha():
            now = time.localtime()
            year = now.tm_year
            parsed = time.strptime(f"{year} {text}", "%Y %b %d %H:%M:%S")
            if time.mktime(parsed) > time.time() + 86400:
                parsed = time.strptime(f"{year - 1} {text}", "%Y %b %d %H:%M:%S")
            # whether it is summer time is for the system to say
            return time.mktime(parsed)
        return float(text) if "T" not in text else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
