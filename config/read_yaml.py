"""Reads YAML files; duplicate keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses duplicate keys."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(
                f"{node.start_mark.name}: {key!r} occurs twice, in lines {seen[key]} and {line}",
                "only one of them would be used",
                "remove or rename one of them",
            )
        seen[key] = line
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The data of a YAML file with one document; None where the file is empty.

    :raises ConfigError: where it cannot be read, is no YAML of one document, or gives a name twice.
    """
    documents = read_documents(path)
    if len(documents) > 1:
        raise ConfigError(f"{path}: holds {len(documents)} YAML documents", "one is expected", "split the file")
    return documents[0] if documents else None


def read_documents(path: Path) -> list[Any]:
    """The data of each document of a YAML file.

    :raises ConfigError: where it cannot be read, is no YAML, or gives a name twice.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return list(yaml.load_all(stream, Loader=_StrictLoader))
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}", "", "check the path, and `catalogue` in the stack") from err
    except yaml.YAMLError as err:
        raise ConfigError(f"{path}: not valid YAML", " ".join(str(err).split()), "correct that line") from err
