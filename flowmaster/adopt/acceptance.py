"""Accepts live values: writes them into catalogue and stack, so that they are declared. Does not write to the server.

An accepted object is described as an adoption describes it, once as declared and once as accepted; what differs between
the two descriptions is edited in the files. Then the objects are rendered from the edited configuration: an accepted
finding must be gone, and every other one must be as before, or nothing is written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from config import load
from config.catalogue import Catalogue
from config.read_yaml import read_yaml
from config.rules import Rule, decide
from config.secrets_file import Entry
from config.settings import Settings
from config.stack import Stack
from flowmaster.adopt import write
from flowmaster.adopt.addition import add_conventions
from flowmaster.adopt.describe import Description, describe, images
from flowmaster.adopt.desired import desired_body
from flowmaster.adopt.edits import Edits, applied, changed
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.objects import manifest
from flowmaster.adopt.override import InexpressibleError, override
from flowmaster.cluster import inline_secrets
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState, is_terminating
from flowmaster.compare.finding import ABSENT, Action, Finding, FindingClass, ObjectRef
from flowmaster.compare.three_way import apply
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, findings_with_differences, reference
from flowmaster.render import microservice, names
from flowmaster.render.manifests import manifests

Body = dict[str, Any]
Chosen = Callable[[Finding], bool]
ACCEPTABLE = frozenset({FindingClass.DRIFT, FindingClass.FOREIGN, FindingClass.CONFLICT})
"""Classes of findings whose live value somebody set on the server."""
_NOTHING = "nothing was written"
_CHECKSUM = f"spec.template.metadata.annotations[{names.CONFIG_CHECKSUM}]"


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """Edits of the files, and the configuration that they make."""

    settings: Settings
    accepted: list[Finding]
    stack: Edits
    catalogue: Edits
    manifests: Mapping[str, Body] = field(default_factory=dict)
    """Changed manifests, by file in the catalogue's `objects` folder."""
    secrets: Mapping[Entry, str] = field(default_factory=dict, repr=False)
    """Accepted values for the secrets file."""
    left: Mapping[tuple[ObjectRef, str], str] = field(default_factory=dict)
    """Chosen fields (or whole objects) that cannot be declared, with the reasons."""
    restarted: tuple[str, ...] = ()
    """Services whose pods the next update restarts, since they read an accepted ConfigMap or Secret."""


@dataclass(frozen=True)
class _Bodies:
    """Objects with accepted findings, as declared and as accepted."""

    declared: Mapping[ObjectRef, Body]
    accepted: Mapping[ObjectRef, Body]
    findings: list[Finding]
    left: Mapping[ObjectRef, set[str]]
    """Paths of the findings that are not accepted, by object."""


def prepare(settings: Settings, live: LiveState, last: Applied, chosen: Chosen, root: Path) -> Acceptance:
    """Describe the accepted objects, and prove that their findings are gone. Writes nothing.

    A live value that cannot be declared is left out, with the reason (:attr:`Acceptance.left`); the rest is accepted.

    :param chosen: whether a finding is to be accepted; asked of those in :data:`ACCEPTABLE` only.
    :raises AdoptionError: if nothing is chosen, or nothing of it can be declared.
    """
    declared = {reference(dict(body), live.namespace): dict(body) for body in manifests(settings)}
    left: dict[tuple[ObjectRef, str], str] = {}

    def wanted(finding: Finding) -> bool:
        return chosen(finding) and (finding.object, "") not in left and (finding.object, finding.path) not in left

    while True:
        bodies = _bodies(declared, live, last, wanted, settings.stack.rules)
        if not bodies.findings:
            raise _nothing_accepted(left)
        try:
            acceptance = _attempt(settings, live, last, bodies, declared, root)
            wrong = _unproved(acceptance.settings, live, last, bodies)
        except _UndescribedError as err:
            left.update({(ref, ""): why for ref, why in err.reasons.items()})
            continue
        if not wrong:
            return replace(acceptance, left=left)
        mine = {(finding.object, finding.path) for finding in bodies.findings}
        places = {(ref, path) for ref, paths in wrong.items() for path in paths} & mine
        # where none of the accepted fields itself is wrong, the object as a whole cannot be said
        left.update(dict.fromkeys(places or {(ref, "") for ref in wrong}, "cannot be declared as it is on the server"))


