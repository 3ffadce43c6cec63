"""Nothing secret gets out: not by its place, not by its name, not by turning up somewhere else."""

from __future__ import annotations

import json

import pytest

from flowmaster.cluster.masking import Masker, plain, telling
from flowmaster.compare.finding import OPAQUE
from flowmaster.compare.path import Item, Key
from flowmaster.report import as_json, markdown
from tests.unit.drift.server import CONTAINER, Server, named

SECRET = "correct horse battery staple"
MASKER = Masker([{"kind": "Secret", "stringData": {"a": SECRET, "short": "abc"}, "data": {"b": "c3dvcmRmaXNo"}}])
ENV = ("spec", "containers", Item(("name",), ("web",)), "env")


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "JWT_SECRET", "GEMINI_API_KEY", "token", "aws-secret", "PRIVATE_KEY", "client_credentials"]
)
def test_a_name_that_tells(name: str) -> None:
    assert telling(name)


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "MONKEY", "TOKEN_URL", "SECRET_NAME", "PASSWORD_FILE", "KEYBOARD", "PORT"]
)
def test_a_name_that_tells_nothing(name: str) -> None:
    assert not telling(name)


@pytest.mark.parametrize(
    ("kind", "path", "value", "shown"),
    [
        ("Secret", ("data", Key("a")), "c3dvcmRmaXNo", "(secret, 9 bytes)"),
        ("Secret", ("data",), {"a": "c3dvcmRmaXNo"}, {"a": "(secret, 9 bytes)"}),
        ("Secret", ("data", Key("a")), OPAQUE, "(secret)"),
        ("Deployment", (*ENV, Item(("name",), ("DB_PASSWORD",)), "value"), "hunter2", "(secret, 7 bytes)"),
        ("Deployment", (*ENV, Item(("name",), ("X",))), {"name": "DB_PASSWORD", "value": "x"},
         {"name": "DB_PASSWORD", "value": "(secret, 1 bytes)"}),
        ("Deployment", (*ENV, Item(("name",), ("X",)), "value"), SECRET, "(secret, 28 bytes)"),
        ("ConfigMap", ("data", Key("x")), f"a={SECRET};b=swordfish", "a=(secret);b=(secret)"),
        ("ConfigMap", ("data", Key("api-key")), "abcdef", "(secret, 6 bytes)"),
        ("ConfigMap", ("data", Key("url")), "amqp://guest:hunter2@mq:5672/", "amqp://guest:(secret)@mq:5672/"),
        ("ConfigMap", ("data", Key("conn")), "Server=db;Password=Str0ngPw!;Pooling=true",
         "Server=db;Password=(secret);Pooling=true"),
        ("ConfigMap", ("data", Key("dsn")), "host=db user=u password=kvpw99999", "host=db user=u password=(secret)"),
        ("ConfigMap", ("data", Key("ini")), "pwd = 'a b'\nport = 1", "pwd = (secret)\nport = 1"),
        ("Deployment", ("args",), ["--api-key=x1", "--password=$(DB)"], ["--api-key=(secret)", "--password=$(DB)"]),
        ("Deployment", ("args",), ["--token", "x1y2", "--token", "$(T)", "--port", "80"],
         ["--token", "(secret, 4 bytes)", "--token", "$(T)", "--port", "80"]),
        ("Deployment", ("httpHeaders",), [{"name": "X", "value": "Bearer tok3nvalue"}],
         [{"name": "X", "value": "Bearer (secret)"}]),
        ("Deployment", ("x",), "Basic dXNlcjpwYXNz, Basic authentication", "Basic (secret), Basic authentication"),
        ("Deployment", (*ENV, Item(("name",), ("X",)), "value"), "abc", "abc"),
        ("Deployment", (*ENV, Item(("name",), ("X",)), "valueFrom"), {"secretKeyRef": {"name": "s", "key": "password"}},
         {"secretKeyRef": {"name": "s", "key": "password"}}),
    ],
)  # fmt: skip
def test_masking(kind: str, path: tuple[str, ...], value: object, shown: object) -> None:
    assert MASKER.mask(kind, path, value) == (shown, shown != value)


def test_no_secret_in_any_report() -> None:
    server = Server()
    server.set("Secret/keys", ("data", "JWT_SECRET"), "YnJhbmQtbmV3LXNlY3JldA==")
    server.set("Deployment/web", (*CONTAINER, "env", named("COPY")), {"name": "COPY", "value": f"x-{SECRET}-y"})
    server.set("Deployment/web", (*CONTAINER, "env", named("OTHER")), {"name": "OTHER", "value": "brand-new-secret"})
    server.create({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "aW50cnVkZXItc2VjcmV0"}})
    server.create({"kind": "Pod", "metadata": {"name": "intruder-secret"}, "spec": {"containers": [{"image": SECRET}]}})
    report = server.report()
    text = as_json.text(report) + markdown.text(report)
    for secret in (SECRET, "brand-new-secret", "YnJhbmQtbmV3LXNlY3JldA", "c3dvcmRmaXNo", "aW50cnVkZXItc2VjcmV0"):
        assert secret not in text
    assert sum(finding["secret"] for finding in json.loads(as_json.text(report))["findings"]) == 3


def test_another_secret_of_the_same_length_is_another_state() -> None:
    server = Server()
    server.set("Secret/keys", ("data", "JWT_SECRET"), "YQ==")
    before = server.report()
    server.set("Secret/keys", ("data", "JWT_SECRET"), "Yg==")
    server.set("Secret/keys", ("metadata", "resourceVersion"), "99999")
    after = server.report()
    assert before.findings[0].live == after.findings[0].live
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(
    ("text", "reveals", "holds"),
    [
        ("--db=shop-data", False, False),
        ("redis-0.redis.svc", False, False),
        ("x s3cr3t!value y", True, False),
        ("let-me-in", False, True),
        ("please let-me-in", False, False),
        ("password=abc", True, False),
        ("password=$(DB_PASSWORD)", False, False),
    ],
)
def test_words_that_a_secret_holds_give_nothing_away(text: str, reveals: bool, holds: bool) -> None:
    values = {"DB": "shop-data", "HOST": "redis-0.redis.svc", "X": "s3cr3t!value", "PASSWORD": "let-me-in"}
    masker = Masker([{"kind": "Secret", "stringData": values}])
    assert (masker.reveals(text), masker.holds(text)) == (reveals, holds)


@pytest.mark.parametrize("text", ["shop-data", "eu-west-1", "v1.2.3", "10.0.0.1:5432", "Redis", "a b", "15432", "x1"])
def test_words_names_and_numbers(text: str) -> None:
    assert plain(text)


@pytest.mark.parametrize("text", ["hunter2super", "Str0ngPw!", "dXNlcjpwYXNz", "0f9a8b7c6d", "zaq12wsx34edc"])
def test_more_than_words(text: str) -> None:
    assert not plain(text)
