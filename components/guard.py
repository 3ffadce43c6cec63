"""Protects what is not part of this project: Plane on the same server, other namespaces, undeclared objects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from config.errors import UserError
from config.settings import Settings
from flowmaster.drift.host import HostSource
from flowmaster.host import policy

UNTOUCHED = "Plane's containers are as they were before the update"


def refuse_foreign_resources(settings: Settings) -> None:
    """Refuse every resource registered from now on that is not part of this project."""

    def check(args: pulumi.ResourceTransformationArgs) -> None:
        policy.check_resource(args.type_, args.name, args.props, settings.namespace)

    pulumi.runtime.register_stack_transformation(check)


def plane_unchanged(settings: Settings, host: HostSource | None, after: Sequence[pulumi.Input[Any]]) -> Any:
    """Check, once all of `after` have resolved, that Plane's containers are the same as when the program started.

    The update fails if one is not. A preview changes nothing, so it does not check.
    """
    if host is None or pulumi.runtime.is_dry_run():
        return UNTOUCHED

    async def look(_: object) -> str:
        try:
            await asyncio.to_thread(_compare, settings, host)
        except UserError as err:
            raise pulumi.RunError(str(err)) from None
        return UNTOUCHED

    return pulumi.Output.all(*after).apply(look)


def _compare(settings: Settings, host: HostSource) -> None:
    from flowmaster.drift.host import start_reading

    began = start_reading(settings, containers=True, ask=False)
    if began is None:
        return
    before, after = host.state(), began.state()
    # if Docker did not answer before, there is nothing to compare with; the report says so
    lines = [] if before.containers_problem else changes(before.plane, after.plane)
    if lines:
        raise UserError(
            f"Plane's containers changed during this update: {'; '.join(lines)}",
            "this project never touches them: somebody else did, or the server is short of memory",
            "look at them with `docker ps --all`; FlowMaster itself was updated",
        )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List containers that are gone, new, recreated or restarted."""
    lines = [f"{name} is gone" for name in before.keys() - after.keys()]
    lines += [f"{name} is new" for name in after.keys() - before.keys()]
    lines += [f"{name} was restarted" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted(lines)
