"""The drift of a stack's objects undone without Pulumi, write by write, in a process that can be killed between them.

`python -m tests.lab.healer` does it with the variables of a shell on the twin, and says which write it begins.
"""

from __future__ import annotations

from config import load
from flowmaster.cluster import reader
from flowmaster.cluster.connection import connect
from flowmaster.cluster.writes import carry_out
from flowmaster.drift.last_applied import from_stack
from flowmaster.heal.plan import plan
from flowmaster.render.manifests import manifests


def main() -> None:
    """Do what the hooks of an update do, one after the other."""
    settings = load.from_file("demo")
    declared = [dict(body) for body in manifests(settings)]
    applied = from_stack(load.PROJECT, settings.name, load.ROOT)
    with connect(settings.stack.cluster) as api:
        for number, step in enumerate(plan(declared, applied, reader.read(api, settings.namespace)).steps.values(), 1):
            print(f"write {number}: {step.ref}", flush=True)
            carry_out(api, step)
    print("done", flush=True)


if __name__ == "__main__":
    main()
