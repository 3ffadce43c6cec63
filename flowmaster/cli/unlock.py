"""`flowmaster unlock`: shows who holds the stack's lock, and releases the lock of a killed update."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "exit codes: 0 no update runs, and nothing is locked any more; 1 the stack is locked by another"
    parser.add_argument("--show", action="store_true", help="only show who holds the lock, and since when")


def run(options: argparse.Namespace) -> int:
    """Release stale locks, and report what the killed update left unfinished.

    :raises ConfigError: where there is no such stack, or more of it than Pulumi hands to the program.
    :raises flowmaster.heal.state_lock.LockError: where a lock is held, or it cannot be told whether it is.
    """
    from config.load import PROJECT, ROOT, check_stack
    from flowmaster.drift import last_applied
    from flowmaster.heal import pending_operations, state_lock

    _check_size(check_stack(options.stack), options.stack)
    folder = last_applied.backend_folder(ROOT)
    if folder is None:
        print(
            f"the locks of {last_applied.backend(ROOT) or 'Pulumi Cloud'} are its own to look after: nothing to release"
        )
        return 0
    found = state_lock.read_locks(folder, PROJECT, options.stack)
    if not found:
        print(f"stack {options.stack} is not locked")
    if options.show:
        now = datetime.now(UTC)
        for held in found:
            print(
                f"{held.describe(now)}: {'that process is gone' if held.is_stale else 'not to be released from here'}"
            )
    else:
        for line in state_lock.release_stale(found, options.stack) + state_lock.repair(folder, PROJECT, options.stack):
            print(line)
    state = last_applied.from_files(folder, PROJECT, options.stack) or {}
    if words := pending_operations.describe(state):
        print(words)
    if not options.show and (problem := pending_operations.clear_pending_creates(state, PROJECT, options.stack, ROOT)):
        print(f"warning: Pulumi goes on warning about what was not finished: {problem}", file=sys.stderr)
    return 0


def _check_size(path: Path, stack: str) -> None:
    """Refuse configuration that is too large for Pulumi before an update begins."""
    from config.decrypt import decrypted
    from config.load import MOST_CONFIG, ROOT, check_size

    # decrypted, and written as JSON within JSON, it takes less than four times as much
    if path.stat().st_size > MOST_CONFIG // 4:
        check_size(decrypted(stack, ROOT))
