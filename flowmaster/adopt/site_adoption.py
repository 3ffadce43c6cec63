"""Adopts sites of nginx: which ones, what they are declared as, and the files that are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.reverse_proxy import Recorded
from config.settings import Settings
from config.site_files import decoded
from flowmaster.adopt import nginx_record, sites, write
from flowmaster.adopt.provable import Options
from flowmaster.adopt.site_directives import LEAVE, AdoptedSite, SiteAdoptionError
from flowmaster.adopt.write import Draft
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.drift import host as host_source
from flowmaster.host import nginx
from flowmaster.host.access import access
from flowmaster.host.nginx import HostState


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The sites of nginx in an adoption."""

    sites: Mapping[str, AdoptedSite] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Those that are left as they are although they are declared or were asked for, with why."""
    left: Sequence[tuple[str, str]] = ()
    """The files of other enabled sites, each with what it serves."""
    recorded: Recorded | None = None
    """What the sites inherit from other files of nginx."""


NONE = Sites()


def prepare(
    settings: Settings, live: LiveState, host: host_source.HostSource, options: Options, masker: Masker
) -> Sites:
    """Describe the sites of the stack that the server has, and further ones that were asked for. Writes nothing.

    :raises SiteAdoptionError: where there is no site that was asked for; with `strict`, where one cannot be adopted.
    :raises HostError: where the server cannot be read over SSH.
    """
    wanted = sites.wanted_of(settings, options.sites, _of_projects(host), typed=options.typed)
    return _described(wanted, settings, live, host.state(), masker, strict=options.strict)


def prepare_further(settings: Settings, live: LiveState, options: Options) -> Sites:
    """Describe sites that were asked for, to be added to an adopted stack. Writes nothing.

    :raises SiteAdoptionError: where there is none of that name, or one cannot be adopted.
    :raises HostError: where the server cannot be read over SSH.
    """
    host = host_source.start_reading(settings, ask=False, always=True)
    assert host is not None, "it is read always"  # noqa: S101
    wanted = sites.wanted_of(settings, options.sites, _of_projects(host), typed=options.typed)
    masker = Masker(body for _, body in live.of("Secret"))
    added = replace(wanted, declared={}, beside=wanted.declared)
    return _described(added, settings, live, host.state(), masker, strict=True)


def _of_projects(host: host_source.HostSource) -> set[str]:
    return {project.transfer.site for project in host.projects.values()}


def _described(
    wanted: sites.Wanted, settings: Settings, live: LiveState, state: HostState, masker: Masker, *, strict: bool
) -> Sites:
    if not wanted.declared and not wanted.further:
        return NONE
    if wanted.further:
        # read once more with their names: whether an update writes there is known only then
        state = nginx.read(access(settings.stack.host), wanted.names(state))
    adopted, refused = sites.sites(wanted, state, host_source.addresses(settings, live), masker)
    if strict and refused:
        name, why = next(iter(refused.items()))
        raise SiteAdoptionError(f"site {name} cannot be adopted: {why}", "nothing was written", LEAVE)
    own = {*wanted.declared, *wanted.beside, *adopted} - refused.keys()
    recorded = nginx_record.of(state, own | wanted.reserved) if own else None
    return Sites(
        sites=adopted,
        refused=refused,
        left=sites.unadopted(own | wanted.reserved | refused.keys(), state),
        recorded=recorded,
    )


def drafts(adopted: Mapping[str, AdoptedSite], folder: Path) -> list[Draft]:
    """Return the templates that change, in the folder of the stack's file."""
    found = []
    for site in adopted.values():
        if site.template is None:
            continue
        path = folder / str(site.data["template"])
        before = decoded(path.read_bytes()) if path.exists() else ""
        if before != site.template:
            found.append(Draft(path=path, before=before, after=site.template))
    return found


def added_drafts(added: Sites, stack_file: Path) -> list[Draft]:
    """Return the files for sites that are added to an adopted stack: its own file, and the templates."""
    original = stack_file.read_text(encoding="utf-8")
    data = {name: site.data for name, site in added.sites.items()}
    text = write.with_sites(original, data, (), added.recorded)
    return [*drafts(added.sites, stack_file.parent), Draft(path=stack_file, before=original, after=text)]
