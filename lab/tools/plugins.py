"""Pulumi's plugins: an official one where the machine has or can download it, else one built here.

A built plugin bears the version that the Python SDK asks for. So that it never serves another project of the user,
it goes into a Pulumi home of the project's own (`<cache>/pulumi-home/<hash>`), and so does whatever the built CLI
writes. The hash is over what the plugins are built from, so that no clone exchanges a plugin that another one runs.

Pulumi writes all that a command does into a compressed and encrypted log in its home. That takes a quarter of
a preview's processor time (docs/tools.md), there is no option against it, and where it cannot write it goes on
without: so the project's own home has a file in the place of the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from lab.tools import cache, official
from lab.tools.errors import ToolError
from lab.tools.manifest import Group, Program, programs
from lab.tools.progress import Progress

_PATIENCE = 120.0
"""Seconds that Pulumi may take to put a plugin in place."""

_OFFICIAL = "official"
_ORIGIN = "flowmaster-origin"
"""A file in a plugin's folder in the project's home: the key of the build it was installed from, or `official`."""


def project_home() -> Path:
    """Return the project's own Pulumi home: the same for every clone that builds the same plugins."""
    keys = "".join(cache.key(program) for program in _plugin_programs())
    return cache.cache_root() / "pulumi-home" / hashlib.sha256(keys.encode()).hexdigest()[:10]


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


def install(cli: Path, progress: Progress) -> None:
    """Put every missing plugin in place, from the user's home or from the cache.

    A published one goes to the user's home, where the CLI is the user's; everything else to the project's, which is
    then the home in use, and keeps no logs.

    Raises:
        ToolError: Pulumi refused the file.
    """
    for program in _plugin_programs() if official.pulumi().path else ():
        if official.plugin(program) is None and cache.is_official(program):
            _put(program, cli, official.user_home(), cache.official_folder(program), program.version)
            progress.say(f"plugin {program.plugin} {program.version} installed ({_OFFICIAL})")
    if not uses_project_home():
        return
    _keep_no_logs(project_home() / "logs")
    if not missing():
        return
    with cache.locked(project_home(), lambda: progress.at("plugins", "are installed by another run")):
        progress.done("plugins")
        for program in missing():
            found = official.plugin(program)
            version = str(official.plugin_version(found)) if found else program.version
            _put(program, cli, project_home(), found.parent if found else cache.folder(program), version)
            published = found or cache.is_official(program)
            origin = project_home() / "plugins" / f"resource-{program.plugin}-v{version}" / _ORIGIN
            origin.write_text((_OFFICIAL if published else cache.key(program)) + "\n")
            progress.say(f"plugin {program.plugin} {version} installed ({_OFFICIAL if published else 'built'})")


def _put(program: Program, cli: Path, home: Path, folder: Path, version: str) -> None:
    file = folder / program.builds[0].output
    command = ["plugin", "install", "resource", program.plugin, version, "--file", str(file), "--reinstall"]
    run = _pulumi(cli, command, home)
    if run.returncode != 0:
        said = (run.stderr or run.stdout).strip()[-300:]
        raise ToolError(f"plugin {program.plugin} {version} was not installed: {said}")


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


def _pulumi(cli: Path, arguments: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "1"}
    command = [str(cli), *arguments, "--non-interactive"]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_PATIENCE:.0f} s")
