"""Writes secret values encrypted beside the stack file, safe against interruption.

The stack's file has the data key before anything is encrypted with it, and keeps the old one until nothing is any more.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import secrets_file
from config.decrypt import decrypted
from config.load import PROJECT, check_stack
from config.secrets_file import KEY, SOURCE, Entry, Values
from config.stack_file import encrypt, replace_files


@dataclass(frozen=True, kw_only=True)
class Store:
    """The secret values of a stack, open for writing."""

    stack: str
    root: Path
    path: Path
    """The stack's file."""
    given: Mapping[str, Any]
    """Decrypted values of the stack file, without ``flowmaster:``."""

    @property
    def file(self) -> Path:
        """The secrets file."""
        return secrets_file.beside(self.path)

    @property
    def keys(self) -> str:
        """The data key; during rotation the new one, then the old one; empty if there is none yet."""
        return str(self.given.get(KEY) or "")

    def values(self) -> Values:
        """All values of the file."""
        return secrets_file.read(self.file, self.keys) if self.file.exists() else {}

    def in_stack(self) -> Values:
        """Values that are still in the stack file."""
        found: Values = {}
        for group in ("secrets", "sealed"):
            for owner, keys in (self.given.get(group) or {}).items():
                found.update({Entry(group, owner, key): str(value) for key, value in keys.items()})
        for owner, project in (self.given.get("compose") or {}).items():
            sealed = project.get("sealed") or {}
            found.update({Entry("compose", owner, key): str(value) for key, value in sealed.items()})
            if project.get("source"):
                found[Entry("sources", owner, SOURCE)] = json.dumps(project["source"])
        return found

    def key(self) -> str:
        """Return the data key; creates it in the stack file if there is none yet."""
        return self.keys.split()[0] if self.keys else self._set_keys(secrets_file.new_key())

    def text(self, values: Values) -> str:
        """Return the text of the file with exactly these values."""
        return secrets_file.text(values, self.key(), self.file)

    def write(self, values: Values, gone: Iterable[Entry] = ()) -> None:
        """Write exactly these values to the file, and remove all values from the stack file."""
        text = self.text(values)
        stack = without(self.path.read_text(encoding="utf-8"), [*values, *gone])
        replace_files({self.file: text, self.path: stack})

    def rotate(self) -> int:
        """Rotate the data key: encrypt all values again, including those in the stack file.

        :return: how many values.
        """
        values = {**self.values(), **self.in_stack()}
        new = secrets_file.new_key()
        # killed from here on, it leaves a file that one of the two keys fits
        self._set_keys(" ".join([new, *self._in_use()]))
        self.write(values)
        self._set_keys(new)
        return len(values)

    def _in_use(self) -> list[str]:
        """Return the key with which the file is encrypted."""
        return [key for key in self.keys.split() if secrets_file.fits(self.file, key)] if self.file.exists() else []

    def _set_keys(self, keys: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            # under its own name: Pulumi tells the format from it
            draft = Path(scratch) / self.path.name
            draft.write_text(self.path.read_text(encoding="utf-8"), encoding="utf-8")
            encrypt(draft, self.stack, self.root, KEY, keys)
            replace_files({self.path: draft.read_text(encoding="utf-8")})
        object.__setattr__(self, "given", {**self.given, KEY: keys})
        return keys


@contextmanager
def opened(stack: str, root: Path) -> Iterator[Store]:
    """Open the store of a stack, locked against other writers.

    :raises ConfigError: where there is no such stack, or its secrets cannot be decrypted.
    """
    path = check_stack(stack, root)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        keys = decrypted(stack, root)
        given = {k.removeprefix(f"{PROJECT}:"): v for k, v in keys.items() if k.startswith(f"{PROJECT}:")}
        yield Store(stack=stack, root=root, path=path, given=given)
    finally:
        os.close(folder)


def without(text: str, values: Iterable[Entry]) -> str:
    """Return a stack file without these values. Everything else, comments included, stays."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.width = 200
    document = editor.load(text)
    config = document["config"]
    removed = [_remove(config, _steps(entry)) for entry in values]
    if not any(removed):
        return text
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def _steps(entry: Entry) -> list[str]:
    if entry.group == "compose":
        return [f"{PROJECT}:compose", entry.owner, "sealed", entry.key]
    if entry.group == "sources":
        return [f"{PROJECT}:compose", entry.owner, "source"]
    return [f"{PROJECT}:{entry.group}", entry.owner, entry.key]


def _remove(node: Any, steps: list[str]) -> bool:
    """Remove a key, and all mappings that become empty; returns whether it existed."""
    first, *rest = steps
    if not isinstance(node, dict) or first not in node:
        return False
    if rest and not _remove(node[first], rest):
        return False
    if not rest or not node[first]:
        del node[first]
    return True
