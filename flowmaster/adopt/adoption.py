"""The steps of an adoption: read, describe, prove, back up, write. Does not write to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from config import load, secret_store
from config.catalogue import Catalogue
from config.reverse_proxy import Recorded
from config.rules import decide
from config.secrets_file import Values
from config.settings import Settings
from config.stack_file import replace_files
from flowmaster.adopt import backup, inventory, provable, site_adoption, write
from flowmaster.adopt.describe import Description, plaintext_secrets
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.objects import files as object_files
from flowmaster.adopt.proof import Proof, prove
from flowmaster.adopt.provable import DEFAULTS, Options
from flowmaster.adopt.sites import AdoptedSite
from flowmaster.adopt.unmanaged import rules as unmanaged_rules
from flowmaster.adopt.write import Draft
from flowmaster.cluster import reader
from flowmaster.cluster.connection import Api, UnreachableError, identity
from flowmaster.cluster.inline_secrets import revealed
from flowmaster.cluster.kinds import kind_name
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import Action, ObjectRef
from flowmaster.drift import host as host_source
from flowmaster.drift.engine import read_declared
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, reference, undeclared
from flowmaster.render import microservice
from flowmaster.render.manifests import manifests

Body = dict[str, Any]
OBJECTS = "objects"
"""The default folder of manifests, beside the catalogue."""


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """An adoption that can be written: the new configuration, and the proof that nothing changes."""

    settings: Settings
    """The settings after the adoption."""
    live: reader.LiveState
    description: Description
    proofs: list[Proof]
    uid: str
    rules: Sequence[Body] = ()
    """Rules that ignore unmanaged objects."""
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The manifests as declared before, by file."""
    added: frozenset[ObjectRef] = frozenset()
    """The objects added to an adopted stack; empty if the whole configuration is written anew."""
    sites: Mapping[str, AdoptedSite] = field(default_factory=dict)
    """The nginx sites on the server that are adopted."""
    sites_refused: Mapping[str, str] = field(default_factory=dict)
    """The nginx sites that are left as they are, and taken out of the stack, with why."""
    sites_left: Sequence[tuple[str, str]] = ()
    """Files of other enabled sites, each with what it serves. They are not adopted."""
    recorded: Recorded | None = None
    """What the sites inherit from other files of nginx."""


def read(api: Api, namespace: str) -> reader.LiveState:
    """Read the live namespace.

    :raises AdoptionError: where not all of it can be read, or there is none.
    """
    live = reader.read(api, namespace, derived=True)
    if live.unreachable:
        raise UnreachableError(live.unreachable, "nothing was read and nothing was changed", "check KUBECONFIG")
    for kind, reason in live.unread.items():
        raise AdoptionError(
            f"objects of kind {kind} cannot be read: {reason}",
            "what is not seen cannot be taken over, and might be lost later",
            "use a kubeconfig whose user may list them",
        )
    if not live.exists:
        raise AdoptionError(
            f"there is no namespace {namespace}",
            "there is nothing to take over",
            "correct flowmaster:cluster.namespace, or make everything anew with `pulumi up`",
        )
    return live


def prepare(api: Api, settings: Settings, live: reader.LiveState, options: Options = DEFAULTS) -> Adoption:
    """Describe a live namespace, and prove that managing it changes nothing. Writes nothing.

    An object that cannot be described, or of which that cannot be proved, is left as it is, and so is what somebody
    else keeps.

    :raises AdoptionError: where the namespace itself, or with `strict` any object, cannot be taken over.
    :raises HostError: where the stack has sites of nginx, and the server cannot be read over SSH.
    """
    host = host_source.start_reading(settings, ask=False, always=bool(options.sites))
    masker = Masker(body for _, body in live.of("Secret"))
    _refuse_secrets(live, masker)
    uid = identity(api)
    known = {(ref.kind, ref.name) for ref in live.objects}
    unread = read_all(api, live)
    found = provable.provable(api, settings, live, options, lambda description: settings_of(settings, description, uid))
    description, adopted = found.description, found.settings
    _refuse_revealed(description, masker)
    description.unread += unread
    declared = {reference(dict(body), live.namespace) for body in manifests(adopted)}
    found_undeclared = undeclared(declared, Comparison(Applied(), live, masker))
    # no report tells of an object of a kind that is read only where one is declared
    unmanaged = [finding for finding in found_undeclared if (finding.object.kind, finding.object.name) in known]
    of_nginx = site_adoption.prepare(adopted, live, host, options, masker) if host is not None else site_adoption.NONE
    return Adoption(
        settings=adopted,
        live=live,
        description=description,
        proofs=found.proofs,
        uid=uid,
        declared=settings.objects,
        rules=unmanaged_rules(unmanaged, settings.stack.rules),
        sites=of_nginx.sites,
        sites_refused=of_nginx.refused,
        sites_left=of_nginx.left,
        recorded=of_nginx.recorded,
    )


