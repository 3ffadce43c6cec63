"""`flowmaster accept`: declares live values that were set by hand, so that updates keep them. Only reads the server."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from difflib import unified_diff
from typing import TYPE_CHECKING

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from config.settings import Settings
    from flowmaster.adopt.acceptance import Acceptance
    from flowmaster.cluster.connection import Api
    from flowmaster.cluster.reader import LiveState
    from flowmaster.compare.finding import Finding
    from flowmaster.drift.last_applied import Applied

EPILOG = """\
examples:
  flowmaster accept Deployment/frontend                  every difference of one object
  flowmaster accept Deployment/frontend spec.replicas    one field
  flowmaster accept --all --manager kubectl-set          everything that `kubectl set` changed
  flowmaster accept CronJob/report                       an object that is not declared yet

exit codes:
  0  written
  1  refused, with the reason; nothing was written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("object", nargs="?", metavar="KIND/NAME", help="the object; * stands for any text")
    parser.add_argument("field", nargs="*", help="fields of it, as the report names them; * stands for any text")
    parser.add_argument("--all", action="store_true", help="every object with differences")
    parser.add_argument("--manager", metavar="NAME", help="only what this field manager set; * stands for any text")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written as a diff; write nothing")


def run(options: argparse.Namespace) -> int:
    """Read the server, then write what is accepted; returns the exit code."""
    from config import load
    from config.errors import UserError
    from flowmaster.adopt import acceptance, adoption
    from flowmaster.cluster.connection import connect
    from flowmaster.drift import last_applied
    from flowmaster.drift.engine import read_declared
    from flowmaster.drift.preflight import check_identity
    from flowmaster.render.manifests import manifests

    if options.all == bool(options.object):
        raise UserError(
            "nothing is named to accept" if not options.all else "both an object and --all are given",
            "nothing was written",
            "name an object (`flowmaster accept Deployment/frontend`), or use --all",
        )
    settings = load.from_file(options.stack)
    with connect(settings.stack.cluster) as api:
        with progress("reading the server"):
            check_identity(settings, api)
            live = adoption.read(api, settings.namespace)
            read_declared(api, live, [dict(body) for body in manifests(settings)])
            last = last_applied.from_stack(load.PROJECT, settings.name, load.ROOT)
        if _undeclared(options, settings, live, last):
            return _add(options, settings, api, live)
        made = acceptance.prepare(settings, live, last, lambda finding: _chosen(options, finding), load.ROOT)
    return _write(options, made)


def _chosen(options: argparse.Namespace, finding: Finding) -> bool:
    from fnmatch import fnmatchcase

    from flowmaster.compare.path import covers

    if options.object and not fnmatchcase(str(finding.object), options.object):
        return False
    if options.manager and not fnmatchcase(finding.manager or "", options.manager):
        return False
    return not options.field or any(covers(field, finding.path) for field in options.field)


def _undeclared(options: argparse.Namespace, settings: Settings, live: LiveState, last: Applied) -> bool:
    """Return whether the named object is live but not declared."""
    from flowmaster.cluster.masking import Masker
    from flowmaster.drift.objects import Comparison, reference, undeclared
    from flowmaster.render.manifests import manifests

    if options.all:
        return False
    declared = {reference(dict(body), live.namespace) for body in manifests(settings)}
    found = undeclared(declared, Comparison(last, live, Masker()))
    return options.object in {str(finding.object) for finding in found}


def _add(options: argparse.Namespace, settings: Settings, api: Api, live: LiveState) -> int:
    from config import load
    from flowmaster.adopt import addition, adoption
    from flowmaster.adopt.provable import DEFAULTS

    added = addition.prepare(api, settings, live, frozenset({options.object}), DEFAULTS, load.ROOT)
    if added is None:
        print(f"nothing to do: {options.object} is declared already")
        return 0
    if options.dry_run:
        print("\n".join(adoption.diffs(added, load.ROOT)))
        print("\nnothing was written (--dry-run)")
        return 0
    with progress("writing") as say:
        adoption.save(added, load.ROOT, say)
    print(f"accepted: {options.object}, which is declared from now on")
    _next()
    return 0


def _write(options: argparse.Namespace, made: Acceptance) -> int:
    from config import load
    from flowmaster.adopt.acceptance_files import save

    for finding in made.accepted:
        print(f"accepted: {finding.object} {finding.path}".rstrip())
    for (ref, path), why in made.left.items():
        print(f"left:     {ref} {path}".rstrip() + f": {why}")
    if made.restarted:
        print(f"the next update restarts {', '.join(made.restarted)}, which read what was accepted")
    if options.dry_run:
        print("\n".join(_diff(made)))
        print("\nnothing was written (--dry-run)")
        return 0
    with progress("writing"):
        paths = save(made, load.ROOT)
    print(f"written:  {', '.join(path.name for path in paths)}")
    _next()
    return 0


def _diff(made: Acceptance) -> Iterator[str]:
    from config import load
    from flowmaster.adopt.acceptance_files import texts

    for path, (before, after) in texts(made, load.ROOT).items():
        yield from unified_diff(before.splitlines(), after.splitlines(), path.name, path.name, lineterm="")
    if made.secrets:
        yield f"and, encrypted, {len(made.secrets)} values of secrets: {', '.join(map(str, made.secrets))}"


def _next() -> None:
    print("next:     pulumi preview   (look at `git diff` and commit what was written)")
