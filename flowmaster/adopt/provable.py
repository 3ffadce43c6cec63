"""Finds the largest part of a namespace for which the proofs hold. Other objects are left alone, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from config.catalogue import Catalogue
from config.settings import Settings
from config.stack import Release
from flowmaster.adopt import controllers
from flowmaster.adopt.describe import Description, describe, images
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.proof import Proof, Prover
from flowmaster.cluster.connection import Api
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.health import WORKLOADS
from flowmaster.render.manifests import manifests

Body = dict[str, Any]
_KINDS = {
    "services": "Deployment",
    "configMaps": "ConfigMap",
    "secrets": "Secret",
    "externalServices": "Service",
    "rawServices": "Service",
}
"""The kind of object that each part of the catalogue declares."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an adoption."""

    strict: bool = False
    """Refuse the whole adoption if one object cannot be adopted."""
    restart: frozenset[str] = frozenset()
    """Names of workloads that are adopted even though their pods restart."""
    take: frozenset[str] = frozenset()
    """`Kind/name` patterns of objects that are adopted even though a controller manages them."""
    sites: frozenset[str] = frozenset()
    """Patterns of names of enabled nginx sites that are adopted although the stack does not declare them."""
    typed: bool = False
    """Declare nginx sites by keys where these say the same, not as templates."""


DEFAULTS = Options()
_AS_MANIFEST = frozenset({"ConfigMap", "Deployment", "Service"})
"""Kinds that may become manifests if the catalogue cannot express them. Not Secrets: these are encrypted."""


@dataclass(frozen=True, kw_only=True)
class Provable:
    """The provable part."""

    description: Description
    settings: Settings
    proofs: list[Proof]


def provable(
    api: Api,
    settings: Settings,
    live: LiveState,
    options: Options,
    settings_of: Callable[[Description], Settings],
) -> Provable:
    """Describe the namespace; omit objects without a proof until all others have one.

    :param settings_of: the settings that a description makes.
    :raises AdoptionError: where the namespace itself cannot be taken over, or with `strict` any object of it.
    """
    _refuse_unknown(options, live)
    prover = Prover(api, live)
    kept = controllers.controlled(live, options.take)
    failed: dict[ObjectRef, str] = {}
    raw: set[ObjectRef] = set()
    """Keep objects that the catalogue cannot express as manifests."""
    while True:
        description = describe(live, settings.catalogue.registry, dict(images(live)), kept | failed, raw)
        more = description.inexpressible | refused_by_models(
            description.catalogue, description.services, live.namespace
        )
        if more and not (more.keys() & raw) and all(ref.kind in _AS_MANIFEST for ref in more):
            raw |= more.keys()
            continue
        proofs: list[Proof] = []
        if not more:
            adopted = settings_of(description)
            proofs = prover.prove([dict(body) for body in manifests(adopted)])
            more = {proof.ref: proof.why for proof in proofs if not (proof.holds or _allowed(proof, options))}
        if not more:
            break
        failed |= more
        _refuse_namespace(failed)
    if options.strict and failed:
        raise _strict(failed)
    return Provable(description=description, settings=adopted, proofs=proofs)


def _allowed(proof: Proof, options: Options) -> bool:
    return proof.ref.kind in WORKLOADS and proof.ref.name in options.restart and proof.possible


def refused_by_models(catalogue: Body, services: Mapping[str, Body], namespace: str) -> dict[ObjectRef, str]:
    """Return the objects that the models of catalogue or stack reject, with the reason."""
    refused: dict[ObjectRef, str] = {}
    try:
        Catalogue.model_validate(catalogue)
    except ValidationError as err:
        for problem in err.errors(include_url=False):
            part, name, *rest = (*problem["loc"], "", "")
            if part not in _KINDS or not name:
                raise
            words = problem["msg"].removeprefix("Value error, ")
            place = ".".join(str(step) for step in rest if step and step != "[key]") or "name"
            refused[ObjectRef(_KINDS[str(part)], namespace, str(name))] = (
                f"the catalogue cannot have its {place}: {words}"
            )
    for name, release in services.items():
        try:
            Release.model_validate(release)
        except ValidationError as err:
            words = err.errors(include_url=False)[0]["msg"]
            refused[ObjectRef("Deployment", namespace, name)] = f"the stack cannot have it: {words}"
    return refused


def _refuse_unknown(options: Options, live: LiveState) -> None:
    names = {ref.name for kind in WORKLOADS for ref, _ in live.of(kind)}
    for name in sorted(options.restart - names):
        raise AdoptionError(
            f"--restart {name}: there is no Deployment, StatefulSet or DaemonSet of that name",
            "nothing was written",
            f"there are: {', '.join(sorted(names)) or 'none'}",
        )
    for pattern in sorted(options.take):
        if not any(controllers.named(ref, [pattern]) for ref in live.objects):
            raise AdoptionError(
                f"--take {pattern}: there is no such object", "nothing was written", "write KIND/NAME as adopt lists it"
            )


def _refuse_namespace(failed: Mapping[ObjectRef, str]) -> None:
    for ref, why in failed.items():
        if ref.kind == "Namespace":
            raise AdoptionError(f"{ref}: {why}", "nothing was written, and nothing was changed", "")


def _strict(failed: Mapping[ObjectRef, str]) -> AdoptionError:
    reasons = "; ".join(f"{names}: {why}" for names, why in group_by_reason(failed.items()))
    return AdoptionError(
        f"{len(failed)} of the objects cannot be taken over as they are (--strict): {reasons}",
        "nothing was written, and nothing was changed",
        "without --strict they are left as they are, and the rest is taken over",
    )


def group_by_reason(reasons: Iterable[tuple[ObjectRef, str]]) -> list[tuple[str, str]]:
    """Group objects by reason: one text of names for each reason."""
    about: dict[str, list[str]] = {}
    for ref, why in reasons:
        about.setdefault(why, []).append(str(ref))
    return [(", ".join(names), why) for why, names in about.items()]
