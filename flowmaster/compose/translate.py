"""A compose project as objects of the cluster. Pure: the same source gives the same objects, whatever runs by now."""

from __future__ import annotations

from typing import Any

from config.compose import ComposeProject, ComposeService
from config.errors import ConfigError
from flowmaster.compose import bodies
from flowmaster.compose.context import Context, Work, is_sealed
from flowmaster.compose.coverage import Account, Keys
from flowmaster.compose.discovery import find_ports, names_of, peers
from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.result import Became, Image, Port, Refusal, Surroundings, Translation, Volume, finished
from flowmaster.compose.service.lifecycle import restarts
from flowmaster.compose.toplevel import toplevel
from flowmaster.compose.units import is_label
from flowmaster.compose.validation import well_formed

__all__ = ["Became", "Image", "Port", "Refusal", "Surroundings", "Translation", "Volume", "finished", "translate"]
_MAY_BE_SEALED = frozenset({"environment", "command", "entrypoint", "healthcheck", "labels", "annotations"})


def translate(project: str, settings: ComposeProject, surroundings: Surroundings) -> Translation:
    """What a project becomes.

    Every key of its source is among what it ``became``, or among the ``refusals``.

    :raises ConfigError: where the project was not read yet.
    """
    if settings.source is None:
        raise ConfigError(
            f"compose project {project} was not read yet",
            "there is nothing to say what is to run",
            f"flowmaster compose {project}",
        )
    account = Account()
    source = well_formed(settings.source, account)
    context = Context(project, settings, source, surroundings, account)
    toplevel(context)
    works = [_service(context, name, entry) for name, entry in source.services.items()]
    _check_names(context)
    known = peers(context)
    for work in works:
        find_ports(context, work)
    _check_ports(context)
    made = [*bodies.shared(context), *bodies.volumes(context)]
    made += [bodies.service(context, work) for work in works if work.service_ports]
    made += [bodies.deployment(context, work) for work in works]
    became, told, refusals = context.account.results()
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
        became=became,
        told=told,
        refusals=refusals,
    )


def _service(context: Context, name: str, entry: ComposeService) -> Work:
    keys = Keys(context.account, f"services.{name}", entry.keys)
    work = Work(context, name, entry, keys)
    work.container["name"] = context.objects[name]
    for key, handler in SERVICE_KEYS.items():
        if key not in keys:
            continue
        if key not in _MAY_BE_SEALED and _has_sealed(keys.peek(key)):
            keys.refuse(key, "has a secret in it, which Kubernetes cannot keep there", "make it a variable")
            continue
        value = keys.peek(key) if key == "restart" else keys.take(key)
        try:
            handler.handler(work, value)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as err:
            work.refuse(key, f"cannot be read: {err}", "correct it in the compose file")
        if keys.at(key) not in context.account.became:
            work.become(key, "see its parts" if context.account.knows(keys.at(key)) else "nothing: it is empty")
    if entry.keys.get("image") is None and "build" not in entry.keys:
        work.refuse("image", "there is none", "name the image that is to run")
    if entry.keys.get("restart") is None and not (entry.keys.get("deploy") or {}).get("restart_policy"):
        restarts(work, "restart", "no")
    keys.take("restart")
    keys.close()
    if len(entry.containers) > 1 and work.replicas != len(entry.containers):
        work.tell(f"{len(entry.containers)} containers of it ran, and {work.replicas} are declared: these are made")
    return work


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
            context.account.refuse(f"services.{name}", f"{called} is no name of a Service", "rename the service")
        if owners.setdefault(called, name) != name:
            context.account.refuse(
                f"services.{name}", f"would be called {called}, as {owners[called]} is", "rename one of the two"
            )


def _check_ports(context: Context) -> None:
    owners: dict[tuple[int, str], Port] = {}
    for port in context.ports:
        first = owners.setdefault((port.host_port, port.host_ip), port)
        if first != port:
            context.account.refuse(
                f"services.{port.service}.ports",
                f"port {port.host_port} of the server is {first.service}'s, too",
                "give one of them another port",
            )
