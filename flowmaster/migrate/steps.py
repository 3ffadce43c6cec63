"""Which steps a move takes, in words: what `preview` says and `up` goes through are the same list. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose.proxy import Side
from flowmaster.compose.transfer import Transfer

ORDER = (Phase.DOCKER, Phase.SHADOW, Phase.CLUSTER, Phase.RETIRED)
CHECK, FIRST_COPY, CLOSE, COPY, SWAP, START, SERVE_READS, STOP, COMPARE, OPEN, FINISH = range(1, 12)
"""The steps of an exchange. Until OPEN what served before can serve again at once: nothing was written since."""
_RESUMED = {
    CHECK: CHECK,
    FIRST_COPY: CHECK,
    **dict.fromkeys(range(CLOSE, SERVE_READS), FIRST_COPY),
    STOP: SERVE_READS,
    COMPARE: SERVE_READS,
}
_FIXED_SECONDS, _BYTES_A_SECOND = 5.0, 100e6


def phase_changes(here: Phase, target: Phase) -> list[tuple[Phase, Phase]]:
    """The moves from one phase to another, each to the next phase."""
    begin, end = ORDER.index(here), ORDER.index(target)
    return list(pairwise(ORDER[begin : end + 1] if begin <= end else ORDER[end : begin + 1][::-1]))


def refuse_skipping(project: str, here: Phase, target: Phase, allowed: bool) -> None:
    """Refuse to leave a phase out on the way forwards, unless that was asked for.

    :raises UserError: naming the next phase.
    """
    way = phase_changes(here, target)
    if len(way) > 1 and ORDER.index(target) > ORDER.index(here) and not allowed:
        raise UserError(
            f"{project} is in phase {here}, and the stack says {target}: that leaves out {way[0][1]}",
            "whether it runs in the cluster would not be seen before it has to",
            f"set `phase: {way[0][1]}` first, look at it, then go on; or `skip: true`",
        )


def serving_sides(here: Phase, target: Phase) -> tuple[Side, Side] | None:
    """Who serves before and after; None where that stays the same."""
    if {here, target} != {Phase.SHADOW, Phase.CLUSTER}:
        return None
    return (Side.DOCKER, Side.CLUSTER) if target is Phase.CLUSTER else (Side.CLUSTER, Side.DOCKER)


def descriptions(here: Phase, target: Phase, transfer: Transfer) -> list[str]:
    """What each step of one move does."""
    if (both := serving_sides(here, target)) is not None:
        return _cutover(*both, transfer)
    ports = _ports(transfer)
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
                f"backing up docker's volumes and {transfer.folder} to /var/backups/flowmaster/{transfer.project}",
                "taking the stopped containers and their network away; volumes, images and compose file stay",
            ]
        case _:
            return ["making the containers again from the compose file, not started"]


def _cutover(before: Side, after: Side, transfer: Transfer) -> list[str]:
    volumes = ", ".join(entry.name for entry in transfer.copied) or "no volumes"
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


def resume_step(here: Phase, target: Phase, step: int) -> int:
    """Where a move goes on that ended in a step, so that all that the step relies on is made sure of again."""
    if serving_sides(here, target) is None:
        return 1
    return _RESUMED.get(step, step)


def expected_standstill(transfer: Transfer) -> float:
    """For about how many seconds writes will have to wait in an exchange."""
    return _FIXED_SECONDS + 3 * transfer.bytes / _BYTES_A_SECOND


def user_impact(here: Phase, target: Phase, transfer: Transfer) -> Iterator[str]:
    """What somebody who uses the project notices."""
    match here, target:
        case Phase.DOCKER, Phase.SHADOW:
            yield "users notice nothing; the cluster's copy runs on a copy of the data, and uses the same databases"
        case (Phase.SHADOW, Phase.CLUSTER) | (Phase.CLUSTER, Phase.SHADOW):
            size = f"{transfer.bytes / 1e6:.1f} MB" if transfer.bytes else "little data"
            yield (
                f"users: reads go on; for about {expected_standstill(transfer):.0f} s ({size}) other requests are "
                "answered 503 with Retry-After; open WebSockets are closed once"
            )
        case _:
            yield "users notice nothing"


def announce(here: Phase, target: Phase, transfer: Transfer) -> Iterator[str]:
    """Everything that will happen, a line each."""
    for before, after in phase_changes(here, target):
        yield f"{transfer.project}: {before} → {after}"
        lines = descriptions(before, after, transfer)
        for number, line in enumerate(lines, 1):
            yield f"{transfer.project}: step {number} of {len(lines)}: {line}"
        for line in user_impact(before, after, transfer):
            yield f"{transfer.project}: {line}"


def _ports(transfer: Transfer) -> str:
    return ", ".join(str(port.port) for port in sorted(transfer.ports, key=lambda p: p.port)) or "no ports"
