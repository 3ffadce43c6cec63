"""The proof, before anything is changed, that taking an object over changes nothing of it.

Twice over: what is declared, with the server's defaults filled in, is what is live, so nothing can be lost; and the API
server itself, asked by a dry run as the manager that will apply, answers with the same pod template and address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from config.rules import decide
from flowmaster.cluster.connection import Api
from flowmaster.cluster.encoding import encoded, unsendable
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.normalise import normalise
from flowmaster.cluster.reader import LiveState
from flowmaster.cluster.schema import schema
from flowmaster.cluster.writes import path_of
from flowmaster.compare.finding import Action, ObjectRef
from flowmaster.compare.path import render
from flowmaster.compare.three_way import compare
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, reference, settled
from flowmaster.render.names import FIELD_MANAGER

Body = dict[str, Any]
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the proof found about one object; with no changes, it stays as it is."""

    ref: ObjectRef
    changes: tuple[str, ...] = ()
    """Fields that would change, be added or be lost."""
    restarts: bool = False
    """Whether the pod template would change."""
    address: str = ""
    """The Service's address, which stays."""
    refused: str = ""
    """The API server's words where it does not even accept the object."""

    @property
    def holds(self) -> bool:
        """Whether the object can be taken over without a change."""
        return not self.changes and not self.refused


def prove(api: Api, live: LiveState, declared: Sequence[Body]) -> list[Proof]:
    """A proof for each declared object that is live.

    :raises UnreachableError: where the API server is gone.
    """
    masker = Masker([*declared, *(body for _, body in live.of("Secret"))])
    comparison = Comparison(Applied(), live, masker)
    pairs = [(ref, body) for body in declared if (ref := reference(body, live.namespace)) in live.objects]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [pool.submit(_prove, api, ref, body, live.objects[ref], comparison) for ref, body in pairs]
    return [task.result() for task in tasks]


def failures(proofs: Iterable[Proof]) -> list[Proof]:
    """The proofs that do not hold."""
    return [proof for proof in proofs if not proof.holds]


def _prove(api: Api, ref: ObjectRef, declared: Body, live: Body, comparison: Comparison) -> Proof:
    found = [finding for _, finding in settled(ref, declared, live, comparison)]
    changes = [finding.path or "the whole object" for finding in found if decide(finding) is not Action.IGNORE]
    if bad := unsendable(declared):
        words = f"the provider cannot send the character U+{ord(bad[0][1]):04X} as it is"
        return Proof(ref=ref, changes=tuple(dict.fromkeys(render(path) for path, _ in bad)), refused=words)
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
        return Proof(ref=ref, changes=tuple(changes), refused=err.found)
    result: Body = response.json()
    differences = compare(normalise(result), normalise(live), schema=schema(ref.kind))
    changes += [path for d in differences if (path := render(d.path)) not in changes]
    address = str(live.get("spec", {}).get("clusterIP", "")) if ref.kind == "Service" else ""
    return Proof(
        ref=ref,
        changes=tuple(changes),
        restarts=_template(result) != _template(live),
        address=address,
    )


def _template(body: Body) -> Any:
    template = body.get("spec", {}).get("template")
    return json.dumps(template, sort_keys=True) if template else None