def read_all(api: Api, live: reader.LiveState) -> list[tuple[str, str]]:
    """Add the objects of all other kinds to a live namespace; returns the kinds that could not be read, and why."""
    rest = inventory.others(api, live)
    further = [(v, ObjectRef(kind_name(v, r.kind), r.namespace, r.name)) for r, v in rest.objects]
    reader.read_more(api, live, further)
    return [*rest.unread, *sorted(live.unread.items())]


def _refuse_secrets(live: reader.LiveState, masker: Masker) -> None:
    """Refuse secrets in the namespace object, where they can be neither sealed nor omitted."""
    for ref, body in live.of("Namespace"):
        if places := plaintext_secrets(body, masker):
            raise AdoptionError(
                f"{ref}: a secret stands in {places[0]} in the clear",
                "the catalogue and the state would have it in the clear, too",
                "remove the annotation, or move what it says into a Secret",
            )


def _refuse_revealed(description: Description, masker: Masker) -> None:
    """Refuse secrets in unexpected places, where none was sealed."""
    place = revealed(description.catalogue, masker)
    if place is not None:
        raise AdoptionError(
            f"a secret stands in the clear in what would be {place} of the catalogue",
            "neither the catalogue nor the state would keep it a secret",
            "move it into a Secret",
        )


def drafts(adoption: Adoption, root: Path) -> tuple[Draft, Draft, list[Draft]]:
    """Return the stack file, the catalogue file, and the manifests and templates of sites that change."""
    stack_file = load.stack_path(adoption.settings.name, root)
    catalogue_file = root / load.catalogue_path(adoption.settings.stack, root)
    sites = {name: site.data for name, site in adoption.sites.items()}
    marks = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "uid": adoption.uid}
    original = stack_file.read_text(encoding="utf-8")
    before = catalogue_file.read_text(encoding="utf-8") if catalogue_file.exists() else ""
    description = adoption.description
    if adoption.added:
        return (
            Draft(
                path=stack_file,
                before=original,
                after=write.added_to_stack(original, description.services, adoption.added),
            ),
            Draft(path=catalogue_file, before=before, after=write.added_to_catalogue(before, description.catalogue)),
            _manifests(adoption, catalogue_file.parent),
        )
    text = write.stack_text(original, description.services, marks, adoption.rules)
    text = write.with_sites(text, sites, adoption.sites_refused, adoption.recorded)
    return (
        Draft(path=stack_file, before=write.without_secrets(original), after=text),
        Draft(path=catalogue_file, before=before, after=write.catalogue_text(description.catalogue)),
        [*_manifests(adoption, catalogue_file.parent), *site_adoption.drafts(adoption.sites, stack_file.parent)],
    )


def _manifests(adoption: Adoption, beside: Path) -> list[Draft]:
    """Return the files of objects adopted as manifests, unless they already say the same."""
    folder = beside / (adoption.settings.catalogue.objects or "")
    before, found = adoption.declared, []
    for where, body in adoption.settings.objects.items():
        if before.get(where) != body:
            path = folder / where
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            found.append(Draft(path=path, before=text, after=write.manifest_text(dict(body))))
    return found


def diffs(adoption: Adoption, root: Path) -> Iterator[str]:
    """Return a diff of each file that would be written. Secret values are never shown."""
    stack, catalogue, others = drafts(adoption, root)
    yield from map(write.diff, (stack, catalogue, *others))
    if secrets := write.secret_values(adoption.description):
        yield f"and, encrypted, {len(secrets)} values of secrets: {', '.join(map(str, secrets))}"


