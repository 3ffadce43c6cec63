"""The compose projects of a stack. Without any, nothing of the migration is imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.drift import Server
from components.flowmaster import FlowMaster

if TYPE_CHECKING:
    from components.compose_project import ComposeProject


def compose_projects(server: Server, flowmaster: FlowMaster, opts: pulumi.ResourceOptions) -> list[ComposeProject]:
    """Create the compose projects of the stack that have a source, each in its desired phase.

    A preview announces each step, and its effect on users.

    :raises config.errors.UserError: if a phase would be skipped.
    """
    if server.host is None or not server.host.projects:
        return []
    from components.compose_project import of_server

    return [of_server(server, declared, flowmaster, opts) for declared in server.host.projects.values()]


def phase_outputs(projects: Sequence[ComposeProject]) -> list[pulumi.Output[Any]]:
    """Return outputs that resolve once each project is in its phase."""
    return [output for project in projects for output in project.outputs]
