"""Where the tools are, for the rest of the lab and for a shell."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.tools import cache, official, plugins
from lab.tools.errors import ToolError
from lab.tools.manifest import DEFAULT_GROUPS, PROGRAMS, Group, Program, program_of

PROJECT = Path(__file__).resolve().parents[2]


def binary(name: str) -> Path:
    """Return the path of a program: the official `pulumi` and plugins where there are any, else the built ones.

    Raises:
        ToolError: no tool has that name, or it is not built yet.
    """
    program = program_of(name)
    found = _official(program, name)
    if found is not None:
        return found
    path = cache.folder(program) / name
    if not path.exists():
        group = "" if program.group in DEFAULT_GROUPS else f" --group {program.group}"
        remedy = f"uv run python -m lab.tools ensure{group}" if group else "lab/bootstrap"
        raise ToolError(f"{name} {program.version} is not built yet: run `{remedy}`")
    return path


def _official(program: Program, name: str) -> Path | None:
    if program.plugin:
        return official.plugin(program)
    if program.name == "docker-compose":
        return official.compose()
    if program.name != "pulumi":
        return None
    cli = official.pulumi().path
    if cli is None or name == "pulumi":
        return cli
    return next((place / name for place in (cli.resolve().parent, cli.parent) if (place / name).exists()), None)


def environment() -> dict[str, str]:
    """Return the variables with which `pulumi`, `kubectl` and the rest are this project's.

    The project's `.venv/bin` comes before the user's PATH because the built language host, unlike an official one,
    ignores the toolchain that Pulumi.yaml names and takes the first `python3` on PATH. A uv that the bootstrap had to
    install is on it too.

    Raises:
        ToolError: Pulumi is not there yet.
    """
    cli = binary("pulumi")
    folders = [str(cli.parent)] if cli.is_relative_to(cache.cache_root()) else []
    folders += [
        str(cache.folder(program))
        for program in PROGRAMS
        if program.name != "pulumi" and not program.plugin and cache.is_there(program)
    ]
    folders.append(str(PROJECT / ".venv" / "bin"))
    if shutil.which("uv") is None:
        folders += [str(uv.parent) for uv in sorted((cache.cache_root() / "uv").glob("[0-9]*/bin/uv"))[-1:]]
    rest = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry and entry not in folders]
    variables = {
        "PATH": os.pathsep.join([*folders, *rest]),
        "PULUMI_SKIP_CHECKPOINTS": os.environ.get("PULUMI_SKIP_CHECKPOINTS", "true"),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    if plugins.uses_project_home():
        variables["PULUMI_HOME"] = str(plugins.project_home())
    return variables


def wanted(groups: tuple[Group, ...]) -> tuple[Program, ...]:
    """Return the programs of GROUPS that must come out of the cache; those that are official here, and plugins, not."""
    return tuple(
        program
        for program in PROGRAMS
        if program.group in groups and not program.plugin and _official(program, program.name) is None
    )