def _nothing_accepted(left: Mapping[tuple[ObjectRef, str], str]) -> AdoptionError:
    for (ref, path), why in left.items():
        remedy = "write it into the catalogue or the stack by hand, or let `pulumi up` undo it"
        return AdoptionError(f"{ref} {path}".rstrip() + f": {why}", _NOTHING, remedy)
    return AdoptionError(
        "no difference on the server is chosen", _NOTHING, "see `flowmaster drift` for objects and fields"
    )


class _UndescribedError(Exception):
    """Objects that catalogue and stack have no form for, with the reasons."""

    def __init__(self, reasons: Mapping[ObjectRef, str]) -> None:
        super().__init__()
        self.reasons = reasons


def _attempt(
    settings: Settings,
    live: LiveState,
    last: Applied,
    bodies: _Bodies,
    declared: Mapping[ObjectRef, Body],
    root: Path,
) -> Acceptance:
    before = _described(settings, live, bodies.declared, declared)
    after = _described(settings, live, bodies.accepted, declared)
    whole: frozenset[str] = frozenset()
    for _ in range(2):
        acceptance = _edits(settings, live, bodies, before, after, whole, root)
        wrong = _unproved(acceptance.settings, live, last, bodies)
        # a field of which the entry says only a part, by a convention, is written out
        whole = frozenset(ref.name for ref in wrong)
        if not wrong:
            break
    return _with_overrides(acceptance, wrong, bodies, live, root) if wrong else acceptance


def _acceptable(finding: Finding, rules: Sequence[Rule]) -> bool:
    return finding.cls in ACCEPTABLE and decide(finding, rules) is not Action.IGNORE


def _bodies(
    declared: Mapping[ObjectRef, Body], live: LiveState, last: Applied, chosen: Chosen, rules: Sequence[Rule]
) -> _Bodies:
    comparison = Comparison(last, live, _masker(declared, live))
    before: dict[ObjectRef, Body] = {}
    after: dict[ObjectRef, Body] = {}
    findings: list[Finding] = []
    paths: dict[ObjectRef, set[str]] = {}
    for ref, body in declared.items():
        there = live.objects.get(ref)
        if there is None or ref.kind in live.unread or is_terminating(there):
            continue
        found = findings_with_differences(ref, body, there, comparison)
        mine = [f for differences, f in found if differences and _acceptable(f, rules) and chosen(f)]
        others = [(ds, f) for ds, f in found if f not in mine]
        paths[ref] = {f.path for _, f in others}
        if not mine:
            continue
        findings += mine
        before[ref] = body
        after[ref] = apply([difference for differences, _ in others for difference in differences], there)
    for ref in list(before):
        # a Deployment and its Service are one entry of the catalogue
        for kind in {"Deployment": ["Service"], "Service": ["Deployment"]}.get(ref.kind, []):
            partner = ObjectRef(kind, ref.namespace, ref.name)
            if partner in paths and partner not in before:
                before[partner] = after[partner] = declared[partner]
    return _Bodies(before, after, findings, {ref: paths[ref] for ref in before})


def _masker(declared: Mapping[ObjectRef, Body], live: LiveState) -> Masker:
    return Masker([*declared.values(), *(body for _, body in live.of("Secret"))])


def _described(
    settings: Settings, live: LiveState, bodies: Mapping[ObjectRef, Body], declared: Mapping[ObjectRef, Body]
) -> Description:
    """Describe these bodies as an adoption would describe them if they were live."""
    subset = replace(live, objects={**live.objects, **bodies})
    left = dict.fromkeys(subset.objects.keys() - bodies.keys(), "not accepted")
    raw = {reference(dict(body), live.namespace) for body in settings.objects.values()}
    description = describe(subset, settings.catalogue.registry, dict(images(live)), left, raw, declared.keys())
    refused = {ref: why for ref, why in description.unmanaged if ref in bodies} | description.inexpressible
    if refused:
        raise _UndescribedError(refused)
    add_conventions(settings, description)
    return description


