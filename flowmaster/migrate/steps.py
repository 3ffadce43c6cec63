"""The steps of a move. `preview` announces the list that `up` executes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose.proxy import Side
from flowmaster.compose.transfer import Transfer

ORDER = (Phase.DOCKER, Phase.SHADOW, Phase.CLUSTER, Phase.RETIRED)
CHECK, FIRST_COPY, CLOSE, COPY, SWAP, START, SERVE_READS, STOP, COMPARE, OPEN, FINISH = range(1, 12)
"""The steps of a cutover. Until OPEN the side that served before can serve again at once: no write was accepted."""
_RESUMED = {
    CHECK: CHECK,
    FIRST_COPY: CHECK,
    **dict.fromkeys(range(CLOSE, SERVE_READS), FIRST_COPY),
    STOP: SERVE_READS,
    COMPARE: SERVE_READS,
}
_FIXED_SECONDS, _BYTES_A_SECOND = 5.0, 100e6


def phase_changes(here: Phase, target: Phase) -> list[tuple[Phase, Phase]]:
    """Return the changes from one phase to another, one phase at a time."""
    begin, end = ORDER.index(here), ORDER.index(target)
    return list(pairwise(ORDER[begin : end + 1] if begin <= end else ORDER[end : begin + 1][::-1]))


def refuse_skipping(project: str, here: Phase, target: Phase, allowed: bool) -> None:
    """Refuse to skip a phase on the way forwards, unless `skip` allows it.

    :raises UserError: naming the next phase.
    """
    way = phase_changes(here, target)
    if len(way) > 1 and ORDER.index(target) > ORDER.index(here) and not allowed:
        raise UserError(
            f"{project} is in phase {here}, and the stack says {target}, which skips {way[0][1]}",
            "whether it runs in the cluster would be unknown until it has to",
            f"set `phase: {way[0][1]}` first and check it there; or set `skip: true`",
        )


def serving_sides(here: Phase, target: Phase) -> tuple[Side, Side] | None:
    """Return the sides that serve before and after; None if the side does not change."""
    if {here, target} != {Phase.SHADOW, Phase.CLUSTER}:
        return None
    return (Side.DOCKER, Side.CLUSTER) if target is Phase.CLUSTER else (Side.CLUSTER, Side.DOCKER)


def descriptions(here: Phase, target: Phase, transfer: Transfer) -> list[str]:
    """Describe each step of one change of phase."""
    if (both := serving_sides(here, target)) is not None:
        return _cutover(*both, transfer)
    ports = _ports(transfer)
    match here, target:
        case Phase.DOCKER, Phase.SHADOW:
            return [
                "checking that docker answers",
                "waiting until the cluster's copy is ready and answers",
                f"redirecting connections to {ports} to nginx, which passes them on to docker",
            ]
        case Phase.SHADOW, Phase.DOCKER:
            return [
                "checking that docker answers",
                f"ending the redirection of {ports}: docker gets connections directly",
            ]
        case Phase.CLUSTER, Phase.RETIRED:
            return [
                "checking that the cluster answers",
                f"backing up docker's volumes and {transfer.folder} to /var/backups/flowmaster/{transfer.project}",
                "removing the stopped containers and their network; volumes, images and compose file stay",
            ]
        case _:
            return ["recreating the containers from the compose file, without starting them"]


def _cutover(before: Side, after: Side, transfer: Transfer) -> list[str]:
    volumes = ", ".join(entry.name for entry in transfer.copied) or "no volumes"
    kept = " (the last two earlier copies are kept)" if after is Side.DOCKER else ""
    return [
        f"checking that {before} and {after} answer, the disk has room, and nothing changed since it was read",
        f"copying {volumes} to {after} while {before} serves",
        f"blocking writes (503 with Retry-After); {before} answers reads",
        f"copying changes in {volumes}, and comparing every file",
        f"activating the copy{kept}",
        f"starting {after}, and checking that it answers",
        f"sending reads to {after}",
        f"stopping {before}",
        f"comparing {volumes} again, now that {before} is stopped",
        f"sending all requests to {after}",
        "cleaning up",
    ]


def resume_step(here: Phase, target: Phase, step: int) -> int:
    """Return the step to resume an interrupted move from, so that its preconditions are established again."""
    if serving_sides(here, target) is None:
        return 1
    return _RESUMED.get(step, step)


def expected_standstill(transfer: Transfer) -> float:
    """Estimate the seconds for which writes wait in a cutover."""
    return _FIXED_SECONDS + 3 * transfer.bytes / _BYTES_A_SECOND


def user_impact(here: Phase, target: Phase, transfer: Transfer) -> Iterator[str]:
    """Describe what users of the project notice."""
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
    """Yield a line for each step and each effect on users."""
    for before, after in phase_changes(here, target):
        yield f"{transfer.project}: {before} → {after}"
        lines = descriptions(before, after, transfer)
        for number, line in enumerate(lines, 1):
            yield f"{transfer.project}: step {number} of {len(lines)}: {line}"
        for line in user_impact(before, after, transfer):
            yield f"{transfer.project}: {line}"


def _ports(transfer: Transfer) -> str:
    return ", ".join(str(port.port) for port in sorted(transfer.ports, key=lambda p: p.port)) or "no ports"
