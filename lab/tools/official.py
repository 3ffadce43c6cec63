"""What the machine already has, of Pulumi's own or of its distribution: it is always preferred to building.

A suitable `pulumi` on PATH is one of the manifest's major version, not older than `PULUMI_OLDEST`, with an official
`pulumi-language-python` in the same folder. A suitable plugin has the wanted major version and is not older.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.tools.cache import cache_root
from lab.tools.errors import ToolError
from lab.tools.manifest import COMPOSE_OLDEST, PULUMI, PULUMI_OLDEST, Program
from lab.tools.versions import Version


@dataclass(frozen=True)
class Found:
    """The official CLI of this machine, or why the one that was found does not serve (`path` is None)."""

    path: Path | None
    version: str = ""
    refusal: str = ""


def pulumi() -> Found:
    """Look for an official CLI on PATH; the project's own builds there do not count."""
    path = shutil.which("pulumi", path=_foreign_path())
    return Found(None) if path is None else _judge(path)


@cache
def _judge(path: str) -> Found:
    remedy = f"install Pulumi {PULUMI} (https://www.pulumi.com/docs/install) to have the official one used"
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        run = subprocess.run([path, "version"], env=environment, capture_output=True, text=True, timeout=20, check=True)
        version = Version.find(run.stdout)
    except (OSError, subprocess.SubprocessError, ToolError) as err:
        return Found(None, refusal=f"`{path} version` does not answer ({type(err).__name__}); {remedy}")
    wanted, oldest = Version.find(PULUMI), Version.find(PULUMI_OLDEST)
    if version < oldest:
        return Found(None, str(version), f"{path} is {version}, older than {oldest}; {remedy}")
    if version.major != wanted.major:
        return Found(None, str(version), f"{path} is {version}, but the project needs {wanted.major}.x; {remedy}")
    real = Path(path).resolve()
    if not any((place / "pulumi-language-python").exists() for place in (real.parent, Path(path).parent)):
        return Found(None, str(version), f"{path} has no pulumi-language-python beside it; {remedy}")
    return Found(Path(path), str(version))


COMPOSE_PLACES = tuple(
    Path(place) / "docker/cli-plugins/docker-compose"
    for place in ("/usr/libexec", "/usr/lib", "/usr/local/libexec", "/usr/local/lib")
)
"""Where Docker looks for its plugins: a distribution's packages, and Docker's own, put Compose there."""


@cache
def compose() -> Path | None:
    """Return the machine's own Docker Compose, where that is new enough."""
    for path in COMPOSE_PLACES:
        if not path.exists():
            continue
        try:
            command = [str(path), "version", "--short"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
            if Version.find(run.stdout) >= Version.find(COMPOSE_OLDEST):
                return path
        except (OSError, subprocess.SubprocessError, ToolError):
            continue
    return None


def _foreign_path() -> str:
    """Return PATH without the folders of the project's cache, which `lab/lab env` puts there."""
    own = cache_root()
    entries = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry and not Path(entry).is_relative_to(own))


def user_home() -> Path:
    """Return the user's Pulumi home, which is PULUMI_HOME or ~/.pulumi, but never the project's."""
    home = os.environ.get("PULUMI_HOME")
    if home and not Path(home).is_relative_to(cache_root()):
        return Path(home)
    return Path.home() / ".pulumi"


def plugin(program: Program, home: Path | None = None) -> Path | None:
    """Return the binary of the newest suitable official plugin in HOME (default: the user's), if there is one."""
    wanted = Version.find(program.version)
    best: tuple[Version, Path] | None = None
    for place in ((home or user_home()) / "plugins").glob(f"resource-{program.plugin}-v*"):
        binary = place / f"pulumi-resource-{program.plugin}"
        # Pulumi marks an installation under way, or broken off, by a .partial file beside the folder.
        if not binary.is_file() or place.with_name(place.name + ".partial").exists():
            continue
        version = plugin_version(binary)
        if version.serves(wanted) and not version.pre and (best is None or version > best[0]):
            best = (version, binary)
    return best[1] if best else None


def plugin_version(binary: Path) -> Version:
    """Return the version that the name of an installed plugin's folder (`resource-kubernetes-v4.25.0`) tells."""
    return Version.find(binary.parent.name.rpartition("-v")[2])
