"""After each change of a site: `flowmaster nginx`, run by Pulumi's command provider.

It is an action and no state: nothing is read by it, and it runs again only when what is served changes. What must be
seen to drift, and what is written, is :mod:`components.nginx_site`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pulumi
from pulumi_command import local

USED = ("create", "dir", "environment", "logging")
"""Everything of the command provider that this project relies on; tests/contract holds every plugin to it."""
COMMAND = "${FLOWMASTER_PYTHON:-.venv/bin/python} -m flowmaster.cli.main nginx --stack {stack}"


def nginx_check(
    name: str, stack: str, contents: Sequence[pulumi.Output[str]], opts: pulumi.ResourceOptions
) -> local.Command:
    """The check, once all of these texts are served. No key is among its properties: it finds them as `up` does."""
    served = pulumi.Output.all(*contents).apply(_revision)
    command: local.Command = local.Command(
        name,
        create=COMMAND.replace("{stack}", stack),
        dir=".",
        environment={"FLOWMASTER_SITES": served},
        logging=local.Logging.NONE,
        opts=opts,
    )
    return command


def _revision(contents: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16]
