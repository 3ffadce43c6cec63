"""The translation of any compose project: the same each time, and no key is dropped."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from config.compose import ComposeProject, ComposeSource
from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.translate import translate
from tests.unit.compose.projects import NODE, SURROUNDINGS

Json = dict[str, Any]
WORDS = st.sampled_from(
    ["a", "x-y", "5", "10s", "64m", "true", "host", "/data", "a:b", "b=c", "$$(A)", "", "ä b", "none"]
)
scalars = WORDS | st.integers(-1, 5) | st.booleans() | st.none() | st.floats(0, 2)
NESTED = [
    *(
        "test",
        "interval",
        "retries",
        "disable",
        "limits",
        "memory",
        "cpus",
        "pids",
        "reservations",
        "resources",
        "mode",
    ),
    *(
        "replicas",
        "condition",
        "restart_policy",
        "target",
        "published",
        "protocol",
        "host_ip",
        "type",
        "source",
        "bind",
    ),
    *(
        "volume",
        "tmpfs",
        "size",
        "read_only",
        "aliases",
        "default",
        "options",
        "driver",
        "command",
        "sealed",
        "unknown",
    ),
]
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NESTED), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from([*SERVICE_KEYS, "nobody_knows", "x-note"])

mounts = st.fixed_dictionaries(
    {"type": st.sampled_from(["volume", "bind", "tmpfs", "npipe"]), "target": st.sampled_from(["/a", "/b", "/c"])},
    optional={
        "source": st.sampled_from(["data", "/opt/x", "/opt/x/y", "/proc", "gone"]),
        "read_only": st.booleans(),
        "bind": st.dictionaries(
            st.sampled_from(["create_host_path", "propagation", "selinux", "odd"]), scalars, max_size=2
        ),
        "volume": st.dictionaries(st.sampled_from(["nocopy", "subpath", "odd"]), WORDS, max_size=2),
        "tmpfs": st.dictionaries(st.sampled_from(["size", "mode", "odd"]), st.sampled_from(["5", "64m"]), max_size=2),
    },
)
ports = st.fixed_dictionaries(
    {"target": st.integers(1, 99)},
    optional={
        "published": st.sampled_from(["80", "8010", "80-82", None]),
        "protocol": st.sampled_from(["tcp", "udp"]),
        "mode": st.just("ingress"),
        "odd": scalars,
    },
)
sensible = st.fixed_dictionaries(
    {"image": st.just("shop/backend:1")},
    optional={
        "volumes": st.lists(mounts, max_size=3),
        "ports": st.lists(ports, max_size=3),
        "environment": st.dictionaries(st.sampled_from(["A", "B_URL", "C D"]), WORDS | st.none(), max_size=3),
        "networks": st.dictionaries(
            st.sampled_from(["default", "back"]),
            st.none()
            | st.fixed_dictionaries(
                {}, optional={"aliases": st.lists(st.sampled_from(["api", "a_b"])), "odd": scalars}
            ),
            max_size=2,
        ),
        "healthcheck": st.fixed_dictionaries(
            {},
            optional={"test": st.lists(WORDS, max_size=3), "interval": WORDS, "disable": st.booleans(), "odd": scalars},
        ),
        "command": st.lists(WORDS, max_size=2),
        "entrypoint": st.lists(WORDS, max_size=2),
        "restart": st.sampled_from(["no", "always", "on-failure:3"]),
    },
)
services = st.dictionaries(
    st.sampled_from(["backend", "web", "a_b", "db"]),
    sensible | st.dictionaries(KEYS, anything, max_size=6),
    min_size=1,
    max_size=3,
)
tops = st.dictionaries(
    st.sampled_from(
        ["name", "driver", "driver_opts", "external", "internal", "ipam", "labels", "content", "file", "odd"]
    ),
    scalars,
    max_size=3,
)


@st.composite
def projects(draw: st.DrawFn) -> ComposeProject:
    found = {}
    for name, keys in draw(services).items():
        image = "sha256:" + "a" * 64 if draw(st.booleans()) else None
        found[name] = {"keys": keys, "containers": [f"shop-{name}-1"], "running": draw(st.booleans()), "image": image}
    source = {
        "files": {},
        "nodeAddress": NODE,
        "services": found,
        "volumes": {
            "data": {"path": "/var/lib/docker/volumes/d/_data", "keys": draw(tops)},
            **{
                path: {"path": path, "kind": draw(st.sampled_from(["directory", "file", "socket"]))}
                for path in ("/opt/x", "/opt/x/y")
            },
        },
        "networks": {"default": draw(tops), "back": draw(tops)},
        "configs": {"c": draw(tops)},
        "secrets": {"s": draw(tops)},
        "other": draw(st.lists(st.sampled_from(["version", "x-a", "models", "odd"]), unique=True)),
    }
    return ComposeProject(folder="/opt/shop", source=ComposeSource.model_validate(source))


def leaves(path: str, value: Any) -> Iterator[str]:
    """The path of everything that is said, as accounts have it. Empty things say nothing."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from leaves(f"{path}.{name}", part)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from leaves(f"{path}[{number}]", part)
    elif value is not None:
        yield path


