"""`flowmaster nginx`: runs nginx's configuration test, and requests every location. Changes nothing."""

from __future__ import annotations

import argparse

from flowmaster.report.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--patience", type=float, default=15.0, metavar="SECONDS", help="how long to ask (default: 15)")


def run(options: argparse.Namespace) -> int:
    """Run all checks; returns 0 if all pass, else 1 with a line for each problem."""
    from config import load
    from flowmaster.host import nginx
    from flowmaster.host.access import access
    from flowmaster.render.nginx import site_checks

    settings = load.from_file(options.stack)
    proxy = settings.stack.reverse_proxy
    asleep = {name for name in settings.services if settings.release(name).replicas == 0}
    asked = [check for site in (proxy.sites.values() if proxy else ()) for check in site_checks(site, asleep)]
    with progress("asking nginx"):
        problems = nginx.check(access(settings.stack.host), asked, options.patience)
    for line in problems:
        print(f"✗ {line}")
    if not problems:
        print(f"✓ nginx takes its configuration, runs it, and {len(asked)} locations answer")
    return 1 if problems else 0
