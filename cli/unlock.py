"""`flowmaster unlock`: who holds the stack's lock; releases one that an update left which was killed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NAMED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.epilog = "exit codes: 0 no update runs, and nothing is locked any more; 1 the stack is locked by another"
    parser.add_argument("--show", action="store_true", help="only show who holds the lock, and since when")


def run(options: argparse.Namespace) -> int:
    """Release stale locks, and say what the update that left them did not finish.

    :raises heal.lock.LockError: where a lock is held, or it cannot be told whether it is.
    """
    from config.load import PROJECT, ROOT
    from drift import applied
    from heal import lock

    folder = applied.folder(ROOT)
    if folder is None:
        print(f"the locks of {applied.backend(ROOT) or 'Pulumi Cloud'} are its own to look after: nothing to release")
        return 0
    found = lock.locks(folder, PROJECT, options.stack)
    if options.show:
        now = datetime.now(UTC)
        for held in found:
            print(f"{held.told(now)}: {'that process is gone' if held.stale else 'not to be released from here'}")
    else:
        for line in lock.release(found, options.stack):
            print(line)
    if not found:
        print(f"stack {options.stack} is not locked")
    for line in _unfinished(folder, PROJECT, options.stack):
        print(line)
    return 0


def _unfinished(folder: Path, project: str, stack: str) -> list[str]:
    """What the stack's state says was begun and not finished."""
    from drift import applied

    state: Mapping[str, Any] = applied.from_files(folder, project, stack) or {}
    pending = state.get("pending_operations") or []
    if not pending:
        return []
    names = [f"{each['type']} {_short(str(each['resource']['urn']))}" for each in pending]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return [f"an update was interrupted while {named}: the next `pulumi up` goes on from there"]


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]}/{name}"
