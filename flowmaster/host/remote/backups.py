"""What a site said before: held while an update is under way, and kept once the update is done.

What is held is the old file itself, by a second name: that takes no room on a full disk, and putting it back is moving
it. Once the new file is in place the old one is no longer served by any name, so nobody who edits the site in place
edits a backup.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress

from flowmaster.host.remote.common import KEEP, regular

BACKUPS = 5
"""Backups kept of each site, no two of the same content."""


class Held:
    """The file of a site, to be put back or to be kept."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self.held = False
        self._old = f"{KEEP}/{name}.old"

    def hold(self) -> None:
        """Hold what is there now, if it is a file. Raises OSError; then nothing is held."""
        self._take_up()
        if os.path.isfile(self.path) and not os.path.islink(self.path):
            os.link(self.path, self._old)
            self.held = True

    def put_back(self) -> None:
        """Have it in its place again, or nothing where there was nothing."""
        if self.held:
            # two names of one file cannot be moved onto each other
            if _same(self._old, self.path):
                os.unlink(self._old)
            else:
                os.rename(self._old, self.path)
            self.held = False
        elif os.path.lexists(self.path):
            os.unlink(self.path)

    def keep(self) -> str | None:
        """Make it a backup: its path. Those too many, or of the same content as a later one, are removed."""
        if not self.held:
            return None
        # the site is served: a backup too many, or one that waits for the next update, is no reason to fail
        with suppress(OSError):
            backup = self._stamped()
            os.rename(self._old, backup)
            self._tidy()
            return backup
        return None

    def _take_up(self) -> None:
        """What an update left that was cut off, and names that are no more than the site itself."""
        if os.path.lexists(self._old):
            if _same(self._old, self.path):
                os.unlink(self._old)
            else:
                os.rename(self._old, self._stamped())
        for backup in self._backups():
            if _same(backup, self.path):
                os.unlink(backup)

    def _stamped(self) -> str:
        # in the order in which they were made, also within a second
        seconds, rest = divmod(time.time_ns(), 10**9)
        return f"{KEEP}/{self.name}.{time.strftime('%Y%m%dT%H%M%S', time.localtime(seconds))}.{rest:09d}"

    def _backups(self) -> list[str]:
        """The oldest first."""
        own = re.compile(re.escape(self.name) + r"\.\d{8}T\d{6}\.\d+")
        return [f"{KEEP}/{name}" for name in sorted(os.listdir(KEEP)) if own.fullmatch(name)]

    def _tidy(self) -> None:
        seen: set[str] = set()
        for backup in reversed(self._backups()):
            digest = _digest(backup)
            if digest in seen or len(seen) == BACKUPS:
                os.unlink(backup)
            seen.add(digest)


def _digest(path: str) -> str:
    """What a backup says, in short; its path where that cannot be read."""
    try:
        return hashlib.sha256(regular(path)).hexdigest()
    except OSError:
        return path


def _same(one: str, other: str) -> bool:
    """Whether two names are of one file, or links both."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False
