"""`flowmaster compose`: translates a Docker Compose project into Kubernetes objects. Only reads the server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowmaster.report.progress import progress

if TYPE_CHECKING:
    from config.compose import ComposeProject, ComposeSource
    from config.settings import Settings
    from flowmaster.compose.result import Translation
    from flowmaster.host.access import Access

EPILOG = """\
exit codes:
  0  written down (or nothing to do: it is already)
  1  refused, with the reason; nothing was written
"""
Json = dict[str, Any]
_MEBIBYTE = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("project", help="the project's name, as docker compose has it")
    parser.add_argument(
        "--folder", metavar="PATH", help="its folder on the server, where the stack does not have it yet"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what becomes of what; write nothing")
    parser.add_argument("--all", action="store_true", help="show every key, also those that mean nothing to a cluster")


def run(options: argparse.Namespace) -> int:
    """Read and translate a project, show the result, then write it; returns the exit code."""
    from config import load
    from flowmaster.cluster.connection import connect
    from flowmaster.cluster.external_services import external_hosts
    from flowmaster.compose.target import target_of
    from flowmaster.compose.translate import translate
    from flowmaster.drift.preflight import check_identity
    from flowmaster.host.access import access
    from flowmaster.migrate import record

    settings = load.from_file(options.stack)
    project = _project(settings, options.project, options.folder)
    _check_phase(options.project, project)
    with connect(settings.stack.cluster) as api, progress("reading the server") as say:
        check_identity(settings, api)
        hosts = external_hosts(api, settings)
        say(f"reading project {options.project}")
        read = _read(access(settings.stack.host), options.project, project.folder)
    target = target_of(settings, hosts, str(read.get("node_address") or ""))
    source, secrets, differences = _source(read, target)
    translation = translate(options.project, _with(project, source, secrets), target)
    _show(translation, source, differences, everything=options.all)
    _refuse(options.project, translation)
    if options.dry_run:
        print("\nnothing was written (--dry-run)")
        return 0
    if record.is_written(project, source, secrets):
        print("\nnothing to do: the stack says all of this already")
        return 0
    with progress("writing") as say:
        path = record.write_source(options.stack, options.project, project.folder, source, secrets, load.ROOT, say)
    print(f"\nwritten: {path}")
    print(f"next:    set flowmaster:compose.{options.project}.phase to shadow, then `pulumi preview`")
    return 0


def _read(access: Access, name: str, folder: str) -> Json:
    from flowmaster.host.docker import read_project

    return read_project(access, name, folder)


def _project(settings: Settings, name: str, folder: str | None) -> ComposeProject:
    from config.compose import ComposeProject
    from config.errors import ConfigError, closest
    from config.load import validate

    known = settings.stack.compose
    if name in known:
        return known[name]
    if folder is None:
        raise ConfigError(
            f"the stack has no compose project {name!r}{closest(name, known)}",
            f"known: {', '.join(known) or 'none'}",
            f"say where its compose file is on the server: flowmaster compose {name} --folder /opt/{name}",
        )
    return validate(ComposeProject, {"folder": folder}, f"compose.{name}")


def _check_phase(name: str, project: ComposeProject) -> None:
    from config.compose import Phase
    from config.errors import ConfigError

    if project.phase in (Phase.CLUSTER, Phase.RETIRED):
        raise ConfigError(
            f"compose project {name} is in phase {project.phase}: its containers are stopped or gone",
            "what runs cannot be read of them, and the cluster's copy is made of what was read before",
            "go back to phase shadow first, if its compose file is to be taken over anew",
        )


def _source(read: Mapping[str, Any], target: Any) -> tuple[ComposeSource, dict[str, str], tuple[str, ...]]:
    from flowmaster.compose.source import read_source

    return read_source(
        read["config"], read["containers"], read["volumes"], read["files"], read.get("images"), target=target
    )


def _with(project: ComposeProject, source: ComposeSource, secrets: Mapping[str, str]) -> ComposeProject:
    from pydantic import SecretStr

    sealed = {key: SecretStr(value) for key, value in secrets.items()}
    return project.model_copy(update={"source": source, "sealed": sealed})


def _refuse(name: str, translation: Translation) -> None:
    from config.errors import ConfigError

    if not translation.refusals:
        return
    first, *others = translation.refusals
    more = f" (and {len(others)} more, see above)" if others else ""
    raise ConfigError(f"{name}: {first.key} {first.reason}{more}", "nothing was written", first.remedy)


def _show(translation: Translation, source: ComposeSource, differences: tuple[str, ...], everything: bool) -> None:
    from flowmaster.report import screen

    out = screen.console(sys.stdout)
    heads: list[screen.Cell] = [[("in the compose file", "bold")], [("in the cluster", "bold")]]
    shown = [entry for entry in translation.results if everything or not entry.what.startswith("nothing")]
    rows: list[list[screen.Cell]] = [[[(entry.key, "")], [(entry.what, "")]] for entry in shown]
    screen.show(out, [screen.table([heads, *rows])])
    hidden = len(translation.results) - len(shown)
    if hidden:
        screen.show(out, [screen.text(f"and {hidden} keys that mean nothing to a cluster (--all)")])
    sections: list[tuple[str, list[str]]] = [
        ("images, which go into the cluster's registry", [f"{n}: {i.docker}" for n, i in translation.images.items()]),
        ("data, which is copied", _lines_of_volumes(translation, source)),
        (
            "ports of the server, which nginx serves",
            [f"{p.host_port}: {p.service}, port {p.container_port}" for p in translation.ports],
        ),
        ("what runs differs from the file", list(differences)),
        ("what will be different", list(translation.notes)),
        ("refused", [str(refusal) for refusal in translation.refusals]),
    ]
    for title, lines in sections:
        if lines:
            screen.show(out, ["", screen.text(title, "bold"), *(screen.text(f"  {line}") for line in lines)])


def _lines_of_volumes(translation: Translation, source: ComposeSource) -> list[str]:
    sizes = {volume.path: volume.bytes for volume in source.volumes.values()}
    lines = []
    for volume in translation.volumes:
        size = sizes.get(volume.source_path)
        known = f" ({size / _MEBIBYTE:.1f} MB)" if size is not None else ""
        lines.append(
            f"{volume.source_path}{known} to {volume.target_path or volume.claim}, for {', '.join(volume.services)}"
        )
    return lines
