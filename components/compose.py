"""The compose projects of a stack; those without any import nothing of what moving one takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.drift import Server
from components.flowmaster import FlowMaster

if TYPE_CHECKING:
    from components.compose_project import ComposeProject


def compose_projects(server: Server, flowmaster: FlowMaster, opts: pulumi.ResourceOptions) -> list[ComposeProject]:
    """Every compose project of the stack that was read, in the phase that the stack says.

    What is going to happen is told step by step, with what the project's users will notice.

    :raises config.errors.UserError: where a phase would be left out.
    """
    if server.host is None or not server.host.projects:
        return []
    from components.compose_project import of_server

    return [of_server(server, declared, flowmaster, opts) for declared in server.host.projects.values()]


def phase_outputs(projects: Sequence[ComposeProject]) -> list[pulumi.Output[Any]]:
    """Known once each project is where it is to be."""
    return [output for project in projects for output in project.outputs]
