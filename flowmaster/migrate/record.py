"""Writes the source of a compose project beside the stack's file, encrypted and atomically."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from config import secret_store
from config.compose import ComposeProject, ComposeSource
from config.load import PROJECT
from config.secrets_file import SOURCE, Entry
from config.stack_file import replace_files

Json = dict[str, Any]


def source_as_json(source: ComposeSource) -> Json:
    """Return the source as stored, without defaults."""
    return source.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def is_written(project: ComposeProject, source: ComposeSource, secrets: Mapping[str, str]) -> bool:
    """Return whether the stack already has this source and these secrets."""
    known = {key: value.get_secret_value() for key, value in project.sealed.items()}
    # sizes of volumes change all the time and do not affect the objects
    return project.source is not None and known == secrets and _without_sizes(project.source) == _without_sizes(source)


def _without_sizes(source: ComposeSource) -> Json:
    body = source_as_json(source)
    for volume in body.get("volumes", {}).values():
        volume.pop("bytes", None)
    return body


def stack_text(original: str, name: str, folder: str) -> str:
    """Return the stack's file with the project; the rest, comments included, is kept.

    Source and secrets of the project are removed from it: they are written beside it.
    """
    editor = YAML()
    editor.width = 200
    document = editor.load(original)
    projects = document["config"].setdefault(f"{PROJECT}:compose", CommentedMap())
    project = projects.setdefault(name, CommentedMap())
    project.setdefault("folder", folder)
    for key in ("sealed", "source"):
        project.pop(key, None)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def secret_values(name: str, source: ComposeSource, secrets: Mapping[str, str]) -> dict[Entry, str]:
    """Return the source and its secrets, as entries of the secrets file."""
    values = {Entry("compose", name, key): value for key, value in secrets.items()}
    return {**values, Entry("sources", name, SOURCE): json.dumps(source_as_json(source), sort_keys=True)}


def write_source(
    stack: str,
    name: str,
    folder: str,
    source: ComposeSource,
    secrets: Mapping[str, str],
    root: Path,
    report: Callable[[str], None],
) -> Path:
    """Write the source and its secret values beside the stack's file. Returns the file.

    :raises UserError: if writing or encryption fails; the file is then unchanged.
    """
    values = secret_values(name, source, secrets)
    report(f"encrypting {len(values)} values")
    with secret_store.opened(stack, root) as store:
        others = {e: v for e, v in store.values().items() if e.owner != name or e.group not in ("compose", "sources")}
        text = store.text({**others, **values})
        replace_files({store.file: text, store.path: stack_text(store.path.read_text(encoding="utf-8"), name, folder)})
        return store.file
