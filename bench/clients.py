"""Client libraries of Kubernetes beside the project's own, over the questions of one `flowmaster drift`.

    eval "$(lab/lab env)"
    uv run --with lightkube,kubernetes,urllib3 python -m bench.clients

asks the cluster of KUBECONFIG (docs/speed.md, "No client library").
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Command, Side, alternate

_PROGRAMS = Path(__file__).parent / "programs/clients"
_ROOT = Path(__file__).resolve().parent.parent
NAMES = {"ours": "own", "urllib3_alone": "urllib3", "lightkube_client": "lightkube", "official": "kubernetes"}


def main() -> None:
    """Measure and print. Each client is a process of its own, as `flowmaster drift` is."""
    parser = argparse.ArgumentParser(prog="python -m bench.clients", description=__doc__)
    parser.add_argument("--context", default="demo")
    parser.add_argument("--namespace", default="flowmaster")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    sides = [
        Side(
            name=name,
            command=Command(
                argv=(sys.executable, str(_PROGRAMS / f"{program}.py"), options.context, options.namespace),
                env=os.environ | {"PYTHONPATH": str(_ROOT)},
                cwd=_ROOT,
            ),
        )
        for program, name in NAMES.items()
    ]
    samples = alternate(sides, options.runs, lambda line: print(line, file=sys.stderr), warm_up=True)
    table = Table("client", "median", "fastest", "processor", "memory")
    for side, sample in zip(sides, samples, strict=True):
        row = f"{sample.seconds:.2f} s", f"{sample.fastest:.2f} s", f"{sample.cpu_seconds:.2f} s"
        table.add_row(side.name, *row, f"{sample.mebibytes:.0f} MiB")
    Console().print(table)


if __name__ == "__main__":
    main()
