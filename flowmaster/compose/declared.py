"""The compose projects of a stack as it declares them: translated, and ready to be compared, made or moved. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.compose import ComposeProject, Phase
from config.errors import ConfigError
from config.settings import Settings
from flowmaster.compose.result import Body, Translation, finished
from flowmaster.compose.target import surroundings
from flowmaster.compose.transfer import Moved, moved
from flowmaster.compose.translate import translate
from flowmaster.host.policy import may_write

_NAMED = 3
NODE = ("PersistentVolume",)
"""Kinds that belong to the node, not to the namespace: made with the rest, but not looked at for drift."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A project that was read."""

    name: str
    settings: ComposeProject
    translation: Translation
    moved: Moved

    @property
    def phase(self) -> Phase:
        """Where it is to be."""
        return self.settings.phase

    @property
    def in_cluster(self) -> bool:
        """Whether anything of it is in the cluster."""
        return self.phase is not Phase.DOCKER

    def bodies(self, addresses: Mapping[str, str], digests: Mapping[str, str]) -> list[Body]:
        """What drift compares with; `addresses` are ClusterIPs by service, `digests` what a push told, by service."""
        if not self.in_cluster:
            return []
        return [dict(b) for b in finished(self.translation, addresses, digests) if b["kind"] not in NODE]


def projects(settings: Settings) -> dict[str, Declared]:
    """All projects that were read, by name.

    :raises ConfigError: where one is to be in the cluster that cannot be.
    """
    return {
        name: _declared(settings, name, project)
        for name, project in settings.stack.compose.items()
        if project.source is not None
    }


def _declared(settings: Settings, name: str, project: ComposeProject) -> Declared:
    translation = translate(name, project, surroundings(settings))
    if translation.refusals and project.phase is not Phase.DOCKER:
        first, *others = translation.refusals
        more = f" (and {len(others)} more: {', '.join(r.key for r in others[:_NAMED])})" if others else ""
        raise ConfigError(f"compose.{name}: {first.key} {first.reason}{more}", "nothing of it is made", first.remedy)
    found = Declared(name=name, settings=project, translation=translation, moved=moved(translation, project))
    if found.in_cluster:
        _check_names(settings, found)
        _check_volumes(found)
        _check_ports(settings, found)
    return found


def _check_names(settings: Settings, declared: Declared) -> None:
    taken = {*settings.services, *settings.catalogue.external_services, *settings.catalogue.raw_services}
    for service, name in declared.moved.objects.items():
        if name in taken:
            raise ConfigError(
                f"compose.{declared.name}: its service {service} would be called {name}, as a service of the stack is",
                "there can be only one Service of a name",
                "rename one of the two",
            )


def _check_volumes(declared: Declared) -> None:
    """What goes into the cluster has to be able to come back."""
    moved = declared.moved
    for entry in moved.copied:
        for path in (entry.docker, entry.cluster):
            if not may_write(moved.project, moved.folder, path):
                raise ConfigError(
                    f"compose.{moved.project}: the volume {entry.name} lies at {path}, which is not the project's own",
                    "it could be copied from there, but not back",
                    f"keep it in {moved.folder}, or in a volume of the compose file without a name of its own",
                )


def _check_ports(settings: Settings, declared: Declared) -> None:
    """nginx listens beside the ports while docker has them: nobody else may."""
    own = {port.port for port in declared.moved.ports}
    for port in declared.moved.ports:
        owner = settings.stack.host.ports.get(port.beside)
        if owner or port.beside in own:
            raise ConfigError(
                f"compose.{declared.name}: port {port.beside} of the host is taken by {owner or 'the project itself'}",
                f"nginx would listen there while docker holds {port.port}",
                "publish the service on another port",
            )
