"""Writing configuration files: whole or not at all, secrets encrypted by Pulumi."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from config.errors import ConfigError
from config.load import PROJECT


def encrypt(path: Path, stack: str, root: Path, values: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Set secret values, by path below `flowmaster:`, in a stack file. Pulumi reads each from its standard input,
    so that none is on a command line or on disk in the clear.

    :raises ConfigError: in Pulumi's words.
    """
    for number, (place, value) in enumerate(values.items(), start=1):
        say(f"encrypting secret {number} of {len(values)}")
        command = ["pulumi", "config", "set", "--path", f"{PROJECT}:{place}", "--secret", "--raw"]
        command += ["--stack", stack, "--config-file", str(path), "--non-interactive"]
        try:
            result = subprocess.run(command, cwd=root, input=value, capture_output=True, text=True, check=False)
        except FileNotFoundError as err:
            raise ConfigError(
                "pulumi is not on PATH", "it encrypts the secrets", "run `make demo`, or install it"
            ) from err
        if result.returncode:
            words = " ".join(result.stderr.split()).removeprefix("error: ")
            raise ConfigError(
                f"secret {place} cannot be encrypted: {words[:200]}",
                "nothing was written: no secret is kept in the clear",
                "set PULUMI_CONFIG_PASSPHRASE, and make the stack if there is none (`pulumi stack init`)",
            )


def replace_files(files: Mapping[Path, str]) -> None:
    """Write all of the files, each at once: a reader, or a run that is killed, sees an old or a new one, never half."""
    with tempfile.TemporaryDirectory() as scratch:
        for number, (path, text) in enumerate(files.items()):
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                beside.write_text(text, encoding="utf-8")
                if path.exists():
                    shutil.copymode(path, beside)
                    shutil.copy(path, Path(scratch) / str(number))
                beside.replace(path)
            except OSError as err:
                beside.unlink(missing_ok=True)
                _put_back(files, number, Path(scratch))
                raise ConfigError(
                    f"{path}: {err.strerror}", "the files are as they were before", "make room, or set the permissions"
                ) from err


def _put_back(files: Mapping[Path, str], done: int, scratch: Path) -> None:
    for number, path in enumerate(list(files)[:done]):
        if (scratch / str(number)).exists():
            shutil.copy(scratch / str(number), path)