def save(adoption: Adoption, root: Path, say: Callable[[str], None]) -> Path:
    """Back up the live objects, then write catalogue and stack. Returns the backup.

    :raises UserError: where something cannot be written; then nothing is.
    """
    stack, description = adoption.settings.name, adoption.description
    values = write.secret_values(description)
    with secret_store.opened(stack, root) as store:
        say(f"encrypting {len(values)} secret values")
        there = store.values()
        others = there if adoption.added else of_compose(there)
        secrets = {store.file: store.text({**others, **values})} if values or store.file.exists() else {}
        # not before: a data key that was made just now is in the stack's file
        stack_draft, catalogue_draft, manifest_drafts = drafts(adoption, root)
        managed = {proof.ref for proof in adoption.proofs}
        objects = [(ref, body) for ref, body in adoption.live.objects.items() if ref in managed]
        saved = backup.write(catalogue_draft.path.parent / backup.FOLDER, objects, description.sealed)
        if adoption.settings.catalogue.objects is not None:
            (catalogue_draft.path.parent / adoption.settings.catalogue.objects).mkdir(exist_ok=True)
        written = {draft.path: draft.after for draft in (*manifest_drafts, catalogue_draft)}
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_files({**written, **secrets, stack_draft.path: stack_draft.after})
    return saved


def of_compose(values: Values) -> Values:
    """Return the secret values of compose projects, which an adoption keeps. All others are written anew."""
    return {entry: value for entry, value in values.items() if entry.group in ("compose", "sources")}


def settings_of(settings: Settings, description: Description, uid: str) -> Settings:
    """Return the settings from the description, with the baseline of each service's configuration."""
    stack_values = {
        **settings.stack.model_dump(by_alias=True, exclude={"services", "secrets", "sealed", "adopted"}),
        "services": description.services,
        "adopted": {"at": "now", "uid": uid},
    }
    stack = load.validate(type(settings.stack), stack_values, "the stack that adopt writes").model_copy(
        update={
            "secrets": as_secrets(description.secrets),
            "sealed": as_secrets(description.sealed),
            # with the texts of templates
            "reverse_proxy": settings.stack.reverse_proxy,
        }
    )
    objects = _objects(settings, description)
    if objects:
        description.catalogue["objects"] = settings.catalogue.objects or OBJECTS
    first = replace(settings, stack=stack, catalogue=_catalogue(description), objects=objects)
    set_baselines(first, description)
    return replace(first, catalogue=_catalogue(description))


def set_baselines(settings: Settings, description: Description) -> None:
    """Set the checksum of the configuration with which each service's pods were started."""
    for name, entry in description.catalogue["services"].items():
        if checksum := microservice.config_checksum(settings, name):
            entry["configBaseline"] = checksum


def _objects(settings: Settings, description: Description) -> dict[str, Body]:
    """Return the manifests by file: those of the description, and those of objects that are not live."""
    namespace = settings.namespace
    left = {ref for ref, _ in description.unmanaged}
    made = object_files(settings.objects, description.objects, namespace)
    pending = {
        where: dict(body)
        for where, body in settings.objects.items()
        if reference(dict(body), namespace) not in left | description.objects.keys()
    }
    return {**pending, **made}


def _catalogue(description: Description) -> Catalogue:
    return load.validate(Catalogue, description.catalogue, "the catalogue that adopt writes")


def as_secrets(values: dict[str, dict[str, str]]) -> dict[str, dict[str, SecretStr]]:
    return {name: {key: SecretStr(value) for key, value in keys.items()} for name, keys in values.items()}


def is_described(settings: Settings, proofs: list[Proof], live: reader.LiveState) -> bool:
    """Return whether the current configuration already describes the live namespace."""
    comparison = Comparison(Applied(), live, Masker(body for _, body in live.of("Secret")))
    others = undeclared({proof.ref for proof in proofs}, comparison)
    unknown = [
        finding
        for finding in others
        if finding.object.kind == "Deployment" and decide(finding, settings.stack.rules) is not Action.IGNORE
    ]
    return settings.stack.adopted is not None and not unknown and all(proof.holds for proof in proofs)


def prove_configured(api: Api, settings: Settings, live: reader.LiveState) -> list[Proof]:
    """Return the proofs for the current configuration."""
    bodies = [dict(body) for body in manifests(settings)]
    read_declared(api, live, bodies)
    return prove(api, live, bodies)
