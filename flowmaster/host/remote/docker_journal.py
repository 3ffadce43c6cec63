"""The journal of a compose project's moves, kept on the server: in which phase it is, and who is at work on it.

Each request that changes anything holds the project's lock while it works, and carries the run that it belongs to. A
run is over when it says so, when whoever asks knows that its process is gone, or when nothing was heard of it for a
while; and nothing of it is at work. Then another one takes over, and whatever is left of the first is refused from then
on.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from contextlib import contextmanager
from typing import Any, Iterator  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote.common import Json, Refused

ROOT = "/var/lib/flowmaster/compose"
SILENT = 10.0
"""Seconds without a sign of life after which a run is taken to be gone."""
_KEPT = ("phase", "move", "restart", "front", "copied", "measured", "since")


def load(project: str) -> Json:
    """The journal; of a project that was never moved, that it is where it always was. Raises Refused if unreadable."""
    try:
        with open(f"{ROOT}/{project}.json") as stream:
            found: Json = json.load(stream)
            return found
    except FileNotFoundError:
        return {"phase": "docker", "move": None, "run": None}
    except ValueError as err:
        raise Refused("journal", f"{ROOT}/{project}.json cannot be read: {err}") from err


def save(project: str, journal: Json) -> None:
    """Write it in one step: a crash leaves the old one or the new one."""
    os.makedirs(ROOT, mode=0o700, exist_ok=True)
    temporary = f"{ROOT}/{project}.json.new"
    with open(temporary, "w") as stream:
        json.dump(journal, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, f"{ROOT}/{project}.json")
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(project: str, name: str, seconds: float) -> Iterator[bool]:
    """Whether the lock could be had in that time; it is held until the end, or until this process is gone."""
    os.makedirs(ROOT, mode=0o700, exist_ok=True)
    deadline = time.monotonic() + seconds
    with open(f"{ROOT}/{project}.{name}", "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(0.05)
            else:
                yield True
                return


@contextmanager
def working(request: Json) -> Iterator[None]:
    """Carry something out for a run, undisturbed and to its end, whether or not anybody is still connected.

    Raises Refused where another run took over.
    """
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    project = str(request["project"])
    with _locked(project, "working", 5.0) as own:
        if not own:
            raise Refused("taken", f"another request about {project} is still at work on the server")
        alive(project, str(request["run"]))
        yield
        alive(project, str(request["run"]))


def alive(project: str, run: str) -> Json:
    """A sign of life of a run. Raises Refused where it is not the one at work any more."""
    with _locked(project, "lock", 5.0):
        journal = load(project)
        if journal.get("run") != run:
            raise Refused("taken", f"another run is at work on {project}: {journal.get('who') or 'it ended since'}")
        journal["alive"] = time.time()
        save(project, journal)
        return journal


def journal(request: Json) -> Json:
    """Show it, take the project over, give a sign of life, note something, or let it go: `what` says which."""
    project, run, what = str(request["project"]), str(request.get("run", "")), request["what"]
    if what == "take":
        return _take(project, request)
    if what == "show":
        return load(project)
    if what == "alive":
        return alive(project, run)
    if what == "note":
        return note(project, run, request["fields"])
    if what == "release":
        with _locked(project, "lock", 5.0):
            found = load(project)
            if found.get("run") == run:
                found.update(run=None, who=None, process=None)
                save(project, found)
            return found
    raise Refused("request", f"unknown request {what} about the journal")


def note(project: str, run: str, fields: Json) -> Json:
    """Write something down for a run. Raises Refused where it is not the one at work any more."""
    with _locked(project, "lock", 5.0):
        found = load(project)
        if found.get("run") != run:
            raise Refused("taken", f"another run is at work on {project}: {found.get('who') or 'it ended since'}")
        found.update({key: value for key, value in fields.items() if key in _KEPT})
        found["alive"] = time.time()
        save(project, found)
        return found


def _take(project: str, request: Json) -> Json:
    run = str(request["run"])
    with _locked(project, "working", 0.0) as nobody, _locked(project, "lock", 5.0):
        found = load(project)
        if found.get("run") not in (None, run, request.get("gone")):
            quiet = time.time() - float(found.get("alive") or 0)
            if not nobody or 0 <= quiet < SILENT:
                at_work = "is at work on the server" if not nobody else f"gave a sign of life {quiet:.0f} s ago"
                raise Refused("busy", f"{project} is being moved by {found.get('who')}, which {at_work}")
        elif not nobody:
            raise Refused("busy", f"another request about {project} is still at work on the server")
        now = time.time()
        found.update(run=run, who=str(request["who"]), process=request.get("process"), taken=now, alive=now)
        save(project, found)
        return found


def value(journal: Json, *names: str) -> Any:
    """A value deep in the journal, None where there is none."""
    found: Any = journal
    for name in names:
        found = (found or {}).get(name)
    return found
