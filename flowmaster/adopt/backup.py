"""Backs up live objects without plain-text secrets, and restores them."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError
from config.settings import Settings
from flowmaster.adopt.service import main_container
from flowmaster.cluster import inline_secrets, reader
from flowmaster.cluster.connection import Api
from flowmaster.cluster.copies import copies
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import path_of
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.objects import reference
from flowmaster.render.manifests import manifests

Body = dict[str, Any]
MANAGER = "flowmaster-restore"
FOLDER = ".flowmaster"
_SERVERS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
_ATTEMPTS = 5


def write(folder: Path, objects: Iterable[tuple[ObjectRef, Body]], sealed: dict[str, dict[str, str]]) -> Path:
    """Save the objects in a new file that only its owner may read.

    Values of Secrets and what is sealed in Deployments are left out: the stack has them, encrypted, and
    :func:`restore` puts them in again.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-adopt-{datetime.now(UTC):%Y%m%dT%H%M%S}.yaml"
    kept = [_without_secrets(ref, body, sealed) for ref, body in objects]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        yaml.safe_dump_all(kept, stream, sort_keys=False, width=140)
    return path


def restore(api: Api, settings: Settings, path: Path) -> list[tuple[ObjectRef, str]]:
    """Restore all objects of a backup; returns what was done to each.

    :raises ConfigError: where the file is no such backup, or the stack lacks a secret that it needs.
    :raises ApiError: where the API server refuses.
    """
    try:
        bodies = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        refs = [(reference(body, settings.namespace), body) for body in bodies]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as err:
        raise ConfigError(f"{path}: not a backup of adopt: {' '.join(str(err).split())[:120]}") from err
    # kinds of other groups: the API server says where it has them
    wanted = [(str(body["apiVersion"]), ref) for ref, body in refs]
    reader.read_more(api, reader.LiveState(api.server, settings.namespace), wanted)
    declared = {reference(dict(body), settings.namespace): dict(body) for body in manifests(settings)}
    return [(ref, _put(api, ref, _with_secrets(ref, body, declared.get(ref, {}), settings))) for ref, body in refs]


def _without_secrets(ref: ObjectRef, body: Body, sealed: dict[str, dict[str, str]]) -> Body:
    kept = copy.deepcopy({key: value for key, value in body.items() if key != "status"})
    metadata = {key: value for key, value in kept["metadata"].items() if key not in _SERVERS}
    copied = copies(body)
    annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k not in copied}
    kept["metadata"] = {**metadata, **({"annotations": annotations} if annotations else {})}
    if ref.kind == "Secret":
        kept["data"] = dict.fromkeys(kept.get("data") or {})
    for place in _sealed(ref, kept, sealed.get(ref.name, {})):
        place.holder[place.at] = None
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], **kept}


def _with_secrets(ref: ObjectRef, body: Body, declared: Body, settings: Settings) -> Body:
    if ref.kind == "Secret":
        data = declared.get("data", {})
        missing = [key for key in body.get("data") or {} if key not in data]
        if missing:
            raise ConfigError(f"{ref}: the stack has no value for {missing[0]}", "it cannot be put back without it")
        body["data"] = {key: data[key] for key in body.get("data") or {}}
    if ref.kind == "Deployment":
        values = {k: v.get_secret_value() for k, v in settings.stack.sealed.get(ref.name, {}).items()}
        for place in _sealed(ref, body, values):
            if place.holder[place.at] is None:
                place.holder[place.at] = values[place.key]
    return body


def _metadata(body: Body, live: Body) -> Body:
    """Return the metadata to restore. Annotations with copies of the object are not in backups and stay as they are."""
    kept = {name: live["metadata"]["annotations"][name] for name in copies(live)}
    annotations = {**body["metadata"].get("annotations", {}), **kept}
    metadata = {**body["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    return {**metadata, **({"annotations": annotations} if annotations else {})}


def _sealed(ref: ObjectRef, body: Body, values: Mapping[str, str]) -> list[inline_secrets.Place]:
    """Return the paths in a Deployment whose values are in the stack."""
    if ref.kind != "Deployment":
        return []
    return [p for p in inline_secrets.places(main_container(ref.name, body)["name"], body) if p.key in values]


def _put(api: Api, ref: ObjectRef, body: Body) -> str:
    path, headers = path_of(ref), {"Content-Type": "application/json"}
    for _ in range(_ATTEMPTS):
        try:
            live: Body = api.get(path)
        except ApiError as err:
            if err.status != 404:
                raise
            api.request("POST", path.rpartition("/")[0], {"fieldManager": MANAGER}, headers, json.dumps(body).encode())
            return "made again"
        wanted = json.dumps({**body, "metadata": _metadata(body, live)}).encode()
        try:
            api.request("PUT", path, {"fieldManager": MANAGER}, headers, wanted)
        except ApiError as err:
            if err.status != 409:
                raise
            continue
        return "put back"
    raise ApiError(f"{ref} changes all the time", "it was not put back", "run the same command again", status=409)
