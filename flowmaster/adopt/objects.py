"""Converts live objects of any kind to manifests, without the fields that the server added. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from config.rules import CONTROLLERS
from flowmaster.cluster import field_managers, inline_secrets
from flowmaster.cluster.copies import copies
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import SLICE_CONTROLLER, SLICE_CONTROLLERS, LiveState
from flowmaster.compare.finding import ObjectRef
from flowmaster.compare.path import Key
from flowmaster.drift.objects import reference

Body = dict[str, Any]
_OF_SERVER = ("pv.kubernetes.io/*", "volume.kubernetes.io/*", "volume.beta.kubernetes.io/*", "deprecated.daemonset.*")
"""Annotations that controllers of Kubernetes write."""
_ONCE = frozenset({"Job", "Pod"})
_UNSAFE = re.compile(r"[^a-z0-9.-]+")


def manifest(live: Body) -> Body:
    """Return the object without status, namespace, and metadata of the server."""
    body = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    found = body.pop("metadata")
    metadata: Body = {"name": found["name"]}
    if found.get("labels"):
        metadata["labels"] = found["labels"]
    annotations = {k: v for k, v in (found.get("annotations") or {}).items() if not _of_server(live, k)}
    for key in copies(live):
        annotations.pop(key, None)
    if annotations:
        metadata["annotations"] = annotations
    for claim in (body.get("spec") or {}).get("volumeClaimTemplates") or () if live["kind"] == "StatefulSet" else ():
        claim.pop("status", None)
        claim["metadata"].pop("creationTimestamp", None)
    template = (body.get("spec") or {}).get("template")
    if isinstance(template, dict) and isinstance(template.get("metadata"), dict):
        template["metadata"].pop("creationTimestamp", None)
    return {"apiVersion": body.pop("apiVersion"), "kind": body.pop("kind"), "metadata": metadata, **body}


def _of_server(live: Body, annotation: str) -> bool:
    if any(fnmatchcase(annotation, pattern) for pattern in _OF_SERVER):
        return True
    owners = field_managers.owners(live, ("metadata", "annotations", Key(annotation)))
    return bool(owners) and all(owner.manager in CONTROLLERS for owner in owners)


def reason_unmanaged(ref: ObjectRef, body: Body, live: LiveState) -> str | None:
    """Return why an object cannot be a manifest: empty if it needs no mention, None if it can be one."""
    if owners := body["metadata"].get("ownerReferences"):
        return "" if ref.kind in _ONCE else f"made by {owners[0]['kind']}/{owners[0]['name']}"
    if ref.kind == "Job":
        return "a Job runs once: made again, it would run again"
    if ref.kind == "Pod":
        return "a bare pod: nothing would make it again as it is"
    if ref.kind == "PersistentVolumeClaim" and (owner := _claimed_by(ref, live)):
        return f"made by StatefulSet/{owner} from its volumeClaimTemplates"
    if (body["metadata"].get("labels") or {}).get(SLICE_CONTROLLER) in SLICE_CONTROLLERS:
        return ""
    return None


def plaintext_secret(body: Body, masker: Masker) -> str | None:
    """Return the path of the first plain-text secret in an object; None if there is none.

    Besides what a Secret holds and what its form gives away, a value counts whose variable, header or option tells.
    """
    for template in _templates(body.get("spec") or {}):
        pods = {"spec": {"template": template}}
        for place in inline_secrets.places("", pods):
            if inline_secrets.is_secret(place.name, place.text, masker):
                return place.key
    return inline_secrets.revealed({key: value for key, value in body.items() if key != "metadata"}, masker)


def _templates(spec: Body) -> Iterator[Body]:
    for holder in (spec, (spec.get("jobTemplate") or {}).get("spec") or {}):
        template = holder.get("template")
        if isinstance(template, dict) and isinstance((template.get("spec") or {}).get("containers"), list):
            yield template


def files(
    declared: Mapping[str, Mapping[str, Any]], found: Mapping[ObjectRef, Body], namespace: str
) -> dict[str, Body]:
    """Return the manifests by file. An object that has a file keeps it; others get a new file.

    :param declared: the manifests that there are, by file.
    """
    known = {reference(dict(body), namespace): where for where, body in declared.items()}
    result: dict[str, Body] = {}
    for ref, body in found.items():
        where = known.get(ref) or file_name(ref, (*declared, *result))
        result[where] = body
    return result


def _claimed_by(ref: ObjectRef, live: LiveState) -> str:
    """Return the StatefulSet that created a claim. The claim's name is TEMPLATE-SET-NUMBER."""
    for other, body in live.of("StatefulSet"):
        for template in (body.get("spec") or {}).get("volumeClaimTemplates") or ():
            if re.fullmatch(rf"{re.escape(template['metadata']['name'])}-{re.escape(other.name)}-\d+", ref.name):
                return other.name
    return ""


def file_name(ref: ObjectRef, taken: Iterable[str] = ()) -> str:
    """Return a free file name for an object, such as `ingress-web.yaml`. Case does not count."""
    plain = _UNSAFE.sub("-", f"{ref.kind}-{ref.name}".lower())
    lowered = {name.lower() for name in taken}
    number, name = 1, f"{plain}.yaml"
    while name in lowered:
        number += 1
        name = f"{plain}-{number}.yaml"
    return name
