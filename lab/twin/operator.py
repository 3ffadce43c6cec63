"""The operator's side of a twin: the stack's state, its passphrase's salt, and configuration that may be changed.

Pulumi writes into a stack's file (the salt of its passphrase, secrets), and `flowmaster adopt` writes down what runs.
What is true of a twin must not get into the project's own files, so a twin has copies of them. They follow the
project's files for as long as nobody changed the copies.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.twin.errors import TwinError
from lab.twin.layout import Layout
from lab.twin.patience import factor

ROOT = Path(__file__).resolve().parents[2]
STACK = "demo"
_SALT = "encryptionsalt:"
_CLUSTER = "  flowmaster:cluster:\n"
_LIMITS = {"requestTimeout": 10, "rolloutTimeout": 120}
"""Seconds that are the defaults of `flowmaster:cluster`."""


def variables(layout: Layout, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make Pulumi and the program use the twin's copies; makes what is missing.

    :raises TwinError: where Pulumi cannot make the stack.
    """
    folder = _folder(layout)
    folder.mkdir(parents=True, exist_ok=True)
    layout.pulumi.mkdir(parents=True, exist_ok=True)
    catalogue, stack = Path("config/catalogue.yaml"), folder / f"Pulumi.{STACK}.yaml"
    _follow((ROOT / catalogue).read_text(), folder / catalogue.name)
    _follow(_settings(_salt(folder, environment)), stack)
    return {
        "PULUMI_STACK": STACK,
        "PULUMI_OPTION_CONFIG_FILE": str(stack),
        "FLOWMASTER_CATALOGUE": str(folder / "catalogue.yaml"),
    }


def forget(layout: Layout) -> None:
    """As if nobody had ever worked on the server: no state, and the project's configuration as it is."""
    shutil.rmtree(_folder(layout), ignore_errors=True)
    shutil.rmtree(layout.pulumi, ignore_errors=True)


def _folder(layout: Layout) -> Path:
    return layout.state / "stack"


def _salt(folder: Path, environment: Mapping[str, str]) -> str:
    """The line with the salt, of a stack made at the first call."""
    kept = folder / "salt"
    if not kept.exists():
        scratch = folder / "init"
        scratch.mkdir(exist_ok=True)
        shutil.copy(ROOT / "Pulumi.yaml", scratch / "Pulumi.yaml")
        command = ["pulumi", "stack", "init", STACK, "--non-interactive"]
        made = subprocess.run(
            command, cwd=scratch, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise TwinError(f"pulumi cannot make the stack {STACK}: {' '.join(made.stderr.split())}")
        lines = (scratch / f"Pulumi.{STACK}.yaml").read_text().splitlines(keepends=True)
        kept.write_text("".join(line for line in lines if line.startswith(_SALT)))
        shutil.rmtree(scratch)
    return kept.read_text()


def _settings(salt: str) -> str:
    """The stack's file with the twin's salt: the original's belongs to a passphrase that is not the twin's.

    On a machine that is slower (FLOWMASTER_PATIENCE) with time limits that are as much longer.
    """
    lines = (ROOT / f"Pulumi.{STACK}.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(_SALT))
    if (slower := factor()) > 1:
        limits = "".join(f"    {name}: {int(seconds * slower)}\n" for name, seconds in _LIMITS.items())
        text = text.replace(_CLUSTER, _CLUSTER + limits, 1)
    return text + salt


def _follow(original: str, copy: Path) -> None:
    """Make the copy anew where the original changed, unless somebody changed the copy."""
    seed = copy.with_name(f"{copy.name}.seed")
    if copy.exists() and (not seed.exists() or copy.read_text() != seed.read_text()):
        return
    if not copy.exists() or copy.read_text() != original:
        copy.write_text(original)
        seed.write_text(original)
