"""The command line `flowmaster VERB`. Each verb parses its options and calls the package of its task."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from config.errors import UserError

VERBS = {
    "accept": "declare what was changed by hand on the server, so that updates keep it; reads the server only",
    "adopt": "write down what runs in the namespace, proved to stay as it is; reads the server only",
    "compose": "write down a docker compose project, and what becomes of it in the cluster; reads the server only",
    "init": "make a stack and a catalogue for a namespace that runs already; reads the server only",
    "doctor": "check everything that is needed here to work with the stack; read-only",
    "drift": "show how the server differs from what is declared; read-only",
    "restore": "put back the objects that adopt saved",
    "secret": "set, get, list, remove secret values; change their data key",
    "status": "show the whole server on one screen; read-only",
    "smoke": "ask every service whether it answers, and write down when",
    "unlock": "show who holds the stack's lock, and release one that a killed update left",
    "nginx": "check that nginx takes its configuration and every location answers; read-only",
    "topology": "draw who leads to whom, and who is drifted, as SVG; read-only",
    "gaps": "list what the snapshot of the server left open and nobody has filled yet",
}
EXIT_ERROR = 1
DISTRIBUTION = "flowmaster-infra"
"""The name of the installed distribution."""


class _Version(argparse.Action):
    """Prints the installed version, which is looked up only on demand, since that is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"flowmaster {version(DISTRIBUTION)}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser that exits with 1 on usage errors: argparse's 2 would mean that drift was found."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_ERROR, f"error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    :return: 0, :data:`EXIT_ERROR` with a message of at most three lines, or what the verb documents.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _Parser(prog="flowmaster", description="FlowMaster on its server: look before you update.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    chosen = next((word for word in words if not word.startswith("-")), None)
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        sub.add_argument("--stack", default="demo", help="the stack (default: demo)")
        # only the verb that runs is imported: what the others need would cost every run its time
        if verb == chosen:
            module = importlib.import_module(f"flowmaster.cli.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    options = parser.parse_args(words)
    try:
        return int(options.run(options))
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
