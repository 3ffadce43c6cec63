"""Loads stack and catalogue into models."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from config import secrets_file
from config.catalogue import Catalogue
from config.errors import ConfigError, closest, from_validation
from config.objects import read_objects
from config.read_yaml import read_yaml
from config.settings import Settings
from config.site_files import with_templates
from config.stack import Stack

PROJECT = "flowmaster"
CATALOGUE_VARIABLE = "FLOWMASTER_CATALOGUE"
CONFIG_FILE_VARIABLE = "PULUMI_OPTION_CONFIG_FILE"
"""Pulumi's environment variable for ``--config-file``."""
MOST_CONFIG = 131_072 - len("PULUMI_CONFIG=") - 1
"""Maximum size of an environment variable's value on Linux (MAX_ARG_STRLEN), in bytes."""
ROOT = Path(__file__).resolve().parent.parent
_MIDNIGHT = " 00:00:00 +0000 UTC"
"""The suffix that Pulumi adds to a date."""
M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: object, source: str) -> M:
    """Validate ``data`` as a model.

    :raises ConfigError: at most three lines that name the key, the value and the remedy.
    """
    try:
        return model.model_validate(data)
    except ValidationError as err:
        raise from_validation(err, model, source) from err


def settings(stack_name: str, values: Mapping[str, Any], source: str, root: Path = ROOT) -> Settings:
    """Build the settings from the stack's values (keys without ``flowmaster:``) and their catalogue.

    :raises ConfigError: where anything in them is not usable.
    """
    values = secrets_file.merged(values, secrets_file.beside(stack_path(stack_name, root)))
    file = stack_path(stack_name, root)
    stack = with_templates(validate(Stack, _tags_as_written(values, file), source), file.parent)
    path = catalogue_path(stack, root)
    catalogue = validate(Catalogue, read_yaml(path), path.name)
    objects = read_objects(path.parent / catalogue.objects) if catalogue.objects is not None else {}
    return Settings(name=stack_name, stack=stack, catalogue=catalogue, objects=objects)


def catalogue_path(stack: Stack, root: Path = ROOT) -> Path:
    """Return the catalogue's path: ``FLOWMASTER_CATALOGUE``, else that of the stack."""
    return catalogue_file(stack.catalogue, root)


def catalogue_file(named: str | None, root: Path = ROOT) -> Path:
    """Return the catalogue's path for a value of the stack's `catalogue`; None is the default."""
    return root / os.environ.get(CATALOGUE_VARIABLE, named or str(Stack.model_fields["catalogue"].default))


def stack_path(stack_name: str, root: Path = ROOT) -> Path:
    """Return the stack's file: that of Pulumi's ``--config-file``, else ``Pulumi.STACK.yaml``."""
    return root / os.environ.get(CONFIG_FILE_VARIABLE, f"Pulumi.{stack_name}.yaml")


def from_file(stack_name: str, root: Path = ROOT) -> Settings:
    """Load the settings of a stack from its file, for the command line.

    :raises ConfigError: where there is no such stack, its file is unusable, or its secrets cannot be decrypted.
    """
    path = check_stack(stack_name, root)
    document = read_yaml(path)
    config = document.get("config") if isinstance(document, Mapping) else None
    if not isinstance(config, Mapping) or not config:
        raise ConfigError(
            f"{path.name}: {_found(document)}",
            "a stack's file has a mapping `config` with keys such as flowmaster:cluster and flowmaster:services",
            f"restore it (`git checkout {path.name}`), or name another stack with --stack",
        )
    if _has_secure(config):
        from config.decrypt import decrypted

        config = decrypted(stack_name, root)
    keys = {str(key): value for key, value in config.items()}
    values = {k.removeprefix(f"{PROJECT}:"): v for k, v in keys.items() if k.startswith(f"{PROJECT}:")}
    return settings(stack_name, values, path.name, root)


