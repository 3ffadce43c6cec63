"""Locks between processes that leave nothing behind: the kernel drops them with the process that holds them."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.twin.errors import TwinError

_PREFIX = "\0flowmaster-twin/"


def _take(name: str) -> socket.socket | None:
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(_PREFIX + name)
    except OSError as error:
        lock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return lock


@contextmanager
def held(name: str, patience: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the lock of that name; calls `waiting` once if it must wait.

    Raises TwinError when another process still has it after that many seconds.
    """
    deadline = time.monotonic() + patience
    lock = _take(name)
    if lock is None:
        waiting()
    while lock is None:
        if time.monotonic() > deadline:
            raise TwinError(f"another process has been working on {name} for {patience:.0f} s\nwait for it, or end it")
        time.sleep(0.1)
        lock = _take(name)
    with lock:
        yield


@contextmanager
def first_free(names: list[str]) -> Iterator[str | None]:
    """Holds the first lock of the list that nobody has and yields its name, None where all are taken."""
    for name in names:
        lock = _take(name)
        if lock is not None:
            with lock:
                yield name
            return
    yield None
