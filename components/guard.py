"""What this project must never touch, watched over: Plane beside it on the server, and everything not its own."""

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
    """Refuse every resource, registered from now on, that names what is not this project's."""

    def check(args: pulumi.ResourceTransformationArgs) -> None:
        policy.check_resource(args.type_, args.name, args.props, settings.namespace)

    pulumi.runtime.register_stack_transformation(check)


def plane_unchanged(settings: Settings, host: HostSource | None, after: Sequence[pulumi.Input[Any]]) -> Any:
    """Resolves once all of `after` has, to a sentence; the update fails where a container of Plane is not the same.

    What they were before is what was read when the program started. A preview changes nothing, so it asks nothing.
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

    began = start_reading(settings, containers=True)
    if began is None:
        return
    before, after = host.state(), began.state()
    # where Docker did not answer before, nothing is known to compare with; the report says that it did not
    lines = [] if before.containers_problem else changes(before.plane, after.plane)
    if lines:
        raise UserError(
            f"Plane's containers changed during this update: {'; '.join(lines)}",
            "this project never touches them: somebody else did, or the server is short of memory",
            "look at them with `docker ps --all`; FlowMaster itself was updated",
        )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is not the same: containers that are gone, new, or were made or started again."""
    lines = [f"{name} is gone" for name in before.keys() - after.keys()]
    lines += [f"{name} is new" for name in after.keys() - before.keys()]
    lines += [f"{name} was started again" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted(lines)
