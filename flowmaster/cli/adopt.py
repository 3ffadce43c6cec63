"""`flowmaster adopt`: write down what runs, proved to stay as it is. The server is read, never changed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowmaster.adopt.adoption import Adoption
    from flowmaster.adopt.proof import Proof

EPILOG = """\
exit codes:
  0  written down (or nothing to do: it is already)
  1  refused, with the reason; nothing was written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--dry-run", action="store_true", help="show the proof and what would be written; write nothing"
    )
    parser.add_argument("--again", action="store_true", help="write it down anew although it was adopted before")


def run(options: argparse.Namespace) -> int:
    """Read, describe, prove; then back up and write."""
    from config import load
    from flowmaster.adopt import adoption as take
    from flowmaster.cluster.connection import connect
    from flowmaster.drift.preflight import check_identity

    settings = load.from_file(options.stack)
    with connect(settings.stack.cluster) as api:
        check_identity(settings, api)
        live = take.read(api, settings.namespace)
        if settings.stack.adopted and not options.again:
            proofs = take.as_configured(api, settings, live)
            if take.is_described(settings, proofs, live):
                print(
                    f"nothing to do: adopted at {settings.stack.adopted.at}, all {len(proofs)} objects are as declared"
                )
                return 0
            raise take.AdoptionError(
                f"stack {settings.name} was adopted at {settings.stack.adopted.at}, and the server differs from it now",
                "writing it down anew would take the differences over as if they were meant",
                "see `flowmaster drift`; `pulumi up` undoes them, `flowmaster adopt --again` takes them over",
            )
        adoption = take.prepare(api, settings, live)
    _show(adoption)
    _refuse(adoption.proofs)
    if options.dry_run:
        print("\nnothing was written (--dry-run)")
        return 0
    saved = take.carry_out(adoption, load.ROOT, _progress)
    _progress("")
    print(f"\nwritten: {load.stack_path(options.stack)}\n         {load.catalogue_path(adoption.settings.stack)}")
    print(f"backup:  {saved}\n         put it back with: uv run flowmaster restore {saved}")
    print("next:    pulumi preview   (adopts without a restart; look at `git diff` and commit what was written)")
    return 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _refuse(proofs: list[Proof]) -> None:
    from flowmaster.adopt.adoption import AdoptionError
    from flowmaster.adopt.proof import failures

    failed = failures(proofs)
    if not failed:
        return
    first = failed[0]
    more = f" (and {len(failed) - 1} more objects)" if failed[1:] else ""
    raise AdoptionError(
        f"taking over {first.ref} would change {', '.join(first.changes[:5]) or 'it'}{more}"
        + (f": {first.refused}" if first.refused else ""),
        "its pods would restart" if first.restarts else "nothing was written, and nothing was changed",
        "the table above has every object; put the field into the service's override, or report this",
    )


def _show(adoption: Adoption) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("object", "pods", "address", "changes"):
        table.add_column(title, overflow="fold")
    for proof in sorted(adoption.proofs, key=lambda proof: (proof.holds, proof.ref)):
        pods = "" if proof.ref.kind != "Deployment" else "[red]restart[/]" if proof.restarts else "keep running"
        changes = ", ".join(proof.changes) or proof.refused
        table.add_row(str(proof.ref), pods, proof.address, f"[red]{changes}[/]" if changes else "[green]none[/]")
    console.print(table)
    description = adoption.description
    sites = adoption.sites.items()
    for title, rows in (
        ("nginx: taken over as it stands, for want of a key", [(n, e) for n, s in sites for e in s.extras]),
        ("nginx: comments, which stay in the file and its backups", [(n, c) for n, s in sites for c in s.comments]),
        (
            "nginx: sites not taken over, as reverseProxy.sites has none of the file's name",
            adoption.sites_left,
        ),
        ("kept in overrides, because no field says it", [(r, ", ".join(p)) for r, p in description.overrides.items()]),
        ("read, but not managed: the reference is in the override", description.external),
        ("annotations with a copy of the object: left on the server, written nowhere", description.copied),
        ("not managed; stays as it is", description.unmanaged),
        ("not looked at: these could not be listed", description.unread),
        (
            "sealed: secrets that stand in a Deployment in the clear",
            [(s, ", ".join(v)) for s, v in description.sealed.items()],
        ),
    ):
        if rows:
            console.print(f"\n[bold]{title}[/]")
            for ref, what in rows:
                console.print(f"  {ref}: {what}", markup=False)
