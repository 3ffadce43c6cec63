"""Where a site's file is: what its entry in sites-enabled leads to, and whether that may be written."""

from __future__ import annotations

import os
import stat

from flowmaster.host.remote.common import AVAILABLE, CONFIG, ENABLED
from flowmaster.host.remote.effective_config import config_files

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Place:
    """Where a site is written.

    `path` is the file that holds its text, `enabled` its entry in sites-enabled. `link` is what that entry is to be a
    link to where there is none yet, `target` what it says where it is a link now. `problem` says why the site is not
    written at all, in words that go on from the path of its entry.
    """

    def __init__(self, name: str) -> None:
        self.enabled = f"{ENABLED}/{name}"
        self.path = self.enabled
        self.link: str | None = None
        self.target: str | None = None
        self.problem = ""
        if os.path.islink(self.enabled):
            self.target = os.readlink(self.enabled)
            self._follow(f"{AVAILABLE}/{name}")
        elif os.path.lexists(self.enabled):
            words = _no_file(self.enabled)
            self.problem = f"is {words}" if words else ""
        else:
            # a site that people keep in sites-available stays there, with a link to it
            kept = os.path.realpath(f"{AVAILABLE}/{name}")
            if os.path.isfile(kept) and not self._foreign(kept):
                self.path, self.link = kept, f"{AVAILABLE}/{name}"

    def _follow(self, kept: str) -> None:
        """Through the link to the file that nginx reads; one that leads nowhere is no more than a name to be taken."""
        real = os.path.realpath(self.enabled)
        if os.path.lexists(real):
            words = _no_file(real) or self._foreign(real)
            self.problem = f"leads to {real}, which is {words}" if words else ""
            self.path = self.enabled if words else real
        elif real == os.path.realpath(os.path.dirname(kept)) + "/" + os.path.basename(kept):
            self.path = real

    def _foreign(self, real: str) -> str:
        """Why a regular file is not this site's to write, although its entry leads there."""
        if not real.startswith(os.path.realpath(CONFIG) + "/"):
            return f"not below {CONFIG}"
        if os.stat(real).st_dev != os.stat(CONFIG).st_dev:
            return f"on another file system than {CONFIG}"
        if "plane" in os.path.basename(real):
            return "Plane's"
        others = (path for path in config_files() if path != self.enabled and os.path.realpath(path) == real)
        other = next(others, "")
        return f"read by nginx as {other}, too" if other else ""


def _no_file(path: str) -> str:
    """What else than a regular file there is, in words."""
    mode = os.lstat(path).st_mode
    return next((words for kind, words in _KINDS if kind(mode)), "")
