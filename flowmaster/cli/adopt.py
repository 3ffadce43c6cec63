"""`flowmaster adopt`: describes what runs, with proof that nothing changes. Only reads the server."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.settings import Settings
    from flowmaster.adopt.adoption import Adoption
    from flowmaster.adopt.provable import Options
    from flowmaster.adopt.sites import AdoptedSite
    from flowmaster.cluster.connection import Api
    from flowmaster.cluster.reader import LiveState

KEPT = ("keep running", "")
EPILOG = """\
What cannot be proved to stay as it is, and what a controller keeps, is left as it is, with its reason.

exit codes:
  0  written down (or nothing to do: it is already)
  1  refused, with the reason; nothing was written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--dry-run", action="store_true", help="show the proof, and what would be written as a diff; write nothing"
    )
    parser.add_argument("--again", action="store_true", help="write it down anew although it was adopted before")
    parser.add_argument(
        "--only", action="append", default=[], metavar="KIND/NAME",
        help="add this object to what was adopted before, the rest as it is (may be repeated; * for any text)",
    )  # fmt: skip
    parser.add_argument(
        "--nginx", action="store_true",
        help="record what nginx's sites inherit from other files now, which accepts a change there; nothing else",
    )  # fmt: skip
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME",
        help="adopt this enabled site of nginx, too, although the stack does not declare it, as a template; alone on a"
        " stack that was adopted before (may be repeated; * for any text)",
    )  # fmt: skip
    parser.add_argument(
        "--typed", action="store_true", help="declare sites of nginx by keys, not as templates, where keys say the same"
    )
    parser.add_argument("--strict", action="store_true", help="refuse where any object cannot be taken over as it is")
    parser.add_argument(
        "--restart", action="append", default=[], metavar="NAME",
        help="take this workload over although its pods restart (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--take", action="append", default=[], metavar="KIND/NAME",
        help="take this object over although a controller keeps it (may be repeated; * for any text)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the steps of an adoption; returns the exit code."""
    from config import load
    from flowmaster.adopt import addition
    from flowmaster.adopt import adoption as adoptions
    from flowmaster.adopt.provable import Options
    from flowmaster.cluster.connection import connect
    from flowmaster.drift.preflight import check_identity

    settings = load.from_file(options.stack)
    if options.nginx:
        return _record_nginx(options, settings)
    how = Options(
        strict=options.strict,
        restart=frozenset(options.restart),
        take=frozenset(options.take),
        sites=frozenset(options.site),
        typed=options.typed,
    )
    with connect(settings.stack.cluster) as api:
        with progress("reading the server"):
            check_identity(settings, api)
            live = adoptions.read(api, settings.namespace)
        if options.site and settings.stack.adopted and not options.again:
            return _add_sites(options, settings, live, how)
        if options.only:
            with progress("proving that what is taken over stays as it is"):
                added = addition.prepare(api, settings, live, frozenset(options.only), how, load.ROOT)
            if added is None:
                print(f"nothing to do: {', '.join(options.only)} adopted already")
                return 0
            adoption = added
        else:
            if settings.stack.adopted and not options.again and _is_adopted(api, settings, live):
                return 0
            with progress("proving that what is taken over stays as it is"):
                adoption = adoptions.prepare(api, settings, live, how)
    _show(adoption)
    if options.dry_run:
        for text in adoptions.diffs(adoption, load.ROOT):
            print(text)
        print("\nnothing was written (--dry-run)")
        return 0
    with progress("writing") as say:
        saved = adoptions.save(adoption, load.ROOT, say)
    print(f"\nwritten: {load.stack_path(options.stack)}\n         {load.catalogue_path(adoption.settings.stack)}")
    print(f"backup:  {saved}\n         put it back with: uv run flowmaster restore {saved}")
    restarted = [proof.ref.name for proof in adoption.proofs if proof.restarts]
    how_so = f"restarts {', '.join(restarted)}" if restarted else "adopts without a restart"
    print(f"next:    pulumi preview   ({how_so}; look at `git diff` and commit what was written)")
    return 0


def _add_sites(options: argparse.Namespace, settings: Settings, live: LiveState, how: Options) -> int:
    """Add sites of nginx to an adopted stack; nothing else of it changes."""
    from config import load
    from config.stack_file import replace_files
    from flowmaster.adopt import site_adoption, write

    with progress("reading nginx's configuration"):
        added = site_adoption.prepare_further(settings, live, how)
    drafts = site_adoption.added_drafts(added, load.stack_path(options.stack))
    _show_lists(site_lists(added.sites, added.refused, ()))
    for draft in drafts if options.dry_run else ():
        print(write.diff(draft))
    if options.dry_run:
        print("\nnothing was written (--dry-run)")
        return 0
    for draft in drafts:
        draft.path.parent.mkdir(parents=True, exist_ok=True)
    replace_files({draft.path: draft.after for draft in drafts})
    print("\nwritten: " + "\n         ".join(str(draft.path) for draft in drafts))
    print("next:    pulumi preview   (look at `git diff` and commit what was written)")
    return 0


def _record_nginx(options: argparse.Namespace, settings: Settings) -> int:
    """Record what nginx's sites inherit; the cluster is not asked."""
    from config import load
    from config.stack_file import replace_files
    from flowmaster.adopt import nginx_record

    with progress("reading nginx's configuration"):
        recorded = nginx_record.read(settings)
    if nginx_record.is_same(settings, recorded):
        print("nothing to do: what the sites inherit is as recorded")
        return 0
    path = load.stack_path(options.stack)
    original = path.read_text(encoding="utf-8")
    text = nginx_record.written(original, recorded)
    print(nginx_record.diff(original, text, path))
    if options.dry_run:
        print("\nnothing was written (--dry-run)")
        return 0
    replace_files({path: text})
    print(f"\nwritten: {path}\nnext:    look at `git diff` and commit what was written")
    return 0


def _is_adopted(api: Api, settings: Settings, live: LiveState) -> bool:
    """Report if there is nothing to adopt; returns whether that is so.

    :raises AdoptionError: where the server is not what was adopted any more.
    """
    from flowmaster.adopt import adoption as adoptions
    from flowmaster.adopt.errors import AdoptionError

    at = settings.stack.adopted.at if settings.stack.adopted else ""
    with progress("comparing with what is declared"):
        proofs = adoptions.prove_configured(api, settings, live)
    if adoptions.is_described(settings, proofs, live):
        print(f"nothing to do: adopted at {at}, all {len(proofs)} objects are as declared")
        return True
    raise AdoptionError(
        f"stack {settings.name} was adopted at {at}, and the server differs from it now",
        "writing it down anew would take the differences over as if they were meant",
        "see `flowmaster drift`; `pulumi up` undoes them, `flowmaster adopt --again` takes them over, and"
        " `flowmaster adopt --only KIND/NAME` adds an object",
    )


def _show(adoption: Adoption) -> None:
    from flowmaster.adopt.provable import group_by_reason
    from flowmaster.drift.health import WORKLOADS
    from flowmaster.report import screen

    out = screen.console(sys.stdout)
    heads: list[screen.Cell] = [[(title, "bold")] for title in ("object", "pods", "address", "changes")]
    rows = [heads]
    for proof in sorted(adoption.proofs, key=lambda proof: (proof.holds, proof.ref)):
        pods = ("restart", "red") if proof.restarts else KEPT if proof.ref.kind in WORKLOADS else ("", "")
        changes = (proof.why, "red") if proof.why else ("none", "green")
        rows.append([[(str(proof.ref), "")], [pods], [(proof.address, "")], [changes]])
    screen.show(out, [screen.table(rows)])
    description = adoption.description
    _show_lists(
        [
            *site_lists(adoption.sites, adoption.sites_refused, adoption.sites_left),
            (
                "kept in overrides, because no field says it",
                [(r, ", ".join(p)) for r, p in description.overrides.items()],
            ),
            ("read, but not managed: the reference is in the override", description.external),
            ("annotations with a copy of the object: left on the server, written nowhere", description.copied),
            ("not managed; stays as it is", group_by_reason(description.unmanaged)),
            ("not looked at: these could not be listed", description.unread),
            (
                "sealed: secrets that stand in a Deployment in the clear",
                [(s, ", ".join(v)) for s, v in description.sealed.items()],
            ),
        ]
    )


def site_lists(
    adopted: Mapping[str, AdoptedSite], refused: Mapping[str, str], left: Sequence[tuple[str, str]]
) -> list[tuple[str, Sequence[tuple[object, str]]]]:
    """Return what there is to say of sites: lists of names and texts, each with its title."""
    sites = adopted.items()
    how = [
        (n, f"{s.data['template']}{f' ({s.reason})' if s.reason else ''}") for n, s in sites if s.template is not None
    ]
    return [
        ("nginx: adopted as templates", how),
        ("nginx: taken over as it stands, for want of a key", [(n, e) for n, s in sites for e in s.extras]),
        ("nginx: comments, which stay in the file and its backups", [(n, c) for n, s in sites for c in s.comments]),
        ("nginx: files that sites depend on, which are not adopted", [(n, f) for n, s in sites for f in s.depends]),
        ("nginx: sites left as they are, and not declared any more", list(refused.items())),
        ("nginx: sites not taken over, as reverseProxy.sites has none of the file's name (--site adopts one)", left),
    ]


def _show_lists(lists: Sequence[tuple[str, Sequence[tuple[object, str]]]]) -> None:
    from flowmaster.report import screen

    out = screen.console(sys.stdout)
    for title, entries in lists:
        if entries:
            lines = [screen.text(f"  {ref}: {what}") for ref, what in entries]
            screen.show(out, ["", screen.text(title, "bold")])
            # whole lines, so that they can be searched
            screen.show(out, lines, whole=True)
