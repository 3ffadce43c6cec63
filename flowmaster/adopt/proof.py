"""The two proofs that an object can be adopted. Nothing is changed.

*Taken over, nothing changes*: what is declared, with the server's defaults filled in, is what is live; and the API
server itself, asked by a dry run as the manager that will apply, answers with the same object, pod template and
address. *Made again, it would be the same*: :mod:`flowmaster.adopt.recreation`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from config.rules import decide
from flowmaster.adopt.recreation import recreated
from flowmaster.cluster.connection import Api
from flowmaster.cluster.encoding import encoded, unsendable
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.normalise import normalise
from flowmaster.cluster.reader import LiveState
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import Action, ObjectRef
from flowmaster.compare.path import render
from flowmaster.compare.three_way import compare
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, findings_with_differences, reference
from flowmaster.render.names import FIELD_MANAGER

Body = dict[str, Any]
_AT_ONCE = 8
_PATHS_NAMED = 5
_OF_THE_SERVER = frozenset({"apiVersion", "kind", "metadata", "status"})


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Result of the proofs for one object. Without any entry, adoption changes nothing."""

    ref: ObjectRef
    changes: tuple[str, ...] = ()
    """Fields that would change, be added or be removed."""
    restarts: bool = False
    """Whether the pod template would change."""
    address: str = ""
    """The Service's ClusterIP, which stays."""
    refused: str = ""
    """The API server's message if it rejects the object."""
    remade: tuple[str, ...] = ()
    """Fields that would differ if the object were recreated."""
    unproved: str = ""
    """The API server's message if it rejects the creation of such an object."""

    @property
    def holds(self) -> bool:
        """Whether the object can be adopted without a change, and recreated as it is."""
        return not (self.changes or self.refused or self.restarts or self.remade or self.unproved)

    @property
    def possible(self) -> bool:
        """Whether the API server accepts the object, both as an update and recreated."""
        return not (self.refused or self.unproved)

    @property
    def why(self) -> str:
        """Why the proof fails; empty if it holds."""
        if self.refused:
            return f"cannot be applied: {self.refused}"
        if self.changes or self.restarts:
            named = _named(self.changes) or "its pod template"
            return f"taking it over would {'restart its pods, and ' if self.restarts else ''}change {named}"
        if self.unproved:
            return f"it cannot be tried whether it could be made again: {self.unproved}"
        return f"made again, it would differ in {_named(self.remade)}" if self.remade else ""


def _named(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_PATHS_NAMED]) + (f" and {len(paths) - _PATHS_NAMED} more" if paths[_PATHS_NAMED:] else "")


@dataclass
class Prover:
    """Proves objects of a live namespace. Results are cached by declared body."""

    api: Api
    live: LiveState
    _known: dict[tuple[ObjectRef, bytes], Proof] = field(default_factory=dict)

    def prove(self, declared: Sequence[Body]) -> list[Proof]:
        """Return a proof for each declared object that is live.

        :raises UnreachableError: where the API server is gone.
        """
        masker = Masker([*declared, *(body for _, body in self.live.of("Secret"))])
        comparison = Comparison(Applied(), self.live, masker)
        pairs = [(ref, body) for body in declared if (ref := reference(body, self.live.namespace)) in self.live.objects]
        keys = [(ref, encoded(body)) for ref, body in pairs]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tasks = {
                key: pool.submit(_prove, self.api, ref, body, self.live.objects[ref], comparison)
                for key, (ref, body) in zip(keys, pairs, strict=True)
                if key not in self._known
            }
        self._known |= {key: task.result() for key, task in tasks.items()}
        return [self._known[key] for key in keys]


def prove(api: Api, live: LiveState, declared: Sequence[Body]) -> list[Proof]:
    """Return a proof for each declared object that is live.

    :raises UnreachableError: where the API server is gone.
    """
    return Prover(api, live).prove(declared)


def taken_over(api: Api, live: LiveState, declared: Sequence[Body]) -> list[Proof]:
    """Return the first proof alone for each live declared object: it tells whether an update restarts pods.

    :raises UnreachableError: where the API server is gone.
    """
    masker = Masker([*declared, *(body for _, body in live.of("Secret"))])
    comparison = Comparison(Applied(), live, masker)
    pairs = [(ref, body) for body in declared if (ref := reference(body, live.namespace)) in live.objects]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [pool.submit(_taken_over, api, ref, body, live.objects[ref], comparison) for ref, body in pairs]
    return [task.result() for task in tasks]


def _prove(api: Api, ref: ObjectRef, declared: Body, live: Body, comparison: Comparison) -> Proof:
    if bad := unsendable(declared):
        places = tuple(dict.fromkeys(render(path) for path, _ in bad))
        words = f"the provider cannot send the character U+{ord(bad[0][1]):04X} of {_named(places)} as it is"
        return Proof(ref=ref, changes=places, refused=words)
    taken = _taken_over(api, ref, declared, live, comparison)
    if ref.kind == "Namespace" or not taken.possible:
        return taken
    remade, unproved = recreated(api, ref, declared, live)
    return replace(taken, remade=remade, unproved=unproved)


def _taken_over(api: Api, ref: ObjectRef, declared: Body, live: Body, comparison: Comparison) -> Proof:
    found = [finding for _, finding in findings_with_differences(ref, declared, live, comparison)]
    changes = [finding.path or "the whole object" for finding in found if decide(finding) is not Action.IGNORE]
    try:
        response = api.request(
            "PATCH",
            path_of(ref),
            {"dryRun": "All", "fieldManager": FIELD_MANAGER, "force": "true"},
            {"Content-Type": "application/apply-patch+yaml"},
            encoded(declared),
        )
    except UnreachableError:
        raise
    except ApiError as err:
        return Proof(ref=ref, changes=tuple(changes), refused=err.reason)
    result: Body = response.json()
    differences = compare(normalise(result), normalise(live), schema=schema(ref.kind))
    changes += [path for d in differences if (path := render(d.path)) not in changes]
    if not changes and (path := _unlike(result, live)):
        changes.append(path)
    address = str(live.get("spec", {}).get("clusterIP", "")) if ref.kind == "Service" else ""
    return Proof(
        ref=ref,
        changes=tuple(changes),
        restarts=_template(result) != _template(live),
        address=address,
    )


def _unlike(result: Body, live: Body) -> str:
    """Return the path of the first difference between two objects; empty if they are identical."""
    parts = (part for part in sorted(result.keys() | live.keys()) if part not in _OF_THE_SERVER)
    return next((part for part in parts if result.get(part) != live.get(part)), "")


def _template(body: Body) -> Any:
    template = body.get("spec", {}).get("template")
    return json.dumps(template, sort_keys=True) if template else None
