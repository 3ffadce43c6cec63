"""Preview with drift: beside the plain preview that shows none, and beside Pulumi's own refresh."""

from __future__ import annotations

from bench.context import Bench, Comparison, Side

TARGET = 1.3


def measure(bench: Bench, size: int) -> list[Comparison]:
    """Of a stack that is up to date, on a server as declared."""
    fleet = bench.settled(size)
    sides = (
        Side(name="plain preview", command=bench.plain_preview(fleet)),
        Side(name="preview with drift", command=bench.preview(fleet)),
        Side(name="plain preview --refresh", command=bench.plain_preview(fleet, "--refresh")),
    )
    plain, ours, refreshed = bench.compare(sides)
    what = "preview with drift, nothing to do"
    return [
        Comparison(
            what=what,
            size=size,
            ours=sides[1].name,
            our_sample=ours,
            other=sides[0].name,
            other_sample=plain,
            target=TARGET,
        ),
        Comparison(
            what=what, size=size, ours=sides[1].name, our_sample=ours, other=sides[2].name, other_sample=refreshed
        ),
    ]