def _edits(
    settings: Settings,
    live: LiveState,
    bodies: _Bodies,
    before: Description,
    after: Description,
    whole: frozenset[str],
    root: Path,
) -> Acceptance:
    """Return the edits that the descriptions differ by.

    :param whole: services of which a field is written as a whole, however little of it differs.
    """
    old, new = _parts(before), _parts(after)
    _move_external_services(settings, old, new)
    catalogue = changed(old, new)
    for path in [path for path in catalogue if path[0] == "services" and path[1] in whole and len(path) > 3]:
        del catalogue[path]
        catalogue[path[:3]] = new["services"][path[1]].get(path[2], ABSENT)
    releases = {name: _release(settings, name, release) for name, release in after.services.items()}
    stack = changed(
        {name: _release(settings, name, release) for name, release in before.services.items()}, releases, ("services",)
    )
    files = {reference(dict(body), live.namespace): file for file, body in settings.objects.items()}
    changed_manifests = {
        files[ref]: manifest(bodies.accepted[ref]) for ref in after.objects if ref in files and ref in bodies.left
    }
    values = {
        entry: value
        for entry, value in write.secret_values(after).items()
        if value != write.secret_values(before).get(entry)
    }
    acceptance = Acceptance(
        settings=settings,
        accepted=bodies.findings,
        stack=stack,
        catalogue=catalogue,
        manifests=changed_manifests,
        secrets=values,
    )
    return _with_baselines(_configured(acceptance, root), live, root)


def _parts(description: Description) -> Body:
    """Return the comparable parts of a description: without overrides, which are made by themselves."""
    found = {part: dict(description.catalogue.get(part, {})) for part in (*write.PARTS, "namespace")}
    found["services"] = {
        name: {key: value for key, value in entry.items() if key != "override"}
        for name, entry in found["services"].items()
    }
    # the order of keys says nothing
    found["secrets"] = {
        name: {key: sorted(value) if isinstance(value, list) else value for key, value in entry.items()}
        for name, entry in found["secrets"].items()
    }
    return found


def _move_external_services(settings: Settings, old: Body, new: Body) -> None:
    """Have an ExternalName service stay in `externalServices`.

    :raises _UndescribedError: if it became another type of Service. Declared in another part it would be another
        resource: Pulumi would adopt the object for that one, and then delete it for the former one.
    """
    for name in settings.catalogue.external_services:
        before, after = (parts["rawServices"].get(name) for parts in (old, new))
        if before is None or after is None:
            continue
        del old["rawServices"][name]
        old["externalServices"] = {**old["externalServices"], name: before["spec"].get("externalName")}
        target = after["spec"].get("externalName")
        if {**after, "spec": {**after["spec"], "externalName": None}} == {
            **before,
            "spec": {**before["spec"], "externalName": None},
        }:
            del new["rawServices"][name]
            new["externalServices"] = {**new["externalServices"], name: target}
        else:
            why = "an ExternalName service with another type or with labels of its own has no form in externalServices"
            raise _UndescribedError({ObjectRef("Service", settings.namespace, name): why})


def _release(settings: Settings, name: str, described: Body) -> Body:
    """Return a described release without an address that the stack does not pin."""
    pinned = settings.stack.services[name].cluster_ip if name in settings.stack.services else None
    return described if pinned else {key: value for key, value in described.items() if key != "clusterIP"}


def _configured(acceptance: Acceptance, root: Path) -> Acceptance:
    """Return the acceptance with the settings that its edits make."""
    settings = acceptance.settings
    values = settings.stack.model_dump(by_alias=True, exclude={"secrets", "sealed"}, exclude_unset=True)
    stack = load.validate(Stack, applied(acceptance.stack, values), "the stack that accept writes")
    merged: dict[str, dict[str, dict[str, SecretStr]]] = {
        group: {owner: dict(keys) for owner, keys in getattr(settings.stack, group).items()}
        for group in ("secrets", "sealed")
    }
    for entry, value in acceptance.secrets.items():
        merged[entry.group].setdefault(entry.owner, {})[entry.key] = SecretStr(value)
    written = read_yaml(load.catalogue_path(settings.stack, root))
    catalogue = load.validate(Catalogue, applied(acceptance.catalogue, written), "the catalogue that accept writes")
    objects = {**settings.objects, **acceptance.manifests}
    updated = replace(settings, stack=stack.model_copy(update=merged), catalogue=catalogue, objects=objects)
    return replace(acceptance, settings=updated)


