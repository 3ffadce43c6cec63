"""Waiting, at the end of an update, until every service runs as declared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi

from components.flowmaster import FlowMaster
from components.kubernetes import KubernetesObject
from config.errors import UserError
from config.settings import Settings
from flowmaster.cluster.rollout import POLL_SECONDS, Rollout, RolloutError, wait_for, workload
from flowmaster.drift.health import WORKLOADS
from flowmaster.drift.objects import reference
from flowmaster.render import namespace


def rollout(settings: Settings, flowmaster: FlowMaster, ill: Mapping[str, Any] = {}) -> pulumi.Output[str]:
    """Resolves to a sentence once every service, and every workload that stands as a manifest, runs as declared.

    The update fails otherwise, with the reasons. In a preview nothing was applied, so nothing is waited for.

    :param ill: the Deployments, as they were, whose pods did not run already before the update: of those that it did
        not touch, a warning tells.
    """
    workloads: dict[str, KubernetesObject] = {name: service.deployment for name, service in flowmaster.services.items()}
    for where, body in settings.objects.items():
        ref = reference(dict(body), settings.namespace)
        if ref.kind in WORKLOADS and ref.namespace == settings.namespace:
            workloads[workload(ref)] = flowmaster.objects[where].object
    # only the names: Output.all() walks through all that it is given, and metadata has a long record of who wrote what
    applied = [made.metadata["name"] for made in workloads.values()]
    expected = {name: settings.release(name).replicas for name in flowmaster.services}
    sentence = (
        f"{sum(1 for n in expected.values() if n)} services run, {sum(1 for n in expected.values() if not n)} at 0"
    )

    async def wait(_: object) -> str:
        if pulumi.runtime.is_dry_run():
            return sentence
        try:
            for rollout in await asyncio.to_thread(_wait, settings, {name: ill.get(name) for name in workloads}):
                words = f"did not run before this update, which did not touch it: {rollout.reason}"
                pulumi.log.warn(words, workloads[rollout.name])
        except RolloutError as err:
            for name, text in err.others.items():
                pulumi.log.error(text, workloads[name])
            # The messages go out in tasks of their own, and the program ends with the error.
            await asyncio.sleep(POLL_SECONDS)
            raise pulumi.RunError(str(err)) from None
        except UserError as err:
            raise pulumi.RunError(str(err)) from None
        return sentence

    return pulumi.Output.all(*applied).apply(wait)


def _wait(settings: Settings, services: Mapping[str, Any]) -> list[Rollout]:
    from flowmaster.cluster.connection import connect
    from flowmaster.cluster.masking import Masker

    masker = Masker(dict(namespace.secret(settings, name)) for name in settings.catalogue.secrets)
    with connect(settings.stack.cluster) as api:

        def get(path: str, parameters: Mapping[str, Any]) -> Any:
            answer = api.get(path, parameters)
            # What a container prints before it ends may well be the password that was refused.
            return masker.text(answer) if isinstance(answer, str) else answer

        timeout = settings.stack.cluster.rollout_timeout
        return wait_for(get, settings.namespace, services, timeout, _say)


def _say(text: str) -> None:
    pulumi.log.info(text, ephemeral=True)