def check_stack(stack_name: str, root: Path = ROOT) -> Path:
    """Return the file of an existing stack: its own, or the one of ``--config-file`` if Pulumi knows the stack.

    :raises ConfigError: where there is no such stack, with those that there are.
    """
    path = stack_path(stack_name, root)
    other = os.environ.get(CONFIG_FILE_VARIABLE)
    own = f"Pulumi.{stack_name}.yaml"
    if other and not path.exists():
        raise ConfigError(
            f"there is no file {path}",
            f"{CONFIG_FILE_VARIABLE} says that it is the stack's configuration",
            f"correct the variable, or unset it: Pulumi.STACK.yaml in {root} is used then",
        )
    if path.name == own or (root / own).exists():
        known: list[str] | None = None if path.exists() else _stacks_with_a_file(root)
    else:
        known = _stacks_of_pulumi(root) if other else _stacks_with_a_file(root)
    if known is not None and stack_name not in known:
        raise ConfigError(
            f"there is no stack {stack_name!r}{closest(stack_name, known)}",
            f"stacks of this project: {', '.join(known) or 'none'}",
            "name one with --stack",
        )
    return path


def _stacks_with_a_file(root: Path) -> list[str]:
    """Return the stacks with a file. Secrets files do not count."""
    names = (path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))
    return sorted(name for name in names if not name.endswith(".secrets"))


def check_size(config: Mapping[str, Any]) -> None:
    """Refuse configuration that is too large for Pulumi to pass to the program.

    :param config: the stack's whole configuration, decrypted.
    :raises ConfigError: where it is too large, with what takes most of it.
    """
    texts = {str(k): v if isinstance(v, str) else json.dumps(v, separators=(",", ":")) for k, v in config.items()}
    size = len(json.dumps(texts).encode())
    if size > MOST_CONFIG:
        largest = max(texts, key=lambda key: len(texts[key]))
        raise ConfigError(
            f"the stack's configuration is {size // 1024} KiB, most of it {largest}",
            f"Pulumi hands it to the program in one environment variable, and these hold {MOST_CONFIG // 1024} KiB",
            "move secret values, and what was read of compose projects, out of it: `flowmaster secret migrate`",
        )


def _stacks_of_pulumi(root: Path) -> list[str] | None:
    """Return the stacks in Pulumi's backend; None if Pulumi fails."""
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout
        return sorted(str(stack["name"]) for stack in json.loads(listed))
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        return None


def _found(document: object) -> str:
    """Describe a value that should be a mapping, without showing it: it may be a misplaced secret."""
    if document is None:
        return "the file is empty"
    place, found = ("`config`", document.get("config")) if isinstance(document, Mapping) else ("the file", document)
    if not found:
        return "there is nothing under `config`"
    return f"{place} is {'a list' if isinstance(found, list) else 'a single value'}, not a mapping"


def _tags_as_written(values: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the values with the original text of each tag that YAML reads as a number, date or boolean.

    ``pulumi config set`` writes the tag 8202758 without quotes, and a person writes 1.10, which arrives as 1.1, or
    2026-11-25, which Pulumi hands over as ``2026-11-25 00:00:00 +0000 UTC``. A tag that the file does not hold, or
    holds otherwise, stays as it is.
    """
    services = values.get("services")
    if not isinstance(services, Mapping):
        return values
    changed = {
        name: release
        for name, release in services.items()
        if isinstance(release, Mapping)
        and (isinstance(tag := release.get("tag"), (int, float, date)) or str(tag).endswith(_MIDNIGHT))
    }
    if not changed or not path.exists():
        return values
    with path.open(encoding="utf-8") as stream:
        document = yaml.compose(stream, Loader=yaml.SafeLoader)
    texts = {name: _scalar(document, "config", f"{PROJECT}:services", name, "tag") for name in changed}
    written = {
        name: {**release, "tag": text}
        for name, release in changed.items()
        if (text := texts[name]) is not None and _stands_for(text, release["tag"])
    }
    return {**values, "services": {**services, **written}}


def _scalar(node: yaml.Node | None, *keys: object) -> str | None:
    """Return the text of the scalar at a path; None if there is none."""
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == str(key)), None)
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _stands_for(text: str, value: object) -> bool:
    """Return whether some YAML reader may parse the text as the value. Readers differ about numbers."""
    try:
        return bool(yaml.safe_load(text) == value) or text + _MIDNIGHT == value or float(text) == value
    except (ValueError, yaml.YAMLError):
        return False


def _has_secure(data: object) -> bool:
    if isinstance(data, Mapping):
        return set(data) == {"secure"} or any(_has_secure(value) for value in data.values())
    return isinstance(data, list) and any(_has_secure(value) for value in data)
