"""`flowmaster init STACK`: creates stack and catalogue for a namespace that already runs. Only reads the server."""

from __future__ import annotations

import argparse
from typing import NamedTuple

EPILOG = """\
exit codes:
  0  both files are written, and Pulumi's backend has the stack
  1  refused, with the reason; nothing was written
"""


class _Target(NamedTuple):
    """The cluster of the new stack."""

    context: str
    request_timeout: int = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", metavar="STACK", help="what the stack is to be called")
    parser.add_argument("--context", required=True, help="the context of the kubeconfig")
    parser.add_argument("--namespace", required=True, help="the namespace that is to be taken over")
    parser.add_argument("--host", metavar="ALIAS", help="how ssh reaches the server; for its nginx and docker compose")
    parser.add_argument("--secrets-provider", metavar="URL", help="as for `pulumi stack init`")


def run(options: argparse.Namespace) -> int:
    """Read the cluster, then write the files.

    :raises ConfigError: where the name is taken, there is no such namespace, or Pulumi does not make the stack.
    """
    from config.load import ROOT
    from flowmaster.adopt import initial
    from flowmaster.cluster.connection import connect

    first = initial.NewStack(
        name=options.name, context=options.context, namespace=options.namespace, host=options.host, root=ROOT
    )
    initial.check_free(first)
    with connect(_Target(options.context)) as api:
        config, catalogue = initial.file_texts(first, api)
    initial.write(first, config, catalogue, options.secrets_provider)
    print(f"written: {first.stack_file}\n         {first.catalogue_file}")
    print(f"next:    flowmaster adopt --stack {first.name}   (reads the server only; --dry-run shows what it writes)")
    print(f"         pulumi preview --stack {first.name}; pulumi up --stack {first.name}")
    return 0
