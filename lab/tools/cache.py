"""Where built tools lie, under which key, and who may build at a time.

A program's folder is `<cache>/tools/<name>/<version>-<hash>`. It appears by a rename when everything in it is
there, so a folder that exists is complete, and a second clone that pins the same inputs finds it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.tools.errors import ToolError
from lab.tools.manifest import Program

SOURCES = Path(__file__).parent / "go"
GO_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
LINKER_FLAGS = ("-s", "-w")
_HASHED = ("go.mod", "go.sum", "main.go")


def cache_root() -> Path:
    """Return the project's folder in the user's cache; FLOWMASTER_CACHE overrides it."""
    own = os.environ.get("FLOWMASTER_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "flowmaster"


def key(program: Program, sources: Path = SOURCES) -> str:
    """Return `<version>-<hash>`; the hash covers all that decides what the build yields but the Go release.

    Raises:
        ToolError: the clone lacks the program's go.mod or go.sum.
    """
    digest = hashlib.sha256()
    digest.update(repr((program, GO_FLAGS, LINKER_FLAGS, platform.system(), platform.machine())).encode())
    for build in program.builds:
        for name in _HASHED:
            file = sources / build.folder / name
            if file.is_file():
                digest.update(f"{build.folder}/{name}\0".encode() + file.read_bytes())
            elif name != "main.go":
                raise ToolError(f"{file} is missing: this clone is not complete; `git status` shows what was removed")
    return f"{program.version}-{digest.hexdigest()[:10]}"


def folder(program: Program, sources: Path = SOURCES) -> Path:
    """Return the program's folder in the cache, whether it exists or not."""
    return cache_root() / "tools" / program.name / key(program, sources)


def is_built(program: Program) -> bool:
    """Whether the program lies in the cache, complete."""
    return folder(program).is_dir()


@contextmanager
def locked(place: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of PLACE, a folder made if need be; WAITING is called once when another process has it.

    The lock goes with the process, however it ends.

    Raises:
        ToolError: the folder cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / ".lock").open("w")
    except OSError as err:
        raise ToolError(f"cannot write to {place} ({err.strerror}): set FLOWMASTER_CACHE to a folder you own") from err
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
