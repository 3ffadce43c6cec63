"""Finds fields of a service without effect, because the service's override replaces what they render.

A field has no effect if another value changes the body without the override, but not with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from config.catalogue import Probe, Probes, Resources, Service, Volume
from config.settings import Settings
from config.stack import Release
from flowmaster.render import microservice

_OTHER = "another-value"
_DIGEST = "sha256:" + "f" * 64
_WORDS: Mapping[str, Any] = {"image": "another/image", "command": (_OTHER,), "args": (_OTHER,), "node_port": 32767}
_TEXTS = ("labels", "annotations", "pod_labels", "pod_annotations", "env")
_RESOURCES = Resources(limits={"cpu": "97m"})


def ineffective_fields(settings: Settings, name: str) -> list[str]:
    """Return the fields of a service's entry and release that have no effect."""
    entry = settings.services[name]
    if not entry.override:
        return []
    alone = _alone(settings, name)
    bare = _with(alone, name, entry=entry.model_copy(update={"override": {}}))
    here, there = _bodies(alone, name), _bodies(bare, name)
    found = []
    for field, change in _entries(entry):
        if _bodies(_with(alone, name, entry=entry.model_copy(update=change)), name) == here:
            free = entry.model_copy(update={**change, "override": {}})
            found += [field] if _bodies(_with(bare, name, entry=free), name) != there else []
    for field, change in _releases(settings.release(name)):
        release = settings.release(name).model_copy(update=change)
        if _bodies(_with(alone, name, release=release), name) == here:
            found += [field] if _bodies(_with(bare, name, release=release), name) != there else []
    return found


def _entries(entry: Service) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each field set in the entry, with another value for it."""
    for field, value in _WORDS.items():
        if getattr(entry, field) is not None:
            yield _written(field), {field: value}
    for field in _TEXTS:
        values = getattr(entry, field)
        for key in values:
            yield f"{_written(field)}.{key}", {field: {**values, key: _OTHER}}
    for key in entry.volumes:
        yield f"volumes.{key}", {"volumes": {**entry.volumes, key: Volume(mount_path="/another", empty_dir=True)}}
    for key in Probes.model_fields:
        if entry.probes is not None and getattr(entry.probes, key) is not None:
            other = Probe(http="/another", port=97, failures=97)
            yield f"probes.{key}", {"probes": entry.probes.model_copy(update={key: other})}
    if entry.resources is not None:
        yield "resources", {"resources": _RESOURCES}
    elif entry.memory is not None:
        yield "memory", {"memory": "97Ti"}


def _releases(release: Release) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each field set in the release, with another value for it."""
    if release.tag:
        yield "tag", {"tag": _OTHER}
    if release.digest is not None:
        yield "digest", {"digest": _DIGEST}
    if "replicas" in release.model_fields_set:
        yield "replicas", {"replicas": release.replicas + 1}
    if release.cluster_ip is not None:
        yield "clusterIP", {"cluster_ip": "203.0.113.97"}


def _written(field: str) -> str:
    return Service.model_fields[field].alias or field


def _alone(settings: Settings, name: str) -> Settings:
    """Return settings with one service, so that the cost does not depend on the number of services."""
    only = {"services": {name: settings.release(name)}, "reverse_proxy": None}
    return replace(
        settings,
        stack=settings.stack.model_copy(update=only),
        catalogue=settings.catalogue.model_copy(update={"services": {name: settings.services[name]}}),
    )


def _with(settings: Settings, name: str, entry: Service | None = None, release: Release | None = None) -> Settings:
    stack, catalogue = settings.stack, settings.catalogue
    if entry is not None:
        catalogue = catalogue.model_copy(update={"services": {name: entry}})
    if release is not None:
        stack = stack.model_copy(update={"services": {name: release}})
    return replace(settings, stack=stack, catalogue=catalogue)


def _bodies(settings: Settings, name: str) -> tuple[Any, Any]:
    return microservice.deployment(settings, name), microservice.service(settings, name)
