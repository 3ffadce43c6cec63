"""Translates a compose project into Kubernetes objects. Pure: the same source gives the same objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

from config.compose import ComposeProject, ComposeService
from config.errors import ConfigError
from flowmaster.compose import bodies
from flowmaster.compose.context import Context, ServiceBuilder, is_sealed
from flowmaster.compose.coverage import Coverage, Keys
from flowmaster.compose.discovery import find_peers, find_ports, names_of
from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.result import Body, Port, Target, Translation
from flowmaster.compose.service.lifecycle import translate_restart_policy
from flowmaster.compose.toplevel import translate_top_level
from flowmaster.compose.units import is_label
from flowmaster.compose.validation import validate_source

__all__ = ["translate"]
_MAY_BE_SEALED = frozenset({"environment", "command", "entrypoint", "healthcheck", "labels", "annotations"})


def translate(project: str, settings: ComposeProject, target: Target) -> Translation:
    """Translate a project. Every key of its source is in ``results`` or in ``refusals``.

    :raises ConfigError: if the project has no source yet.
    """
    if settings.source is None:
        raise ConfigError(
            f"compose project {project} has no source yet",
            "it is unknown what the project runs",
            f"flowmaster compose {project}",
        )
    coverage = Coverage()
    source = validate_source(settings.source, coverage)
    context = Context(project, settings, source, target, coverage)
    translate_top_level(context)
    works = [_service(context, name, entry) for name, entry in source.services.items()]
    _check_names(context)
    known = find_peers(context)
    for builder in works:
        find_ports(context, builder)
    _check_ports(context)
    made = [*bodies.shared_bodies(context), *bodies.volume_bodies(context)]
    made += [bodies.service_body(context, builder) for builder in works if builder.service_ports]
    made += [bodies.deployment_body(context, builder) for builder in works]
    _check_bodies(context, made)
    became, told, refusals = context.coverage.results()
    return Translation(
        project=project,
        bodies=tuple(made),
        aliases={n: tuple(names_of(n, e)) for n, e in source.services.items()},
        peers=known,
        volumes=tuple(volume for _, volume in sorted(context.volumes.items())),
        ports=tuple(sorted(context.ports)),
        images=dict(sorted(context.images.items())),
        containers={name: entry.containers for name, entry in source.services.items()},
        objects=dict(sorted(context.objects.items())),
        results=became,
        notes=told,
        refusals=refusals,
    )


def _service(context: Context, name: str, entry: ComposeService) -> ServiceBuilder:
    keys = Keys(context.coverage, f"services.{name}", entry.keys)
    builder = ServiceBuilder(context, name, entry, keys)
    builder.container["name"] = context.objects[name]
    for key, handler in SERVICE_KEYS.items():
        if key not in keys:
            continue
        if key not in _MAY_BE_SEALED and _has_sealed(keys.get(key)):
            keys.refuse(
                key, "holds a secret, and Kubernetes stores this field in the clear", "pass the secret as a variable"
            )
            continue
        value = keys.get(key) if key == "restart" else keys.pop(key)
        try:
            handler.handler(builder, value)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as err:
            builder.refuse(key, f"cannot be read: {err}", "correct it in the compose file")
        if keys.path_of(key) not in context.coverage.recorded:
            builder.record(
                key, "see its parts" if context.coverage.covers(keys.path_of(key)) else "nothing: it is empty"
            )
    if entry.keys.get("image") is None and "build" not in entry.keys:
        builder.refuse("image", "is missing", "name the image to run")
    if entry.keys.get("restart") is None and not (entry.keys.get("deploy") or {}).get("restart_policy"):
        translate_restart_policy(builder, "restart", "no")
    keys.pop("restart")
    keys.refuse_remaining()
    if len(entry.containers) > 1 and builder.replicas != len(entry.containers):
        builder.note(
            f"{len(entry.containers)} containers ran, {builder.replicas} are declared; the declared number is used"
        )
    return builder


def _has_sealed(value: Any) -> bool:
    if is_sealed(value):
        return True
    if isinstance(value, dict):
        return any(_has_sealed(part) for part in value.values())
    return isinstance(value, list) and any(_has_sealed(part) for part in value)


def _check_names(context: Context) -> None:
    owners: dict[str, str] = {}
    for name, called in context.objects.items():
        if not is_label(called):
            context.coverage.refuse(f"services.{name}", f"{called} is not a valid Service name", "rename the service")
        if owners.setdefault(called, name) != name:
            context.coverage.refuse(
                f"services.{name}",
                f"would be named {called}, which {owners[called]} is already",
                "rename one of the two",
            )


def _check_bodies(context: Context, made: list[Body]) -> None:
    """Refuse two objects, or two volumes of a pod, that would have one name: one would take the other's place."""
    names = Counter((body["kind"], body["metadata"]["name"]) for body in made)
    for (kind, name), count in names.items():
        if count > 1:
            context.coverage.refuse(f"{kind}/{name}", f"{count} things would have this name", "rename one of them")
    for body in made:
        pod = body["spec"]["template"]["spec"] if body["kind"] == "Deployment" else {}
        for name, count in Counter(volume["name"] for volume in pod.get("volumes", ())).items():
            if count > 1:
                where = f"{body['metadata']['name']}: volume {name}"
                context.coverage.refuse(where, f"{count} volumes would have this name", "rename one of them")


def _check_ports(context: Context) -> None:
    owners: dict[int, Port] = {}
    for port in context.ports:
        first = owners.setdefault(port.host_port, port)
        if first != port:
            context.coverage.refuse(
                f"services.{port.service}.ports",
                f"port {port.host_port} of the server is also published by {first.service}",
                "publish one of them on another port",
            )
