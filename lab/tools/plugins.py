"""Pulumi's plugins: an official one where the machine has or can download it, else one built here.

A built plugin bears the version that the Python SDK asks for. So that it never serves another project of the user,
it goes into a Pulumi home of the project's own (`<cache>/pulumi-home`), and so does whatever the built CLI writes.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.tools import cache, official
from lab.tools.errors import ToolError
from lab.tools.manifest import Group, Program, programs
from lab.tools.progress import Progress

DOWNLOAD_TIMEOUT = 90.0
"""Seconds that a download may take before the plugin is built instead; without a network it fails at once."""

_ORIGIN = "flowmaster-origin"
"""A file in a plugin's folder in the project's home: the key of the build it was installed from, or `official`."""


def project_home() -> Path:
    """Return the project's own Pulumi home."""
    return cache.cache_root() / "pulumi-home"


def uses_project_home() -> bool:
    """Whether Pulumi must run with the project's home: the CLI is built here, or one of its plugins is."""
    if official.pulumi().path is None:
        return True
    return any(official.plugin(program) is None for program in _plugin_programs())


def missing() -> tuple[Program, ...]:
    """Return the plugins that the home in use lacks."""
    if not uses_project_home():
        return ()
    return tuple(program for program in _plugin_programs() if not _in_project_home(program))


def to_build(cli: Path | None, progress: Progress) -> tuple[Program, ...]:
    """Return those missing plugins that neither lie in the cache nor can be had otherwise.

    CLI is the pulumi to download with; with None nothing is downloaded.
    """
    return tuple(
        program
        for program in missing()
        if not cache.is_built(program)
        and official.plugin(program) is None
        and not (cli is not None and _download(program, cli, progress))
    )


def install(cli: Path, progress: Progress) -> None:
    """Put every missing plugin into the project's home, from the user's home or from the cache.

    Raises:
        ToolError: Pulumi refused the file.
    """
    if not missing():
        return
    with cache.locked(project_home(), lambda: progress.say("another run is installing plugins, waiting")):
        for program in missing():
            found = official.plugin(program)
            binary = found or cache.folder(program) / program.builds[0].output
            command = ["plugin", "install", "resource", program.plugin, program.version, "--file", str(binary)]
            run = _pulumi(cli, [*command, "--reinstall"], project_home(), 120)
            if run.returncode != 0:
                said = (run.stderr or run.stdout).strip()[-300:]
                raise ToolError(f"plugin {program.plugin} {program.version} was not installed: {said}")
            origin = "official" if found else cache.key(program)
            (_place(program) / _ORIGIN).write_text(origin + "\n")
            progress.say(f"plugin {program.plugin} {program.version} installed ({'official' if found else 'built'})")


def _plugin_programs() -> tuple[Program, ...]:
    return tuple(program for program in programs((Group.PULUMI,)) if program.plugin)


def _place(program: Program) -> Path:
    return project_home() / "plugins" / f"resource-{program.plugin}-v{program.version}"


def _in_project_home(program: Program) -> bool:
    place = _place(program)
    if not (place / f"pulumi-resource-{program.plugin}").is_file():
        return False
    try:
        origin = (place / _ORIGIN).read_text().strip()
    except FileNotFoundError:
        return False
    return origin in ("official", cache.key(program))


def _download(program: Program, cli: Path, progress: Progress) -> bool:
    """Try to download the official plugin into the home in use; whether that worked."""
    official_cli = official.pulumi().path is not None
    home = official.user_home() if official_cli else project_home()
    progress.at(program.name, "trying to download the official plugin")
    command = ["plugin", "install", "resource", program.plugin, program.version]
    run = _pulumi(cli, command, home, DOWNLOAD_TIMEOUT)
    progress.done(program.name)
    if run.returncode != 0:
        progress.say(f"{program.name} {program.version} cannot be downloaded here: it is built")
        return False
    if not official_cli:
        (_place(program) / _ORIGIN).write_text("official\n")
    progress.say(f"plugin {program.plugin} {program.version} installed (official, downloaded)")
    return True


def _pulumi(cli: Path, arguments: list[str], home: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "1"}
    command = [str(cli), *arguments, "--non-interactive"]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {timeout:.0f} s")
