"""Writes configuration files atomically, with secrets encrypted by Pulumi."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from config.errors import ConfigError
from config.load import PROJECT


def encrypt(path: Path, stack: str, root: Path, name: str, value: str) -> None:
    """Set a secret value below `flowmaster:` in a stack file. Pulumi reads it from its standard input, so that it is
    on no command line.

    :raises ConfigError: in Pulumi's words.
    """
    command = ["pulumi", "config", "set", f"{PROJECT}:{name}", "--secret", "--raw"]
    command += ["--stack", stack, "--config-file", str(path), "--non-interactive"]
    try:
        result = subprocess.run(command, cwd=root, input=value, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise ConfigError("pulumi is not on PATH", "it encrypts the secrets", "run `make demo`, or install it") from err
    if result.returncode:
        words = " ".join(result.stderr.split()).removeprefix("error: ")
        raise ConfigError(
            f"{name} cannot be encrypted: {words[:200]}",
            "nothing was written: no secret is kept in the clear",
            "set PULUMI_CONFIG_PASSPHRASE, and make the stack if there is none (`pulumi stack init`)",
        )


def replace_files(files: Mapping[Path, str]) -> None:
    """Replace all files, each atomically: readers, and killed runs, leave an old or a new file, never a partial one.

    All are written under temporary names before the first one is replaced.
    """
    with tempfile.TemporaryDirectory() as scratch:
        written = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in files}
        number, current = 0, next(iter(files))
        try:
            for current, beside in written.items():
                # bytes of nginx's files that are no UTF-8 are kept (surrogateescape)
                beside.write_bytes(files[current].encode("utf-8", "surrogateescape"))
                if current.exists():
                    shutil.copymode(current, beside)
            for number, (current, beside) in enumerate(written.items()):
                if current.exists():
                    shutil.copy(current, Path(scratch) / str(number))
                beside.replace(current)
        except OSError as err:
            for beside in written.values():
                beside.unlink(missing_ok=True)
            _put_back(files, number, Path(scratch))
            raise ConfigError(
                f"{current}: {err.strerror}", "the files are as they were before", "make room, or set the permissions"
            ) from err


def _put_back(files: Mapping[Path, str], done: int, scratch: Path) -> None:
    for number, path in enumerate(list(files)[:done]):
        if (scratch / str(number)).exists():
            shutil.copy(scratch / str(number), path)
