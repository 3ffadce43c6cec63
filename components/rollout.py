"""Waits at the end of an update until every service is rolled out."""

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
    """Wait until every service, and every workload declared as a manifest, is rolled out; the output is a summary.

    The update fails with the reasons otherwise. A preview does not wait.

    :param ill: live Deployments, by name, that were already unhealthy before the update. If the update did not touch
        them, they cause a warning only.
    """
    workloads: dict[str, KubernetesObject] = {name: service.deployment for name, service in flowmaster.services.items()}
    for where, body in settings.objects.items():
        ref = reference(dict(body), settings.namespace)
        if ref.kind in WORKLOADS and ref.namespace == settings.namespace:
            workloads[workload(ref)] = flowmaster.objects[where].object
    # names only: Output.all() walks through its values, and metadata has long managedFields
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
            # The messages are sent by other tasks; the error ends the program.
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
            # The last output of a container may contain a rejected password.
            return masker.text(answer) if isinstance(answer, str) else answer

        timeout = settings.stack.cluster.rollout_timeout
        return wait_for(get, settings.namespace, services, timeout, _say)


def _say(text: str) -> None:
    pulumi.log.info(text, ephemeral=True)
