"""What was changed by hand on the server becomes what is declared: files are edited, and nothing else differs then."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from config import load
from config.catalogue import Catalogue
from config.load import validate
from config.settings import Settings
from config.stack import Stack
from flowmaster.adopt import acceptance
from flowmaster.adopt.acceptance_files import texts
from flowmaster.adopt.errors import AdoptionError
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ABSENT, Finding, ObjectRef
from flowmaster.compare.path import segments
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, findings_with_differences, reference
from flowmaster.render.manifests import manifests
from tests.unit.adopt.bodies import NAMESPACE, REGISTRY, Body, live

CATALOGUE = f"""\
# what each service is
registry: {REGISTRY}
configMaps:
  texts:
    data:
      title: Shop   # shown in the browser
secrets:
  keys: {{keys: [TOKEN]}}
externalServices: {{files: files.example.org}}
rawServices:
  gate: {{spec: {{type: ClusterIP, selector: {{app: web}}, ports: [{{port: 80}}]}}}}
services:
  web:
    port: 8000   # as its image listens
    memory: 64Mi
    env:
      LEVEL: info   # or debug
    envFrom: [{{configMap: texts}}]
  worker:
    memory: 64Mi
"""
STACK = """\
config:
  flowmaster:cluster: {context: any, namespace: shop}
  flowmaster:host: {address: h}
  flowmaster:catalogue: catalogue.yaml
  flowmaster:secrets: {keys: {TOKEN: as-declared-61}}
  flowmaster:services:
    web: {tag: r1}   # the page itself
    worker: {tag: r7, replicas: 2}
