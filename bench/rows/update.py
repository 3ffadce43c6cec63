"""A server from nothing: `pulumi up` beside `kubectl apply` and `kubectl wait` of the same manifests."""

from __future__ import annotations

import shlex
from functools import partial

from bench.context import Bench, Comparison, Side

TARGET = 1.3
_WAIT_SECONDS = 900


def measure(bench: Bench, size: int) -> list[Comparison]:
    """Until every pod is ready, on a server whose node has the images by then."""
    fleet = bench.fleet(size)
    clear = partial(bench.server.clear, fleet)
    apply = f"kubectl apply -f {shlex.quote(str(fleet.manifests))}"
    wait = f"kubectl wait -n {fleet.namespace} --for=condition=Available deployment --all --timeout={_WAIT_SECONDS}s"
    sides = (
        Side(
            name="kubectl apply + wait",
            command=bench.command("sh", "-c", f"{apply} && {wait}", variables={}),
            prepare=clear,
        ),
        # last, so that what it leaves serves the other rows
        Side(
            name="pulumi up",
            command=bench.command("pulumi", "up", "--yes", "--skip-preview", variables=fleet.variables),
            prepare=clear,
        ),
    )
    other, ours = bench.compare(sides, warm_up=fleet.real)
    bench.is_settled(fleet)
    return [
        Comparison(
            what="a server from nothing until all pods are ready",
            size=size,
            ours=sides[1].name,
            our_sample=ours,
            other=sides[0].name,
            other_sample=other,
            target=TARGET,
            notes=() if fleet.real else ("pods are pretended by kwok, images are not looked up",),
        )
    ]
