"""Secrets that stand in a Deployment in the clear are found wherever people write them, and nowhere else."""

from __future__ import annotations

from typing import Any

from flowmaster.adopt.backup import _with_secrets, _without_secrets
from flowmaster.adopt.desired import desired_body
from flowmaster.adopt.service import Context, _alone, describe
from flowmaster.cluster import inline_secrets
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ObjectRef
from flowmaster.compare.three_way import compare
from flowmaster.render import microservice
from tests.unit.adopt.bodies import COMMON, NAMESPACE, REGISTRY, Body, deployment, live, secret

KNOWN = "hunter2supersecret"
MASKER = Masker([secret("db", {"PASSWORD": KNOWN, "USER": "flowmaster"})])
SIDE = {
    "name": "side",
    "image": "busybox",
    "env": [{"name": "COPY", "value": f"say {KNOWN}"}, {"name": "MODE", "value": "flowmaster"}],
    "lifecycle": {"preStop": {"exec": {"command": ["/quit", "--token", "argument-99"]}}},
}
SECRETS = {
    "X": KNOWN,
    "CONN": "Server=db;Password=Str0ngPw!;",
    "DB_PASSWORD": "by its name",
    "web.args[0]": f"--password={KNOWN}",
    "web.args[1]": "--dsn=postgres://u:dsnpw55555@db/x",
    "web.args[3]": "argument-77",
    "web.readinessProbe.Authorization": "Bearer tok3nvalue",
    "podAnnotations[note]": f"made with {KNOWN}",
    "side.COPY": f"say {KNOWN}",
    "side.lifecycle.preStop.command[2]": "argument-99",
}


def _specimen() -> Body:
    body = deployment(
        "web",
        SIDE,
        args=[SECRETS["web.args[0]"], SECRETS["web.args[1]"], "--token", "argument-77", "--password=$(DB_PASSWORD)"],
        env=[
            {"name": "X", "value": KNOWN},
            {"name": "MODE", "value": "flowmaster"},
            {"name": "CONN", "value": SECRETS["CONN"]},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            {"name": "DB_PASSWORD", "value": "by its name"},
        ],
        readinessProbe={
            "httpGet": {
                "path": "/",
                "port": 1,
                "httpHeaders": [{"name": "Authorization", "value": "Bearer tok3nvalue"}],
            }
        },
    )
    body["spec"]["template"]["metadata"]["annotations"] = {"note": f"made with {KNOWN}", "checksum/secret": "0f9a"}
    return live(body)


def _described() -> Any:
    return describe("web", desired_body(_specimen()), None, REGISTRY, COMMON, Context(masker=MASKER))


def test_secrets_are_found_wherever_people_write_them() -> None:
    body, found = inline_secrets.sealed("web", _specimen(), MASKER)
    assert found == SECRETS
    assert not [value for value in SECRETS.values() if value in str(body)]


def test_the_entry_names_them_and_renders_them() -> None:
    described = _described()
    assert described.sealed == SECRETS
    assert not [value for value in SECRETS.values() if value in str(described.entry)]
    assert described.entry["env"]["X"] == described.entry["env"]["DB_PASSWORD"] == {"sealed": True}
    made: Any = microservice.deployment(_alone("web", described, REGISTRY, COMMON), "web")
    assert not compare(desired_body(_specimen()), desired_body(live(made)), schema=schema("Deployment"))
    assert made["spec"]["template"]["spec"]["containers"][0]["args"][3] == "argument-77"


def test_a_variable_beside_one_that_has_no_field_is_said_once() -> None:
    described = _described()
    [web, _] = described.entry["override"]["deployment"]["spec"]["template"]["spec"]["containers"]
    assert list(described.entry["env"]) == ["X", "MODE", "CONN", "DB_PASSWORD"]
    limit = {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
    assert web["env"] == [{**limit, "$after": "CONN"}]


def test_the_backup_has_none_of_them_and_puts_them_back() -> None:
    specimen, ref = _specimen(), ObjectRef("Deployment", NAMESPACE, "web")
    kept = _without_secrets(ref, specimen, {"web": SECRETS})
    assert not [value for value in SECRETS.values() if value in str(kept)]
    settings = _alone("web", _described(), REGISTRY, COMMON)
    back = _with_secrets(ref, kept, {}, settings)
    assert back["spec"] == specimen["spec"]


def test_a_sidecars_variable_of_the_same_name_is_its_own() -> None:
    side = {"name": "side", "image": "busybox", "env": [{"name": "X", "value": "plain"}]}
    body = live(deployment("web", side, env=[{"name": "X", "value": KNOWN}]))
    ref = ObjectRef("Deployment", NAMESPACE, "web")
    kept = _without_secrets(ref, body, {"web": {"X": KNOWN}})
    values = [c["env"][0]["value"] for c in kept["spec"]["template"]["spec"]["containers"]]
    assert values == [None, "plain"]


def test_a_secret_where_nobody_looks_for_one_is_found_before_it_is_written() -> None:
    volume = {"name": "disk", "csi": {"driver": "x", "volumeAttributes": {"key": KNOWN}}}
    body = live(deployment("web", pod={"volumes": [volume]}))
    entry = describe("web", desired_body(body), None, REGISTRY, COMMON, Context(masker=MASKER)).entry
    place = inline_secrets.revealed({"services": {"web": entry}}, MASKER)
    assert place is not None
    assert place.startswith("services.web.override.deployment.spec.template.spec.volumes[0].csi")
    assert inline_secrets.revealed({"services": {"web": _described().entry}}, MASKER) is None
