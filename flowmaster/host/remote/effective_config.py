"""What nginx has read: the files of its configuration, and whether what runs is what they say."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import stat
from typing import Iterator  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote.common import CONFIG, LARGEST, RUN, Json, master, regular, run, serving

LOADED = RUN + "/nginx-loaded.json"
"""What nginx was running when it was last reloaded here: hashes by file, and which generation of workers."""
PREFIX = "/usr/share/nginx"
"""Where relative paths of nginx's command line begin, on Debian and Ubuntu."""
_CLOCK_SLACK = 0.03
"""Seconds: the kernel counts the start of a process in hundredths since it booted itself."""
_WORDS = re.compile(r"""\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|\$\{[^}]*\}|[^\s;{}])+""", re.DOTALL)
"""Comments, quoted words, ends of directives and plain words, as nginx tells them apart."""

_STAMP = re.compile(r"^\d+/\d+/\d+ [\d:]+ \[(\w+)\] [\d#]+: ", re.MULTILINE)


def includes(text: str) -> Iterator[str]:
    """What each `include` of a file names, as it stands there."""
    words: list[str] = []
    for match in _WORDS.finditer(text):
        word = match.group()
        if word.startswith("#"):
            continue
        if word not in (";", "{", "}"):
            words.append(word)
            continue
        if word == ";" and len(words) == 2 and words[0] == "include":
            yield words[1].strip("\"'")
        words = []


def started_with(pid: int) -> list[str]:
    """The command line of a process; that of nginx's master, whose title is made of it, without the title."""
    try:
        with open(f"/proc/{pid}/cmdline") as stream:
            words = stream.read().replace("\0", " ").split()
    except OSError:
        return []
    return words[3:] if words[:3] == ["nginx:", "master", "process"] else words


def main_file(pid: int | None) -> str:
    """The file with which the configuration of a running nginx begins: `-c` of its command line, else the usual one."""
    words = started_with(pid) if pid is not None else []
    options = {"-c": "", "-p": PREFIX}
    for word, after in zip(words, [*words[1:], ""]):  # noqa: B905  Python 3.8 has no `strict`
        if word[:2] in options:
            options[word[:2]] = word[2:] or after
    return os.path.normpath(os.path.join(options["-p"], options["-c"])) if options["-c"] else CONFIG + "/nginx.conf"


def config_files(main: str = "") -> list[str]:
    """The files of nginx's configuration, included ones at any depth, in the order in which nginx reads them.

    The configuration of the nginx that runs, unless it is said with which file it begins.
    """
    found: dict[str, None] = {}
    main = main or main_file(master())
    _follow(main, os.path.dirname(main), found)
    return list(found)


def _follow(path: str, folder: str, found: dict[str, None]) -> None:
    if path in found:
        return
    found[path] = None
    try:
        text = regular(path)[:LARGEST].decode("utf-8", "replace")
    except OSError:
        return
    for pattern in includes(text):
        whole = os.path.normpath(os.path.join(folder, pattern))
        for name in sorted(glob.glob(whole)):
            _follow(name, folder, found)


def hashes(paths: list[str]) -> dict[str, str]:
    """The content of each of these files, as a hash."""
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256(regular(path)).hexdigest()
        except OSError:
            found[path] = "unreadable"
    return found


def tested(paths: list[str], *options: str) -> tuple[int, str]:
    """nginx's own test of its configuration, which is in these files: exit code and words. 1 without it where it would
    never end."""
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return 1, f"{path} is no regular file: nginx would wait for somebody to write to it"
    code, words = run(["nginx", "-t", *options, *began_with(paths)])
    return code, plain(words)


def began_with(paths: list[str]) -> list[str]:
    """The options with which nginx reads these files of a configuration: none where they begin with the usual one."""
    return ["-c", paths[0]] if paths and paths[0] != CONFIG + "/nginx.conf" else []


def plain(words: str) -> str:
    """What nginx says, without when it said so and in which process: some of it comes as a line of its log."""
    return _STAMP.sub(r"nginx: [\1] ", words)


def newer(pid: int, paths: list[str]) -> list[str]:
    """Of these files and those that nginx last read, the ones that are not what it then read: by their content where
    that is known, else by the time of change."""
    current = serving(pid)
    if not current:
        return []
    # a worker that died is replaced by one with the configuration of the others, so the oldest tells
    since = min(current.values()) + _CLOCK_SLACK
    loaded = last_loaded()
    try:
        known = loaded["hashes"] if set(loaded["workers"]) & set(current) and loaded["master"] == pid else {}
    except KeyError:
        known = {}
    now = hashes(paths)
    changed = [path for path in now if (known[path] != now[path] if path in known else _changed(path) > since)]
    # what is there, but no longer included, is told by the file that included it
    return changed + [path for path in known if path not in now and not os.path.lexists(path)]


def last_loaded() -> Json:
    """What nginx was running when it was last reloaded here; nothing where that is not known."""
    try:
        with open(LOADED) as stream:
            found: Json = json.load(stream)
            return found
    except (OSError, ValueError):
        return {}


def _changed(path: str) -> float:
    try:
        own, behind = os.lstat(path), os.stat(path)
    except OSError:
        return 0.0
    return max(own.st_ctime, behind.st_ctime)


def remember_loaded(pid: int) -> None:
    """Write down what nginx has just read."""
    state = {"master": pid, "workers": sorted(serving(pid)), "hashes": hashes(config_files())}
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    temporary = LOADED + ".new"
    with open(temporary, "w") as stream:
        json.dump(state, stream)
    os.replace(temporary, LOADED)
