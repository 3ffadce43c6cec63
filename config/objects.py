"""Reads manifests of objects of any kind from the catalogue's `objects` folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.read_yaml import read_documents

Body = dict[str, Any]
SUFFIXES = (".yaml", ".yml")


def read_objects(folder: Path) -> dict[str, Body]:
    """Return the manifests of a folder by file (numbered if a file has several), sorted by name.

    Nothing is checked that the API server checks, and better: only what makes an object one at all.

    :raises ConfigError: where the folder or a file cannot be read, or a manifest is none; it names the file.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: there is no such folder",
            "`objects` of the catalogue names it, and the objects in it would be deleted",
            "make it (it may be empty), or take `objects` out of the catalogue",
        )
    found: dict[str, Body] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES):
        documents = [document for document in read_documents(path) if document is not None]
        for number, document in enumerate(documents, start=1):
            where = path.name if len(documents) == 1 else f"{path.name} #{number}"
            found[where] = _checked(document, where)
    _check_unique(found)
    return found


def _checked(document: Any, where: str) -> Body:
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    if (
        not isinstance(document, Mapping)
        or not isinstance(metadata, Mapping)
        or not all(isinstance(document.get(key), str) and document[key] for key in ("apiVersion", "kind"))
        or not isinstance(metadata.get("name"), str)
    ):
        raise ConfigError(
            f"objects: {where} is no manifest",
            "an object has at least apiVersion, kind and metadata.name",
            "write it as `kubectl get KIND NAME -o yaml` shows it",
        )
    if document["kind"] == "Secret" and (document.get("data") or document.get("stringData")):
        raise ConfigError(
            f"objects: {where} is a Secret with its values in the clear",
            "the file would give them to whoever reads the repository",
            "declare it under `secrets` of the catalogue: its values are kept encrypted",
        )
    return dict(document)


def _check_unique(found: Mapping[str, Body]) -> None:
    seen: dict[tuple[str, str, str, str], str] = {}
    for where, body in found.items():
        group = str(body["apiVersion"]).rpartition("/")[0]
        metadata = body["metadata"]
        key = (group, str(body["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"]))
        if key in seen:
            raise ConfigError(
                f"objects: {body['kind']}/{metadata['name']} stands in {seen[key]} and in {where}",
                "only one of them would be used",
                "remove one of them",
            )
        seen[key] = where
