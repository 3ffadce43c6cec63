"""Decrypts the stack's configuration, with Pulumi."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from config.errors import ConfigError


def decrypted(stack: str, root: Path) -> dict[str, Any]:
    """Return the stack's configuration values in the clear, by full key.

    :raises ConfigError: where Pulumi is missing or cannot decrypt them, in its own words.
    """
    command = ["pulumi", "config", "--stack", stack, "--show-secrets", "--json", "--non-interactive"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise ConfigError(
            "pulumi is not on PATH", "it decrypts the secrets of the stack", "run `make demo`, or install Pulumi"
        ) from err
    if result.returncode != 0:
        words = " ".join(result.stderr.split()).removeprefix("error: ")
        raise ConfigError(
            f"the secrets of stack {stack} cannot be decrypted",
            words[:300],
            "set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to the passphrase of this stack",
        )
    return {
        key: json.loads(entry["value"]) if "objectValue" in entry else entry["value"]
        for key, entry in json.loads(result.stdout).items()
    }
