"""One odd object is left as it is, and the rest is taken over; with --strict nothing is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from config.catalogue import Catalogue
from config.load import validate
from config.settings import Settings
from config.stack import Stack
from flowmaster.adopt.adoption import settings_of
from flowmaster.adopt.errors import AdoptionError
from flowmaster.adopt.proof import Proof
from flowmaster.adopt.provable import Options, Provable, provable
from flowmaster.cluster.connection import Response
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef
from tests.unit.adopt.bodies import NAMESPACE, REGISTRY, Body, config_map, deployment, service, state

SETTINGS = Settings(
    name="shop",
    stack=validate(
        Stack,
        {"cluster": {"context": "any", "namespace": NAMESPACE}, "host": {"address": "h", "user": "u"}, "services": {}},
        "the test",
    ),
    catalogue=validate(Catalogue, {"registry": REGISTRY, "services": {}}, "the test"),
    environ={},
)


class Server:
    """An API server that answers a dry run with the object as it is, but for those that a test speaks of."""

    server = "https://10.77.0.2:6443"

    def __init__(self, live: LiveState) -> None:
        self.live = {(ref.kind, ref.name): body for ref, body in live.objects.items()}
        self.refused: dict[str, str] = {}
        """What it says to an apply of an object, by name."""
        self.rolled: set[str] = set()
        """Names of Deployments whose template it gives back changed."""
        self.otherwise: dict[str, Body] = {}
        """Parts of the spec that an object made again would have, by the name of the one it is to be like."""

    def request(self, method: str, path: str, parameters: Body, _headers: Body, body: bytes) -> Response:
        """An apply that changes nothing."""
        assert (method, parameters["dryRun"]) == ("PATCH", "All")
        sent = json.loads(body)
        again = path.rpartition("/")[2].startswith("proof-of-adoption-")
        result = copy.deepcopy(self._alike(sent) if again else self.live[sent["kind"], sent["metadata"]["name"]])
        name = result["metadata"]["name"]
        if name in self.refused and not again:
            raise ApiError("no", status=500, reason=self.refused[name])
        if name in self.rolled:
            result["spec"]["template"]["spec"]["affinity"] = {}
        if again:
            result.get("spec", {}).update(self.otherwise.get(name, {}))
        return Response(200, {}, json.dumps(result).encode())

    def _alike(self, sent: Body) -> Body:
        """The live object that one under another name was made from."""
        same = [b for (kind, _), b in self.live.items() if kind == sent["kind"] and _known_by(b) == _known_by(sent)]
        return same[0]


def _known_by(body: Body) -> Any:
    spec = body.get("spec", {})
    return spec.get("selector") or body.get("data")


def prepared(live: LiveState, server: Server, **options: Any) -> Provable:
    api: Any = server
    return provable(api, SETTINGS, live, Options(**options), lambda found: settings_of(SETTINGS, found, "u"))


@pytest.fixture
def live() -> LiveState:
    return state(
        deployment("odd"),
        deployment("web", envFrom=[{"configMapRef": {"name": "texts"}}]),
        service("web", [{"port": 80, "targetPort": 80}], clusterIP="10.43.0.9"),
        config_map("texts", {"a": "b"}),
    )


def test_where_all_is_proved_all_is_taken(live: LiveState) -> None:
    found = prepared(live, Server(live))
    assert all(proof.holds for proof in found.proofs)
    assert len(found.proofs) == len(live.objects)
    assert not found.description.unmanaged


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"refused": {"odd": "500 duplicate entries"}}, "cannot be applied: 500 duplicate entries"),
        ({"rolled": {"odd"}}, "taking it over would restart its pods, and change spec.template.spec.affinity"),
        ({"otherwise": {"odd": {"paused": True}}}, "made again, it would differ in spec.paused"),
    ],
    ids=str,
)
def test_one_odd_object_is_left_with_its_reason_and_the_rest_is_taken(
    live: LiveState, what: dict[str, Any], words: str
) -> None:
    server = Server(live)
    vars(server).update(what)
    found = prepared(live, server)
    assert [(str(ref), why) for ref, why in found.description.unmanaged] == [("Deployment/odd", words)]
    assert set(found.settings.services) == {"web"}
    assert all(proof.holds for proof in found.proofs)
    with pytest.raises(AdoptionError, match=r"Deployment/odd: .*"):
        prepared(live, server, strict=True)


def test_all_reasons_are_told_at_once_each_once(live: LiveState) -> None:
    server = Server(live)
    server.refused = dict.fromkeys(("odd", "web"), "500 no")
    with pytest.raises(AdoptionError) as refused:
        prepared(live, server, strict=True)
    assert "3 of the objects" in refused.value.found
    assert refused.value.found.count("500 no") == 1


def test_what_reads_an_object_that_is_left_keeps_its_reference(live: LiveState) -> None:
    server = Server(live)
    server.refused = {"texts": "422 no"}
    found = prepared(live, server)
    assert [str(ref) for ref, _ in found.description.unmanaged] == ["ConfigMap/texts"]
    container = found.description.catalogue["services"]["web"]["override"]["deployment"]["spec"]["template"]["spec"]
    assert container["containers"][0]["envFrom"] == [{"configMapRef": {"name": "texts"}}]


def test_a_restart_that_is_asked_for_is_taken_and_told(live: LiveState) -> None:
    server = Server(live)
    server.rolled = {"odd"}
    found = prepared(live, server, restart=frozenset({"odd"}))
    proofs: dict[str, Proof] = {str(proof.ref): proof for proof in found.proofs}
    assert proofs["Deployment/odd"].restarts
    assert not found.description.unmanaged


def test_what_the_server_refuses_is_left_however_it_is_asked_for(live: LiveState) -> None:
    server = Server(live)
    server.refused = {"odd": "500 no"}
    found = prepared(live, server, restart=frozenset({"odd"}))
    assert [str(ref) for ref, _ in found.description.unmanaged] == ["Deployment/odd"]


@pytest.mark.parametrize("options", [{"restart": frozenset({"wbe"})}, {"take": frozenset({"Deployment/wbe"})}])
def test_a_name_that_is_not_there_is_refused(live: LiveState, options: dict[str, Any]) -> None:
    with pytest.raises(AdoptionError, match="wbe"):
        prepared(live, Server(live), **options)


def test_the_namespace_itself_cannot_be_left(live: LiveState) -> None:
    server = Server(live)
    server.refused = {NAMESPACE: "403 no"}
    with pytest.raises(AdoptionError, match=f"Namespace/{NAMESPACE}"):
        prepared(live, server)


def test_what_no_model_holds_becomes_a_manifest(live: LiveState) -> None:
    body = copy.deepcopy(live.objects[ObjectRef("ConfigMap", NAMESPACE, "texts")])
    body["metadata"]["name"], body["data"] = "Odd_Name", {"c": "d"}
    live.objects[ObjectRef("ConfigMap", NAMESPACE, "Odd_Name")] = body
    found = prepared(live, Server(live))
    assert found.description.unmanaged == []
    ((where, kept),) = found.settings.objects.items()
    assert (where, kept["kind"], kept["data"]) == ("configmap-odd-name.yaml", "ConfigMap", {"c": "d"})


def test_a_manifest_that_cannot_be_proved_is_left(live: LiveState) -> None:
    body = copy.deepcopy(live.objects[ObjectRef("ConfigMap", NAMESPACE, "texts")])
    body["metadata"]["name"], body["data"] = "Odd_Name", {"c": "d"}
    live.objects[ObjectRef("ConfigMap", NAMESPACE, "Odd_Name")] = body
    server = Server(live)
    server.refused = {"Odd_Name": "422 no"}
    found = prepared(live, server)
    assert [(str(ref), why) for ref, why in found.description.unmanaged] == [
        ("ConfigMap/Odd_Name", "cannot be applied: 422 no")
    ]
    assert found.settings.objects == {}
