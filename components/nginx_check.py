"""Runs `flowmaster nginx` after each change of a site, with Pulumi's command provider.

It is an action without state, and runs again only if a site changes. :mod:`components.nginx_site` writes sites and
detects their drift.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pulumi
from pulumi_command import local

USED = ("create", "dir", "environment", "logging")
"""The properties of the command provider that this project uses; tests/contract tests every plugin for them."""
COMMAND = "${FLOWMASTER_PYTHON:-.venv/bin/python} -m flowmaster.cli.main nginx --stack {stack}"


def nginx_check(
    name: str, stack: str, contents: Sequence[pulumi.Output[str]], opts: pulumi.ResourceOptions
) -> local.Command:
    """Return the check, run once all these texts are served. None of its properties is a key."""
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
