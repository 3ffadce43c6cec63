"""Asking how the server differs: `flowmaster drift` beside kubectl's and kapp's diff of the same objects."""

from __future__ import annotations

from bench import large
from bench.context import Bench, Comparison, Side

_SMALL = 30
_TARGET_SMALL, _TARGET_LARGE = 1.0, 0.25


def measure(bench: Bench, size: int) -> list[Comparison]:
    """Of a server as declared."""
    fleet = bench.settled(size)
    files = ("-f", str(fleet.manifests))
    kapp = ("kapp", "deploy", "--app", "bench", "--namespace", fleet.namespace, *files, "--diff-run", "--yes")
    sides = (
        Side(
            name="kubectl diff --server-side",
            command=bench.command("kubectl", "diff", "--server-side", *files, variables={}),
        ),
        Side(
            name="flowmaster drift",
            command=bench.command("flowmaster", "drift", "--stack", fleet.stack.name, variables=fleet.variables),
        ),
        Side(name="kapp deploy --diff-run", command=bench.command(*kapp, variables={})),
    )
    kubectl, ours, kapp_sample = bench.compare(sides)
    what = f"drift of {fleet.objects} objects, none found"
    target = _TARGET_SMALL if size <= _SMALL else _TARGET_LARGE
    notes = () if fleet.real else ("pods are pretended by kwok, images are not looked up",)
    if size >= large.FROM:
        notes = (*notes, large.NOTE)
    return [
        Comparison(
            what=what,
            size=size,
            ours=sides[1].name,
            our_sample=ours,
            other=sides[0].name,
            other_sample=kubectl,
            target=target,
            notes=notes,
        ),
        Comparison(
            what=what, size=size, ours=sides[1].name, our_sample=ours, other=sides[2].name, other_sample=kapp_sample
        ),
    ]
