"""Where the tools lie, under which key, and who may build at a time.

The folder of a built program is `<cache>/tools/<name>/<version>-<hash>`, of a downloaded one
`<version>-official-<machine>`. It appears by a rename when everything in it is there, so a folder that exists is
complete, and a second clone that pins the same inputs finds it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.tools.errors import ToolError
from lab.tools.manifest import Program

SOURCES = Path(__file__).parent / "go"
GO_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
LINKER_FLAGS = ("-s", "-w")
_POLL = 0.5


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
        for name in ("go.mod", "go.sum", *build.sources):
            file = sources / build.folder / name
            if file.is_file():
                digest.update(f"{build.folder}/{name}\0".encode() + file.read_bytes())
            else:
                raise ToolError(f"{file} is missing: this clone is not complete; `git status` shows what was removed")
        for patch in build.patches:
            digest.update(repr(patch).encode() + (sources / build.folder / patch.file).read_bytes())
    return f"{program.version}-{digest.hexdigest()[:10]}"


def place(program: Program) -> Path:
    """Return the folder that holds every version and build of the program."""
    return cache_root() / "tools" / program.name


def built_folder(program: Program) -> Path:
    """Return the folder of the program as it is built here, whether it exists or not."""
    return place(program) / key(program)


def official_folder(program: Program) -> Path:
    """Return the folder of the program as its project publishes it, whether it exists or not."""
    return place(program) / f"{program.version}-official-{platform.system()}-{platform.machine()}".lower()


def is_official(program: Program) -> bool:
    """Whether the program lies in the cache as its project publishes it."""
    return official_folder(program).is_dir()


def folder(program: Program) -> Path:
    """Return the program's folder in the cache, whether it exists or not: the published one before the built one."""
    return official_folder(program) if is_official(program) else built_folder(program)


def is_there(program: Program) -> bool:
    """Whether the program lies in the cache, complete."""
    return folder(program).is_dir()


@contextmanager
def locked(place: Path, waiting: Callable[[], None], name: str = "") -> Iterator[None]:
    """Hold the lock of that NAME in PLACE, a folder made if need be.

    As long as another process has it, WAITING is called now and then; what that raises ends the waiting.

    The lock goes with the process, however it ends.

    Raises:
        ToolError: the folder cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / f".lock{name}").open("w")
    except OSError as err:
        raise ToolError(f"cannot write to {place} ({err.strerror}): set FLOWMASTER_CACHE to a folder you own") from err
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(_POLL)
        yield
