"""Adds objects to an adopted stack without changing the rest of catalogue and stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from config import load
from config.catalogue import Catalogue
from config.read_yaml import read_yaml
from config.settings import Settings
from config.stack import Stack
from flowmaster.adopt import controllers, write
from flowmaster.adopt.adoption import OBJECTS, Adoption, as_secrets, read_all, set_baselines
from flowmaster.adopt.describe import Description, describe, images
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.objects import files as object_files
from flowmaster.adopt.proof import prove
from flowmaster.adopt.provable import Options, group_by_reason, refused_by_models
from flowmaster.cluster.connection import Api, identity
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.health import WORKLOADS
from flowmaster.drift.objects import reference
from flowmaster.render.manifests import manifests

Body = dict[str, Any]
_AS_MANIFEST = frozenset({"ConfigMap", "Service"})
"""Kinds with an entry in the catalogue that are added as manifests where an entry would change them."""


def prepare(
    api: Api, settings: Settings, live: LiveState, only: frozenset[str], options: Options, root: Path
) -> Adoption | None:
    """Describe the named objects, and prove that managing them changes nothing. Writes nothing.

    :param only: `Kind/name`, or patterns.
    :return: None where all of them are declared already.
    :raises AdoptionError: where one of them cannot be taken over, or there is none of that name.
    """
    if settings.stack.adopted is None:
        raise AdoptionError(
            f"stack {settings.name} was not adopted yet", "there is nothing to add to", "run `flowmaster adopt` first"
        )
    read_all(api, live)
    declared = {reference(dict(body), live.namespace) for body in manifests(settings)}
    wanted = _wanted(live, only) - declared
    if not wanted:
        return None
    kept = controllers.controlled(live, options.take)
    _refuse({ref: kept[ref] for ref in wanted & kept.keys()})
    left = dict.fromkeys(live.objects.keys() - wanted, "not asked for")
    allowed = {ref for ref in wanted if ref.kind in WORKLOADS and ref.name in options.restart}
    raw: frozenset[ObjectRef] = frozenset()
    while True:
        description = describe(live, settings.catalogue.registry, dict(images(live)), left, raw, declared)
        adopted = _described(settings, description, wanted, live, root)
        bodies = [dict(body) for body in manifests(adopted)]
        proofs = prove(api, live, [body for body in bodies if reference(body, live.namespace) in wanted])
        failed = {p.ref: p.why for p in proofs if not (p.holds or (p.possible and p.ref in allowed))}
        # an entry would give the object the catalogue's labels, a manifest has its own
        more = {ref for ref in failed if ref.kind in _AS_MANIFEST} - raw
        if not more:
            break
        raw |= more
    _refuse(failed)
    return Adoption(
        settings=adopted,
        live=live,
        description=description,
        proofs=proofs,
        uid=identity(api),
        declared=settings.objects,
        added=frozenset(wanted),
    )


def _described(
    settings: Settings, description: Description, wanted: set[ObjectRef], live: LiveState, root: Path
) -> Settings:
    """Return the settings with what is described; completes the description for the catalogue that it joins."""
    description.unmanaged = [(ref, why) for ref, why in description.unmanaged if ref in wanted]
    _refuse(dict(description.unmanaged) | description.inexpressible)
    written = read_yaml(load.catalogue_path(settings.stack, root))
    add_conventions(settings, description)
    if description.objects:
        description.catalogue["objects"] = settings.catalogue.objects or OBJECTS
    _refuse(refused_by_models(_merged(written, description), description.services, live.namespace))
    return _settings(settings, description, written)


def _wanted(live: LiveState, only: frozenset[str]) -> set[ObjectRef]:
    found: set[ObjectRef] = set()
    for pattern in sorted(only):
        about = {ref for ref in live.objects if controllers.named(ref, [pattern])}
        if not about:
            raise AdoptionError(
                f"--only {pattern}: there is no such object of a kind that adopt takes over",
                "nothing was written",
                "write KIND/NAME, such as Deployment/web, Service/web, ConfigMap/settings or Secret/keys",
            )
        found |= about
    return found


def _refuse(reasons: dict[ObjectRef, str]) -> None:
    if reasons:
        words = "; ".join(f"{names}: {why}" for names, why in group_by_reason(sorted(reasons.items())))
        raise AdoptionError(words, "nothing was written, and nothing was changed", "the rest is as it was")


def add_conventions(settings: Settings, description: Description) -> None:
    """Write into each service in what it differs from the conventions of the catalogue that it joins."""
    common = settings.catalogue.conventions.model_dump(by_alias=True)
    own = {key: value for key, value in description.catalogue["conventions"].items() if common[key] != value}
    for entry in description.catalogue["services"].values():
        if own:
            entry["conventions"] = {**own, **entry.get("conventions", {})}
        if settings.catalogue.env_from:
            entry.setdefault("envFrom", [])


def _merged(written: Body, description: Description) -> Body:
    """Return the catalogue with the described objects added."""
    added = description.catalogue
    parts = {part: (written.get(part) or {}) | added[part] for part in write.PARTS if added.get(part)}
    return written | parts | ({"objects": added["objects"]} if added.get("objects") else {})


def _settings(settings: Settings, description: Description, written: Body) -> Settings:
    """Return the settings with the described objects added."""
    stack_values = settings.stack.model_dump(by_alias=True, exclude={"secrets", "sealed"})
    stack_values["services"] |= description.services
    stack = load.validate(Stack, stack_values, "the stack that adopt writes").model_copy(
        update={
            "secrets": {**settings.stack.secrets, **as_secrets(description.secrets)},
            "sealed": {**settings.stack.sealed, **as_secrets(description.sealed)},
            "reverse_proxy": settings.stack.reverse_proxy,
        }
    )
    made = object_files(settings.objects, description.objects, settings.namespace)
    objects = {**settings.objects, **made}

    def merged() -> Catalogue:
        return load.validate(Catalogue, _merged(written, description), "the catalogue that adopt writes")

    first = replace(settings, stack=stack, catalogue=merged(), objects=objects)
    set_baselines(first, description)
    return replace(first, catalogue=merged())
