"""What a preview costs by itself: the stack's beside one of a program that declares nothing."""

from __future__ import annotations

from bench.context import Bench, Comparison, Side


def measure(bench: Bench, size: int) -> list[Comparison]:
    """Of a stack that is up to date, without reading the server."""
    fleet = bench.settled(size)
    sides = (
        Side(name="preview of an empty program", command=bench.empty_preview()),
        Side(name="plain preview", command=bench.plain_preview(fleet)),
    )
    other, ours = bench.compare(sides)
    return [
        Comparison(
            what="plain preview, nothing to do",
            size=size,
            ours=sides[1].name,
            our_sample=ours,
            other=sides[0].name,
            other_sample=other,
        )
    ]