def said(source: ComposeSource) -> Iterator[str]:
    for name, service in source.services.items():
        for key in service.keys:
            yield from (f"services.{name}.{key}" for _ in (1,) if service.keys[key] is not None)
            yield from leaves(f"services.{name}.{key}", service.keys[key])
    for name, volume in source.volumes.items():
        yield from leaves(f"volumes.{name}", volume.keys)
    for kind, entries in (("networks", source.networks), ("configs", source.configs), ("secrets", source.secrets)):
        for name, entry in entries.items():
            yield from leaves(f"{kind}.{name}", entry)
    yield from source.other


STRUCTURED = {
    *("volumes", "ports", "networks", "healthcheck", "deploy", "depends_on", "configs", "secrets", "logging"),
    *("environment", "labels", "annotations", "sysctls", "extra_hosts", "pre_stop", "post_start"),
}
"""Keys whose every part is accounted for by itself: that something became of the whole is not enough."""
TOP_OF_SERVICE = re.compile(r"services\.[^.]+\.([a-z_-]+)")


def is_accounted(path: str, became: set[str], refused: set[str]) -> bool:
    """Whether the path itself is in the account, or something that it is a part of."""
    whole, at = path, path
    while at:
        match = TOP_OF_SERVICE.fullmatch(at)
        structured = match is not None and match[1] in STRUCTURED and "." in whole[len(at) :]
        if at in refused or (at in became and not structured):
            return True
        cut = max(at.rfind("."), at.rfind("["))
        at = at[:cut] if cut > 0 else ""
    return False


@settings(max_examples=150)
@given(projects())
def test_any_key_is_in_the_result_or_in_the_refusals(project: ComposeProject) -> None:
    assert project.source is not None
    result = translate("shop", project, SURROUNDINGS)
    became, refused = {entry.key for entry in result.results}, {entry.key for entry in result.refusals}
    assert [path for path in said(project.source) if not is_accounted(path, became, refused)] == []


@settings(max_examples=150)
@given(projects(), st.randoms(use_true_random=False))
def test_two_translations_of_one_file_are_the_same(project: ComposeProject, random: Any) -> None:
    assert project.source is not None

    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return [shuffled(part) for part in value] if isinstance(value, list) else value
        names = list(value)
        random.shuffle(names)
        return {name: shuffled(value[name]) for name in names}

    again = shuffled(copy.deepcopy(project.source.model_dump(mode="json", by_alias=True)))
    other = ComposeProject(folder="/opt/shop", source=ComposeSource.model_validate(again))
    first, second = translate("shop", project, SURROUNDINGS), translate("shop", other, SURROUNDINGS)
    assert first.bodies == second.bodies
    assert (first.volumes, first.ports, first.images) == (second.volumes, second.ports, second.images)
    assert sorted(map(str, first.refusals)) == sorted(map(str, second.refusals))


UNKNOWN_PLACES: list[tuple[str, ...]] = [
    ("deploy",),
    ("deploy", "resources"),
    ("deploy", "resources", "limits"),
    ("deploy", "restart_policy"),
    ("healthcheck",),
    ("logging",),
]


@given(
    st.sampled_from(UNKNOWN_PLACES),
    st.sampled_from(["odd", "unheard_of", "y"]),
    scalars.filter(lambda v: v is not None),
)
def test_what_nobody_knows_is_refused_wherever_it_is(place: tuple[str, ...], name: str, value: Any) -> None:
    inner: Json = {name: value}
    for step in reversed(place):
        inner = {step: inner}
    source = {"files": {}, "services": {"backend": {"keys": {"image": "x", **inner}, "image": "sha256:" + "a" * 64}}}
    result = translate(
        "shop", ComposeProject(folder="/opt/x", source=ComposeSource.model_validate(source)), SURROUNDINGS
    )
    assert ".".join(("services.backend", *place, name)) in {refusal.key for refusal in result.refusals}