def _with_baselines(acceptance: Acceptance, live: LiveState, root: Path) -> Acceptance:
    """Keep pods running that read an accepted ConfigMap or Secret, where their template has no checksum yet."""
    about = {finding.object.name for finding in acceptance.accepted if finding.object.kind in ("ConfigMap", "Secret")}
    edits, restarted = dict(acceptance.catalogue), []
    for name, entry in acceptance.settings.services.items() if about else ():
        sources = (*acceptance.settings.catalogue.env_from_of(name), *entry.config_sources)
        read = {getattr(s, "config_map", None) or getattr(s, "secret", None) for s in sources}
        template = (live.objects.get(ObjectRef("Deployment", live.namespace, name)) or {}).get("spec", {})
        annotations = template.get("template", {}).get("metadata", {}).get("annotations") or {}
        if not about & read or not template:
            continue
        checksum = microservice.config_checksum(acceptance.settings, name)
        if names.CONFIG_CHECKSUM in annotations:
            restarted += [name] if annotations[names.CONFIG_CHECKSUM] != checksum else []
        elif checksum != entry.config_baseline:
            edits["services", name, "configBaseline"] = checksum
    return _configured(replace(acceptance, catalogue=edits, restarted=tuple(restarted)), root)


def _unproved(settings: Settings, live: LiveState, last: Applied, bodies: _Bodies) -> dict[ObjectRef, set[str]]:
    """Return, by object, the fields that would differ from the server other than before."""
    declared = {reference(dict(body), live.namespace): dict(body) for body in manifests(settings)}
    comparison = Comparison(last, live, _masker(declared, live))
    wrong: dict[ObjectRef, set[str]] = {}
    for ref, left in bodies.left.items():
        if ref not in declared:
            wrong[ref] = set()
            continue
        found = findings_with_differences(ref, declared[ref], live.objects[ref], comparison)
        # another checksum restarts the pods, which is told, and is no field that somebody set
        if differing := ({finding.path for _, finding in found} ^ left) - {_CHECKSUM}:
            wrong[ref] = differing
    return wrong


def _with_overrides(
    acceptance: Acceptance, refs: Iterable[ObjectRef], bodies: _Bodies, live: LiveState, root: Path
) -> Acceptance:
    """Declare the accepted values in overrides, where typed fields do not say them."""
    settings, edits, secrets = acceptance.settings, dict(acceptance.catalogue), dict(acceptance.secrets)
    for ref in refs:
        entry = settings.services.get(ref.name)
        if entry is None or ref.kind not in ("Deployment", "Service"):
            continue
        part = ref.kind.lower()
        rest = {key: value for key, value in entry.override.items() if key != part}
        bare = entry.model_copy(update={"override": rest})
        services = {**settings.services, ref.name: bare}
        plain = replace(settings, catalogue=settings.catalogue.model_copy(update={"services": services}))
        wanted, found = desired_body(bodies.accepted[ref]), dict[str, str]()
        rendered: Any = microservice.service(plain, ref.name)
        if part == "service" and "clusterIP" in rendered["spec"]:
            wanted["spec"]["clusterIP"] = rendered["spec"]["clusterIP"]
        if part == "deployment":
            rendered = copy.deepcopy(microservice.deployment(plain, ref.name))
            wanted, found = inline_secrets.sealed(entry.container or ref.name, wanted, _masker({}, live))
            for body in (rendered, wanted):
                (body["spec"]["template"].get("metadata", {}).get("annotations") or {}).pop(names.CONFIG_CHECKSUM, None)
        try:
            patch = override(ref.kind, ref.name, rendered, wanted)
        except InexpressibleError:
            continue
        known = {key: value.get_secret_value() for key, value in settings.stack.sealed.get(ref.name, {}).items()}
        secrets |= {Entry("sealed", ref.name, k): value for k, value in found.items() if known.get(k) != value}
        edits["services", ref.name, "override", part] = inline_secrets.named(patch, found)
    return _configured(replace(acceptance, catalogue=edits, secrets=secrets), root)
