"""Pulumi's plugins: an official one where the machine has or can download it, else one built here.

A built plugin bears the version that the Python SDK asks for. So that it never serves another project of the user,
it goes into a Pulumi home of the project's own (`<cache>/pulumi-home`), and so does whatever the built CLI writes.

Pulumi 3.259.0 writes all that a command does into a compressed and encrypted log in its home. That takes a quarter of
a preview's processor time (docs/tools.md), there is no option against it, and where it cannot write it goes on
without: so the project's own home has a file in the place of the folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab.tools import cache, official
from lab.tools.errors import ToolError
from lab.tools.manifest import Group, Program, programs
from lab.tools.progress import Progress

DOWNLOAD_TIMEOUT = 90.0
"""Seconds that a download may take before the plugin is built instead; without a network it fails at once."""

_OFFICIAL = "official"
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
    """Put every missing plugin into the project's home, from the user's home or from the cache; no logs go there.

    Raises:
        ToolError: Pulumi refused the file.
    """
    if uses_project_home():
        _keep_no_logs(project_home() / "logs")
    if not missing():
        return
    with cache.locked(project_home(), lambda: progress.say("another run is installing plugins, waiting")):
        for program in missing():
            found = official.plugin(program)
            binary = found or cache.folder(program) / program.builds[0].output
            version = str(official.plugin_version(found)) if found else program.version
            command = ["plugin", "install", "resource", program.plugin, version, "--file", str(binary), "--reinstall"]
            run = _pulumi(cli, command, project_home(), 120)
            if run.returncode != 0:
                said = (run.stderr or run.stdout).strip()[-300:]
                raise ToolError(f"plugin {program.plugin} {version} was not installed: {said}")
            _mark(program, version, _OFFICIAL if found else cache.key(program))
            progress.say(f"plugin {program.plugin} {version} installed ({_OFFICIAL if found else 'built'})")


def _keep_no_logs(logs: Path) -> None:
    if logs.is_dir():
        shutil.rmtree(logs, ignore_errors=True)
    if not logs.exists():
        logs.parent.mkdir(parents=True, exist_ok=True)
        logs.write_text("Pulumi's logs are not kept in this home: docs/tools.md\n")


def _plugin_programs() -> tuple[Program, ...]:
    return tuple(program for program in programs((Group.PULUMI,)) if program.plugin)


def _in_project_home(program: Program) -> bool:
    installed = official.plugin(program, project_home())
    if installed is None:
        return False
    try:
        origin = (installed.parent / _ORIGIN).read_text().strip()
    except FileNotFoundError:
        return False
    return origin == _OFFICIAL or (origin == cache.key(program) and official.plugin(program) is None)


def _mark(program: Program, version: str, origin: str) -> None:
    place = project_home() / "plugins" / f"resource-{program.plugin}-v{version}"
    (place / _ORIGIN).write_text(origin + "\n")


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
        _mark(program, program.version, _OFFICIAL)
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
