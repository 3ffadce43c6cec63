"""What was read of a compose project: beside the stack's file, encrypted as a whole, whole or not at all."""

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
    """The source as it is kept: nothing that is a default."""
    return source.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def is_written(project: ComposeProject, source: ComposeSource, secrets: Mapping[str, str]) -> bool:
    """Whether the stack says all of it already."""
    known = {key: value.get_secret_value() for key, value in project.sealed.items()}
    # how much there is in a volume changes all the time, and nothing is made of it
    return project.source is not None and known == secrets and _without_sizes(project.source) == _without_sizes(source)


def _without_sizes(source: ComposeSource) -> Json:
    body = source_as_json(source)
    for volume in body.get("volumes", {}).values():
        volume.pop("bytes", None)
    return body


def stack_text(original: str, name: str, folder: str) -> str:
    """The stack's file with the project, everything else (comments too) as it was.

    Values that it has of the project go: what was read now replaces them.
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
    """The source and its secret values, as the file of secret values calls them."""
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

    :raises UserError: where something cannot be written or encrypted; then nothing is.
    """
    values = secret_values(name, source, secrets)
    report(f"encrypting {len(values)} values")
    with secret_store.opened(stack, root) as store:
        others = {e: v for e, v in store.values().items() if e.owner != name or e.group not in ("compose", "sources")}
        text = store.text({**others, **values})
        replace_files({store.file: text, store.path: stack_text(store.path.read_text(encoding="utf-8"), name, folder)})
        return store.file