"""


NOTED = {"checksum/config", "deployment.kubernetes.io/revision"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    (tmp_path / "Pulumi.shop.yaml").write_text(STACK)
    values = {key.partition(":")[2]: value for key, value in yaml.safe_load(STACK)["config"].items()}
    return Settings(
        name="shop",
        stack=validate(Stack, values, "the test"),
        catalogue=validate(Catalogue, yaml.safe_load(CATALOGUE), "the test"),
        environ={},
    )


@pytest.fixture
def server(settings: Settings) -> LiveState:
    found = LiveState("https://10.77.0.2:6443", NAMESPACE)
    for body in manifests(settings):
        made = live(copy.deepcopy(dict(body)))
        if made["kind"] == "Service" and made["spec"].get("type") != "ExternalName":
            made["spec"]["clusterIP"] = f"10.43.0.{len(found.objects)}"
        found.objects[reference(dict(body), NAMESPACE)] = made
    return found


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, NAMESPACE if kind != "Namespace" else "", name)


def applied(settings: Settings) -> Applied:
    return Applied({reference(dict(body), NAMESPACE): dict(body) for body in manifests(settings)})


def found(settings: Settings, server: LiveState, last: Applied) -> list[Finding]:
    comparison = Comparison(last, server, Masker())
    return [
        finding
        for body in manifests(settings)
        for _, finding in findings_with_differences(
            reference(dict(body), NAMESPACE), dict(body), server.objects[reference(dict(body), NAMESPACE)], comparison
        )
    ]


def container(server: LiveState, name: str = "web") -> Body:
    body: Body = server.objects[ref("Deployment", name)]["spec"]["template"]["spec"]["containers"][0]
    return body


def accepted(
    settings: Settings, server: LiveState, root: Path, chosen: Callable[[Finding], bool] = lambda _: True
) -> tuple[Body, Body, acceptance.Acceptance]:
    """Accept; returns stack and catalogue as data, from files whose comments are all still there."""
    last = applied(settings)
    made = acceptance.prepare(settings, server, last, chosen, root)
    for path, (_, after) in texts(made, root).items():
        path.write_text(after)
    stack, catalogue = ((root / name).read_text() for name in ("Pulumi.shop.yaml", "catalogue.yaml"))
    assert "# the page itself" in stack
    assert all(text in catalogue for text in ("# what each service is", "# as its image listens", "# or debug"))
    left = found(made.settings, server, last)
    assert not [finding for finding in left if chosen(finding)]
    config = yaml.safe_load(stack)["config"]
    return config, yaml.safe_load(catalogue), made


def test_a_tag_is_one_line_of_the_stack(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    container(server)["image"] = f"{REGISTRY}/web:r2"
    config, catalogue, made = accepted(settings, server, tmp_path)
    assert config["flowmaster:services"] == {"web": {"tag": "r2"}, "worker": {"tag": "r7", "replicas": 2}}
    assert catalogue == yaml.safe_load(CATALOGUE)
    changed = texts(made, tmp_path)
    assert [path.name for path in changed] == ["Pulumi.shop.yaml"]
    [finding] = made.accepted
    assert finding.path.endswith("[web].image")


def test_replicas_and_a_digest_are_the_stacks(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    digest = "sha256:" + "5" * 64
    server.objects[ref("Deployment", "worker")]["spec"]["replicas"] = 3
    container(server, "worker")["image"] = f"{REGISTRY}/worker:r8@{digest}"
    config, _, _ = accepted(settings, server, tmp_path)
    assert config["flowmaster:services"]["worker"] == {"tag": "r8", "replicas": 3, "digest": digest}


def test_variables_are_the_catalogues(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    container(server)["env"] = [{"name": "LEVEL", "value": "debug"}, {"name": "TRACE", "value": "1"}]
    _, catalogue, _ = accepted(settings, server, tmp_path)
    assert catalogue["services"]["web"]["env"] == {"LEVEL": "debug", "TRACE": "1"}


def test_a_variable_that_was_removed_goes_from_the_catalogue(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    del container(server)["env"]
    last = applied(settings)
    made = acceptance.prepare(settings, server, last, lambda _: True, tmp_path)
    assert made.catalogue == {("services", "web", "env"): ABSENT}
    assert not found(made.settings, server, last)


def test_one_finding_of_several_is_accepted_alone(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    container(server)["image"] = f"{REGISTRY}/web:r2"
    container(server)["env"] = [{"name": "LEVEL", "value": "debug"}]
    _, catalogue, made = accepted(settings, server, tmp_path, lambda finding: finding.path.endswith(".image"))
    assert catalogue == yaml.safe_load(CATALOGUE)
    [left] = found(made.settings, server, applied(settings))
    assert left.path.endswith("env[LEVEL].value")


def test_what_no_typed_field_says_goes_into_the_override(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    container(server)["resources"]["limits"]["memory"] = "200Mi"
    container(server)["terminationMessagePolicy"] = "FallbackToLogsOnError"
    server.objects[ref("Deployment", "web")]["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    _, catalogue, _ = accepted(settings, server, tmp_path)
    entry = catalogue["services"]["web"]
    assert entry["resources"] == {"requests": {"memory": "64Mi"}, "limits": {"memory": "200Mi"}}
    assert entry["override"]["deployment"]["spec"]["template"]["spec"] == {
        "containers": [{"name": "web", "terminationMessagePolicy": "FallbackToLogsOnError"}],
        "nodeSelector": {"disk": "fast"},
    }


def test_a_secret_typed_in_clear_goes_into_the_encrypted_file(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    container(server)["env"] = [{"name": "LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": "by-hand-77"}]
    _, catalogue, made = accepted(settings, server, tmp_path)
    assert catalogue["services"]["web"]["env"]["DB_PASSWORD"] == {"sealed": True}
    assert {str(entry): value for entry, value in made.secrets.items()} == {"sealed/web/DB_PASSWORD": "by-hand-77"}
    assert not any("by-hand-77" in after for _, after in texts(made, tmp_path).values())


def test_values_of_a_secret_go_into_the_encrypted_file(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    server.objects[ref("Secret", "keys")]["data"]["TOKEN"] = "YnktaGFuZC03Nw=="
    _, catalogue, made = accepted(settings, server, tmp_path)
    assert catalogue == yaml.safe_load(CATALOGUE)
    assert {str(entry): value for entry, value in made.secrets.items()} == {"keys/TOKEN": "by-hand-77"}


def test_a_config_map_keeps_its_comments_and_its_readers_keep_running(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    server.objects[ref("ConfigMap", "texts")]["data"]["footer"] = "by hand"
    template = server.objects[ref("Deployment", "web")]["spec"]["template"]["metadata"]
    template["annotations"] = {key: value for key, value in template["annotations"].items() if "checksum" not in key}
    made = acceptance.prepare(
        settings, server, applied(settings), lambda finding: finding.object.kind == "ConfigMap", tmp_path
    )
    assert made.catalogue["configMaps", "texts", "data", "footer"] == "by hand"
    assert made.catalogue["services", "web", "configBaseline"]
    assert made.restarted == ()


def test_readers_with_a_checksum_are_told_to_restart(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    server.objects[ref("ConfigMap", "texts")]["data"]["title"] = "by hand"
    made = acceptance.prepare(
        settings, server, applied(settings), lambda finding: finding.object.kind == "ConfigMap", tmp_path
    )
    assert made.restarted == ("web",)


@pytest.mark.parametrize(
    ("kind", "name", "spec", "expected"),
    [
        ("Service", "files", {"externalName": "other.example.org"}, ("externalServices", "files")),
        ("Service", "gate", {"selector": {"app": "worker"}}, ("rawServices", "gate", "spec", "selector", "app")),
        ("Service", "web", {"publishNotReadyAddresses": True}, ("services", "web", "override", "service")),
    ],
)
def test_a_service_is_edited_where_it_is_declared(
    settings: Settings, server: LiveState, tmp_path: Path, kind: str, name: str, spec: Body, expected: tuple[str, ...]
) -> None:
    server.objects[ref(kind, name)]["spec"].update(spec)
    _, _, made = accepted(settings, server, tmp_path)
    assert any(path[: len(expected)] == expected or expected[: len(path)] == path for path in made.catalogue)
    assert made.stack == {}


def test_labels_of_the_namespace(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    server.objects[ref("Namespace", NAMESPACE)]["metadata"].setdefault("labels", {})["team"] = "blue"
    _, catalogue, _ = accepted(settings, server, tmp_path)
    assert catalogue["namespace"]["labels"]["team"] == "blue"


def test_what_cannot_be_declared_is_left_and_the_rest_is_accepted(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    server.objects[ref("Secret", "keys")]["data"]["TOKEN"] = "YnktaGFuZC03Nw=="
    del server.objects[ref("Secret", "keys")]["metadata"]["labels"]["app.kubernetes.io/part-of"]
    made = acceptance.prepare(settings, server, applied(settings), lambda _: True, tmp_path)
    assert [finding.path for finding in made.accepted] == ["data[TOKEN]"]
    [((about, path), why)] = made.left.items()
    assert (str(about), path) == ("Secret/keys", "metadata.labels[app.kubernetes.io/part-of]")
    assert why == "cannot be declared as it is on the server"


def test_where_nothing_can_be_declared_the_reason_is_the_error(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    del server.objects[ref("Secret", "keys")]["metadata"]["labels"]["app.kubernetes.io/part-of"]
    with pytest.raises(AdoptionError, match=r"Secret/keys .*: cannot be declared as it is on the server"):
        acceptance.prepare(settings, server, applied(settings), lambda _: True, tmp_path)


def test_nothing_chosen_is_an_error(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    container(server)["image"] = f"{REGISTRY}/web:r2"
    with pytest.raises(AdoptionError, match="no difference on the server is chosen"):
        acceptance.prepare(settings, server, applied(settings), lambda _: False, tmp_path)


def test_what_is_only_pending_is_not_accepted(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    last = applied(settings)
    stack = settings.stack.model_copy(
        update={
            "services": {
                **settings.stack.services,
                "web": load.validate(type(settings.release("web")), {"tag": "r3"}, "t"),
            }
        }
    )
    changed = Settings(name="shop", stack=stack, catalogue=settings.catalogue, environ={})
    with pytest.raises(AdoptionError, match="no difference on the server is chosen"):
        acceptance.prepare(changed, server, last, lambda _: True, tmp_path)


def test_edits_keep_what_they_do_not_touch() -> None:
    from flowmaster.adopt.edits import edited

    text = "a:\n  b: 1   # one\n  c: [x]\nd: {e: 2}\n"
    assert edited(text, {("a", "b"): 3, ("d", "e"): ABSENT, ("f", "g"): "on"}) == (
        "a:\n  b: 3   # one\n  c: [x]\nf:\n  g: 'on'\n"
    )


def test_an_override_has_neither_a_checksum_nor_what_controllers_note(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    server.objects[ref("ConfigMap", "texts")]["data"]["title"] = "by hand"
    server.objects[ref("Deployment", "web")]["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    notes = server.objects[ref("Deployment", "web")]["metadata"].setdefault("annotations", {})
    notes["deployment.kubernetes.io/revision"] = "7"
    _, catalogue, made = accepted(settings, server, tmp_path, lambda finding: not NOTED & set(segments(finding.path)))
    assert catalogue["services"]["web"]["override"] == {
        "deployment": {"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}}
    }
    assert made.restarted == ("web",)


def test_a_label_of_the_deployment_alone_does_not_get_to_its_service(
    settings: Settings, server: LiveState, tmp_path: Path
) -> None:
    server.objects[ref("Deployment", "web")]["metadata"]["labels"]["team"] = "blue"
    _, _, made = accepted(settings, server, tmp_path)
    assert not found(made.settings, server, applied(settings))


def test_an_address_that_the_stack_pins_stays_pinned(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    address = server.objects[ref("Service", "web")]["spec"]["clusterIP"]
    web = settings.stack.services["web"].model_copy(update={"cluster_ip": address})
    stack = settings.stack.model_copy(update={"services": {**settings.stack.services, "web": web}})
    pinned = replace(settings, stack=stack)
    server.objects[ref("Service", "web")]["metadata"]["labels"]["team"] = "blue"
    made = acceptance.prepare(pinned, server, applied(pinned), lambda _: True, tmp_path)
    assert made.catalogue == {("services", "web", "override", "service"): {"metadata": {"labels": {"team": "blue"}}}}


def test_an_external_service_of_another_type_is_left(settings: Settings, server: LiveState, tmp_path: Path) -> None:
    spec = {"type": "ClusterIP", "clusterIP": "10.43.0.99", "ports": [{"port": 5432, "protocol": "TCP"}]}
    server.objects[ref("Service", "files")]["spec"] = spec
    with pytest.raises(AdoptionError, match=r"Service/files: .* no form in externalServices"):
        acceptance.prepare(settings, server, applied(settings), lambda _: True, tmp_path)
