"""Reading the configuration: the one place where text becomes models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from config.catalogue import Catalogue
from config.errors import ConfigError, closest, from_validation
from config.settings import Settings
from config.stack import Stack

PROJECT = "flowmaster"
CATALOGUE_VARIABLE = "FLOWMASTER_CATALOGUE"
CONFIG_FILE_VARIABLE = "PULUMI_OPTION_CONFIG_FILE"
"""Pulumi's own variable for its ``--config-file``."""
ROOT = Path(__file__).resolve().parent.parent
M = TypeVar("M", bound=BaseModel)


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses a name given twice instead of keeping the last."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(
                f"{node.start_mark.name}: {key!r} is given twice, in lines {seen[key]} and {line}",
                "only one of the two would count",
                "remove or rename one of them",
            )
        seen[key] = line
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The data of a YAML file.

    :raises ConfigError: where it cannot be read, is no YAML, or gives a name twice.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return yaml.load(stream, Loader=_StrictLoader)  # noqa: S506  a subclass of the safe loader
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}", "", "check the path, and `catalogue` in the stack") from err
    except yaml.YAMLError as err:
        raise ConfigError(f"{path}: not valid YAML", " ".join(str(err).split()), "correct that line") from err


def validate(model: type[M], data: object, source: str) -> M:
    """``data`` as a model.

    :raises ConfigError: at most three lines that name the key, the value and the remedy.
    """
    try:
        return model.model_validate(data)
    except ValidationError as err:
        raise from_validation(err, model, source) from err


def settings(stack_name: str, values: Mapping[str, Any], source: str, root: Path = ROOT) -> Settings:
    """Settings from the stack's values (keys without ``flowmaster:``) and the catalogue they name.

    :raises ConfigError: where anything in them is not usable.
    """
    stack = validate(Stack, values, source)
    path = catalogue_path(stack, root)
    catalogue = validate(Catalogue, read_yaml(path), path.name)
    return Settings(name=stack_name, stack=stack, catalogue=catalogue)


def catalogue_path(stack: Stack, root: Path = ROOT) -> Path:
    """The catalogue in force: ``FLOWMASTER_CATALOGUE``, else the one that the stack names."""
    return root / os.environ.get(CATALOGUE_VARIABLE, stack.catalogue)


def stack_path(stack_name: str, root: Path = ROOT) -> Path:
    """The stack's configuration file in force: the one that Pulumi is told to use, else ``Pulumi.STACK.yaml``."""
    return root / os.environ.get(CONFIG_FILE_VARIABLE, f"Pulumi.{stack_name}.yaml")


def from_file(stack_name: str, root: Path = ROOT) -> Settings:
    """Settings of a stack read from its file, for the command line.

    :raises ConfigError: where there is no such stack, or its secrets cannot be decrypted.
    """
    path = stack_path(stack_name, root)
    if not path.exists():
        stacks = [p.name.split(".")[1] for p in sorted(root.glob("Pulumi.*.yaml"))]
        raise ConfigError(
            f"there is no stack {stack_name!r}{closest(stack_name, stacks)}",
            f"stacks of this project: {', '.join(stacks) or 'none'}",
            "name one with --stack",
        )
    config = read_yaml(path).get("config", {})
    if _has_secure(config):
        from config.decrypt import decrypted

        config = decrypted(stack_name, root)
    values = {k.removeprefix(f"{PROJECT}:"): v for k, v in config.items() if k.startswith(f"{PROJECT}:")}
    return settings(stack_name, values, path.name, root)


def _has_secure(data: object) -> bool:
    if isinstance(data, Mapping):
        return set(data) == {"secure"} or any(_has_secure(value) for value in data.values())
    return isinstance(data, list) and any(_has_secure(value) for value in data)
