"""The source of a compose project into the stack's file: whole or not at all, secrets encrypted by Pulumi."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from config import stack_file
from config.compose import ComposeProject, ComposeSource
from config.load import PROJECT, stack_path

Json = dict[str, Any]
_OLD_BOOLEANS = frozenset("yYnN")


def source_as_yaml(source: ComposeSource) -> Json:
    """The source as the stack's file has it: nothing that is a default."""
    return source.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def is_written(project: ComposeProject, source: ComposeSource, secrets: Mapping[str, str]) -> bool:
    """Whether the stack says all of it already."""
    known = {key: value.get_secret_value() for key, value in project.sealed.items()}
    # how much there is in a volume changes all the time, and nothing is made of it
    return project.source is not None and known == secrets and _without_sizes(project.source) == _without_sizes(source)


def _without_sizes(source: ComposeSource) -> Json:
    body = source_as_yaml(source)
    for volume in body.get("volumes", {}).values():
        volume.pop("bytes", None)
    return body


def stack_text(original: str, name: str, folder: str, source: ComposeSource) -> str:
    """The stack's file with the source of one project, everything else (comments too) as it was."""
    editor = YAML()
    editor.width = 200
    document = editor.load(original)
    projects = document["config"].setdefault(f"{PROJECT}:compose", CommentedMap())
    project = projects.setdefault(name, CommentedMap())
    project.setdefault("folder", folder)
    # old values go: what was read now replaces them
    project.pop("sealed", None)
    project["source"] = _quoted(source_as_yaml(source))
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """The same, with quotes around texts that one or the other version of YAML takes for something else: ``on``."""
    if isinstance(value, Mapping):
        return CommentedMap((_quoted(name), _quoted(part)) for name, part in value.items())
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    if isinstance(value, str) and (value in _OLD_BOOLEANS or _read(value) != value):
        return DoubleQuotedScalarString(value)
    return value


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        # whoever writes it quotes it
        return text


def write_source(
    stack: str,
    name: str,
    folder: str,
    source: ComposeSource,
    secrets: Mapping[str, str],
    root: Path,
    report: Callable[[str], None],
) -> Path:
    """Write the source into the stack's file. Returns the file.

    :raises UserError: where something cannot be written or encrypted; then nothing is.
    """
    path = stack_path(stack, root)
    text = stack_text(path.read_text(encoding="utf-8"), name, folder, source)
    with tempfile.TemporaryDirectory() as scratch:
        # under its own name: Pulumi tells the format from it
        draft = Path(scratch) / path.name
        draft.write_text(text, encoding="utf-8")
        places = {f'compose["{name}"]["sealed"]["{key}"]': value for key, value in secrets.items()}
        stack_file.encrypt(draft, stack, root, places, report)
        text = draft.read_text(encoding="utf-8")
    stack_file.replace_files({path: text})
    return path
