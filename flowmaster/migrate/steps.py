"""Which steps a move takes, in words: what `preview` says and `up` goes through are the same list. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose.proxy import Side
from flowmaster.compose.transfer import Moved

ORDER = (Phase.DOCKER, Phase.SHADOW, Phase.CLUSTER, Phase.RETIRED)
CHECK, FIRST, CLOSE, COPY, PLACE, START, READS, STOP, COMPARE, OPEN, FINISH = range(1, 12)
"""The steps of an exchange. Until OPEN what served before can serve again at once: nothing was written since."""
_RESUMED = {CHECK: CHECK, FIRST: CHECK, **dict.fromkeys(range(CLOSE, READS), FIRST), STOP: READS, COMPARE: READS}
_FIXED_SECONDS, _BYTES_A_SECOND = 5.0, 100e6


def path(here: Phase, target: Phase) -> list[tuple[Phase, Phase]]:
    """The moves from one phase to another, each to the next phase."""
    begin, end = ORDER.index(here), ORDER.index(target)
    return list(pairwise(ORDER[begin : end + 1] if begin <= end else ORDER[end : begin + 1][::-1]))


def refuse_skipping(project: str, here: Phase, target: Phase, allowed: bool) -> None:
    """Refuse to leave a phase out on the way forwards, unless that was asked for.

    :raises UserError: naming the next phase.
    """
    way = path(here, target)
    if len(way) > 1 and ORDER.index(target) > ORDER.index(here) and not allowed:
        raise UserError(
            f"{project} is in phase {here}, and the stack says {target}: that leaves out {way[0][1]}",
            "whether it runs in the cluster would not be seen before it has to",
            f"set `phase: {way[0][1]}` first, look at it, then go on; or `skip: true`",
        )


def sides(here: Phase, target: Phase) -> tuple[Side, Side] | None:
    """Who serves before and after; None where that stays the same."""
    if {here, target} != {Phase.SHADOW, Phase.CLUSTER}:
        return None
    return (Side.DOCKER, Side.CLUSTER) if target is Phase.CLUSTER else (Side.CLUSTER, Side.DOCKER)


def words(here: Phase, target: Phase, moved: Moved) -> list[str]:
    """What each step of one move does."""
    if (both := sides(here, target)) is not None:
        return _exchange(*both, moved)
    ports = _ports(moved)
    match here, target:
        case Phase.DOCKER, Phase.SHADOW:
            return [
                "asking docker whether it answers",
                "waiting until the cluster's copy runs, and asking it",
                f"nginx takes the connections to {ports} and passes them on to docker",
            ]
        case Phase.SHADOW, Phase.DOCKER:
            return ["asking docker whether it answers", f"docker takes the connections to {ports} itself again"]
        case Phase.CLUSTER, Phase.RETIRED:
            return [
                "asking the cluster whether it answers",
                f"writing a backup of docker's volumes and {moved.folder} to /var/backups/flowmaster/{moved.project}",
                "taking the stopped containers and their network away; volumes, images and compose file stay",
            ]
        case _:
            return ["making the containers again from the compose file, not started"]


def _exchange(before: Side, after: Side, moved: Moved) -> list[str]:
    volumes = ", ".join(entry.name for entry in moved.copied) or "no volumes"
    kept = " (what was there is kept, the last two)" if after is Side.DOCKER else ""
    return [
        f"asking {before} and {after} whether they answer; room on the disk; nothing changed since it was read",
        f"first copy of {volumes} to {after}, while {before} serves",
        f"from here on writes are told to wait; {before} answers reads",
        f"copying what changed in {volumes} since, and comparing every file",
        f"putting the copy into its place{kept}",
        f"starting {after}, and asking it",
        f"{after} answers reads",
        f"stopping {before}",
        f"comparing {volumes} once more, now that {before} stands still",
        f"{after} answers everything",
        "clearing up",
    ]


def resumed(here: Phase, target: Phase, step: int) -> int:
    """Where a move goes on that ended in a step, so that all that the step relies on is made sure of again."""
    if sides(here, target) is None:
        return 1
    return _RESUMED.get(step, step)


def standstill(moved: Moved) -> float:
    """For about how many seconds writes will have to wait in an exchange."""
    return _FIXED_SECONDS + 3 * moved.bytes / _BYTES_A_SECOND


def noticed(here: Phase, target: Phase, moved: Moved) -> Iterator[str]:
    """What somebody who uses the project notices."""
    match here, target:
        case Phase.DOCKER, Phase.SHADOW:
            yield "users notice nothing; the cluster's copy runs on a copy of the data, and uses the same databases"
        case (Phase.SHADOW, Phase.CLUSTER) | (Phase.CLUSTER, Phase.SHADOW):
            size = f"{moved.bytes / 1e6:.1f} MB" if moved.bytes else "little data"
            yield (
                f"users: reads go on; for about {standstill(moved):.0f} s ({size}) whatever is not a read is answered "
                "503 with Retry-After; open WebSockets are closed once"
            )
        case _:
            yield "users notice nothing"


def told(here: Phase, target: Phase, moved: Moved) -> Iterator[str]:
    """Everything that will happen, a line each."""
    for before, after in path(here, target):
        yield f"{moved.project}: {before} → {after}"
        lines = words(before, after, moved)
        for number, line in enumerate(lines, 1):
            yield f"{moved.project}: step {number} of {len(lines)}: {line}"
        for line in noticed(before, after, moved):
            yield f"{moved.project}: {line}"


def _ports(moved: Moved) -> str:
    return ", ".join(str(port.port) for port in sorted(moved.ports, key=lambda p: p.port)) or "no ports"
