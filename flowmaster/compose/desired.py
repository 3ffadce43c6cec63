"""Compose projects as the stack declares them, translated for comparison, creation and transfer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.compose import ComposeProject, Phase
from config.errors import ConfigError
from config.settings import Settings
from flowmaster.compose.result import Body, Translation, final_bodies
from flowmaster.compose.target import target_of
from flowmaster.compose.transfer import Transfer, transfer_of
from flowmaster.compose.translate import translate
from flowmaster.host.policy import may_write

_NAMED = 3
CLUSTER_SCOPED_KINDS = ("PersistentVolume",)
"""Kinds outside the namespace. They are created, but not compared for drift."""


@dataclass(frozen=True, kw_only=True)
class DesiredProject:
    """A compose project that has a source."""

    name: str
    settings: ComposeProject
    translation: Translation
    transfer: Transfer

    @property
    def phase(self) -> Phase:
        """The desired phase."""
        return self.settings.phase

    @property
    def in_cluster(self) -> bool:
        """Whether any of its objects belong in the cluster."""
        return self.phase is not Phase.DOCKER

    def bodies(self, addresses: Mapping[str, str], digests: Mapping[str, str]) -> list[Body]:
        """Return the desired objects in the namespace; `addresses` are ClusterIPs, `digests` those of pushed images."""
        if not self.in_cluster:
            return []
        return [
            dict(b) for b in final_bodies(self.translation, addresses, digests) if b["kind"] not in CLUSTER_SCOPED_KINDS
        ]


def desired_projects(settings: Settings) -> dict[str, DesiredProject]:
    """Return all projects that have a source, by name.

    :raises ConfigError: if a project cannot be in its desired phase.
    """
    found = {
        name: _desired_project(settings, name, project)
        for name, project in settings.stack.compose.items()
        if project.source is not None
    }
    _check_apart(settings, [project for project in found.values() if project.in_cluster])
    return found


def _desired_project(settings: Settings, name: str, project: ComposeProject) -> DesiredProject:
    translation = translate(name, project, target_of(settings))
    if translation.refusals and project.phase is not Phase.DOCKER:
        first, *others = translation.refusals
        more = f" (and {len(others)} more: {', '.join(r.key for r in others[:_NAMED])})" if others else ""
        raise ConfigError(
            f"compose.{name}: {first.key} {first.reason}{more}",
            "the project cannot move into the cluster",
            first.remedy,
        )
    found = DesiredProject(
        name=name, settings=project, translation=translation, transfer=transfer_of(translation, project)
    )
    if found.in_cluster:
        _check_names(settings, found)
        _check_volumes(found)
        _check_ports(settings, found)
    return found


def _check_names(settings: Settings, desired: DesiredProject) -> None:
    taken = {*settings.services, *settings.catalogue.external_services, *settings.catalogue.raw_services}
    for service, name in desired.transfer.objects.items():
        if name in taken:
            raise ConfigError(
                f"compose.{desired.name}: its service {service} would be named {name}, which the stack already has",
                "Service names are unique in a namespace",
                "rename one of the two",
            )


def _check_apart(settings: Settings, projects: Iterable[DesiredProject]) -> None:
    """Refuse names that two projects, or a project and the stack, would share: one would take the other's place."""
    catalogue = settings.catalogue
    owners = {
        **{("ConfigMap", name): "the catalogue" for name in catalogue.config_maps},
        **{("Secret", name): "the catalogue" for name in catalogue.secrets},
        **{
            ("site", name): "reverseProxy"
            for name in (settings.stack.reverse_proxy.sites if settings.stack.reverse_proxy else ())
        },
    }
    for project in projects:
        own = {("site", project.transfer.site)}
        own |= {(str(body["kind"]), str(body["metadata"]["name"])) for body in project.translation.bodies}
        for kind, name in sorted(own):
            other = owners.setdefault((kind, name), f"compose.{project.name}")
            if other != f"compose.{project.name}":
                raise ConfigError(
                    f"compose.{project.name}: its {kind} {name} would be that of {other}",
                    "one of the two would take the other's place",
                    "rename the project, or what it is in the stack",
                )


def _check_volumes(desired: DesiredProject) -> None:
    """Refuse volumes that could be copied into the cluster but not back."""
    moved = desired.transfer
    for entry in moved.copied:
        for path in (entry.docker, entry.cluster):
            if not may_write(moved.project, moved.folder, path):
                raise ConfigError(
                    f"compose.{moved.project}: the volume {entry.name} lies at {path}, which is outside the project",
                    "it could be copied from there, but not back",
                    f"keep it in {moved.folder}, or in a volume of the compose file without `name`",
                )


def _check_ports(settings: Settings, desired: DesiredProject) -> None:
    """Refuse shadow ports, where nginx listens while docker holds the real ones, that are taken."""
    own = {port.port for port in desired.transfer.ports}
    for port in desired.transfer.ports:
        owner = settings.stack.host.ports.get(port.shadow_port)
        if owner or port.shadow_port in own:
            raise ConfigError(
                f"compose.{desired.name}: port {port.shadow_port} of the host is taken by "
                f"{owner or 'the project itself'}",
                f"nginx would listen there while docker holds {port.port}",
                "publish the service on another port",
            )
