"""Reading a project: what runs wins over the file, secrets are taken out, and what cannot be taken is an error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from config.compose import ComposeSource
from flowmaster.compose.source import SourceError, read_source, unescape_dollars
from tests.unit.compose.projects import (
    DIGEST,
    ID,
    IMAGE,
    SURROUNDINGS,
    Json,
    anonymous,
    config,
    container,
    listed,
    one,
    path_of,
)

Result = tuple[ComposeSource, dict[str, str], tuple[str, ...]]


def read(services: Json, change: Callable[[Json], object] = lambda _: None, image: Json = IMAGE, **top: Any) -> Result:
    """A project whose first container was changed after it was made from the file."""
    whole = config(services, **top)
    containers = [copy.deepcopy(container(name, keys, whole, image)) for name, keys in services.items()]
    change(containers[0])
    return read_source(whole, containers, listed(containers), {"/opt/shop/x.yml": "0" * 64}, {ID: image}, SURROUNDINGS)


def test_what_runs_as_the_file_says_is_taken_word_for_word() -> None:
    services = one(
        environment={"A": "1"},
        command=["x", "$$y"],
        volumes=[{"type": "volume", "source": "data", "target": "/d", "volume": {}}],
        healthcheck={"test": ["CMD", "a"], "interval": "5s"},
        networks={"default": None},
    )
    source, secrets, told = read(services, volumes={"data": {"name": "shop_data"}})
    assert (secrets, told) == ({}, ())
    given = source.services["backend"]
    assert given.keys == {**unescape_dollars(services["backend"]), "entrypoint": None}
    assert (given.containers, given.image, given.digest) == (("shop-backend-1",), ID, DIGEST)
    assert source.volumes["data"].path == path_of("shop_data")
    assert source.node_address == SURROUNDINGS.node_address
    assert source.external_hosts == SURROUNDINGS.external_hosts


def test_a_source_survives_the_stacks_file() -> None:
    source, _, _ = read(one(environment={"API_KEY": "abcdef"}, healthcheck={"test": ["CMD", "a"]}))
    written = json.loads(json.dumps(source.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    assert ComposeSource.model_validate(written) == source


CHANGES: dict[str, tuple[Callable[[Json], object], str, str, Any]] = {
    "image": (lambda c: c["Config"].update(Image="other:2"), "image", "other:2 runs", "other:2"),
    "another value": (
        lambda c: c["Config"].update(Env=["PATH=/bin", "PORT=8010", "A=2"]),
        "environment",
        "environment.A",
        {"A": "2"},
    ),
    "a variable less": (
        lambda c: c["Config"].update(Env=["PATH=/bin", "PORT=8010"]),
        "environment",
        "not set in the container",
        {"A": None},
    ),
    "a variable more": (
        lambda c: c["Config"]["Env"].append("B=3"),
        "environment",
        "environment.B: it is not in the file",
        {"A": "1", "B": "3"},
    ),
    "one of the image's, unset": (
        lambda c: c["Config"].update(Env=["PORT", "A=1"]),
        "environment",
        "the image's value",
        {"PORT": None, "A": "1"},
    ),
    "one of the image's": (
        lambda c: c["Config"].update(Env=["PATH=/other", "PORT=8010", "A=1"]),
        "environment",
        "environment.PATH",
        {"PATH": "/other", "A": "1"},
    ),
    "command": (lambda c: c["Config"].update(Cmd=["y"]), "command", "command", ["y"]),
    "entrypoint": (lambda c: c["Config"].update(Entrypoint=["/y"]), "entrypoint", "entrypoint", ["/y"]),
    "user": (lambda c: c["Config"].update(User="7"), "user", "7 runs", "7"),
    "restart": (
        lambda c: c["HostConfig"].update(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 2}),
        "restart",
        "on-failure:2 runs",
        "on-failure:2",
    ),
    "check": (
        lambda c: c["Config"].update(Healthcheck={"Test": ["CMD", "z"], "Interval": 90_000_000_000, "Retries": 2}),
        "healthcheck",
        "healthcheck",
        {"test": ["CMD", "z"], "interval": "90s", "retries": 2},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_runs_wins_and_the_difference_is_told(case: str) -> None:
    change, key, words, wanted = CHANGES[case]
    given = {"A": "1", "PORT": None} if "unset" in case else {"A": "1"}
    source, _, told = read(one(environment=given), change)
    assert source.services["backend"].keys[key] == wanted
    assert [text for text in told if words in text], told


def test_what_the_image_has_is_not_written_down() -> None:
    source, _, told = read(one())
    assert "environment" not in source.services["backend"].keys
    assert "user" not in source.services["backend"].keys
    assert told == ()


def test_the_images_own_check_and_ports_and_volumes() -> None:
    check = {"Test": ["CMD-SHELL", "true"], "Timeout": 500_000_000}
    image = {**IMAGE, "Config": {**IMAGE["Config"], "Healthcheck": check}}

    def as_docker_does(made: Json) -> None:
        made["Config"] |= {"Healthcheck": check, "ExposedPorts": {"5432/tcp": {}, "53/udp": {}}}
        name = anonymous("backend", "/var/lib/x")
        made["Mounts"].append({"Type": "volume", "Name": name, "Source": path_of(name), "Destination": "/var/lib/x"})

    source, _, told = read(one(), as_docker_does, image)
    keys = source.services["backend"].keys
    assert keys["healthcheck"] == {"test": ["CMD-SHELL", "true"], "timeout": "0.5s"}
    assert keys["expose"] == ["53/udp", "5432/tcp"]
    assert keys["volumes"] == [{"type": "volume", "target": "/var/lib/x", "source": "backend-var-lib-x"}]
    assert told == ()


def test_a_stop_signal_of_the_images_own() -> None:
    image = {**IMAGE, "Config": {**IMAGE["Config"], "StopSignal": "SIGQUIT"}}
    source, _, _ = read(one(stop_signal="SIGQUIT"), image=image)
    assert "stop_signal" not in source.services["backend"].keys


def test_a_port_that_docker_chose_of_a_range() -> None:
    def chosen(made: Json) -> None:
        made["NetworkSettings"]["Ports"] = {"90/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9001"}]}  # noqa: S104

    source, _, told = read(one(ports=[{"target": 90, "published": "9000-9002", "protocol": "tcp"}]), chosen)
    assert source.services["backend"].keys["ports"] == [{"target": 90, "published": "9001", "protocol": "tcp"}]
    assert len(told) == 1


def test_mounts_that_differ_from_the_file() -> None:
    def other(made: Json) -> None:
        made["Mounts"] = [{"Type": "bind", "Source": "/opt/shop/y", "Destination": "/y", "RW": False}]

    source, _, told = read(one(volumes=[{"type": "bind", "source": "/opt/shop/x", "target": "/x"}]), other)
    mount = {"type": "bind", "target": "/y", "read_only": True, "source": "/opt/shop/y"}
    assert source.services["backend"].keys["volumes"] == [mount]
    assert len(told) == 2
    assert set(source.volumes) == {"/opt/shop/y"}


def test_a_volume_that_is_another_name_for_a_folder() -> None:
    services = one(volumes=[{"type": "volume", "source": "data", "target": "/d"}])
    options = {"type": "none", "o": "bind", "device": "/srv/data"}
    whole = config(services, volumes={"data": {"name": "shop_data", "driver_opts": options}})
    containers = [container("backend", services["backend"], whole)]
    volumes = listed(containers, shop_data={"Options": options})
    source, _, _ = read_source(whole, containers, volumes, {}, {ID: IMAGE}, SURROUNDINGS)
    assert source.volumes["data"].path == "/srv/data"


def test_secrets_are_taken_out_wherever_they_stand() -> None:
    services = one(
        environment={
            "SECRET_KEY": "hush-hush",
            "DSN": "postgres://u:pass-word@db/x",
            "COPY": "x hush-hush y",
            "N": "5",
        },
        command=["run", "--key=hush-hush"],
        labels={"note": "hush-hush", "auth_token": "tick-tock"},
        logging={"driver": "splunk", "options": {"splunk-token": "log-token"}},
    )
    top: Json = {"configs": {"c": {"name": "c", "content": "key: hush-hush"}}, "x-a": "hush-hush"}
    source, secrets, told = read(services, image=IMAGE, **top)
    assert not [
        word for word in ("hush-hush", "pass-word", "tick-tock", "log-token") if word in str(source) + str(told)
    ]
    assert secrets["backend.SECRET_KEY"] == "hush-hush"
    assert secrets["backend.command.1"] == "--key=hush-hush"
    assert source.services["backend"].keys["environment"]["N"] == "5"
    assert source.other == ("x-a",)


def test_secrets_do_not_get_into_what_is_told() -> None:
    _, _, told = read(
        one(environment={"A_TOKEN": "old-value"}), lambda c: c["Config"]["Env"].append("A_TOKEN=new-value")
    )
    assert "value" not in " ".join(told)


def test_a_container_that_is_not_in_the_file() -> None:
    whole = config(one())
    stray = container("worker", one()["backend"], whole)
    with pytest.raises(SourceError, match=r"(?s)shop-worker-1 belongs to service worker.*docker rm"):
        read_source(whole, [container("backend", one()["backend"], whole), stray], [], {})


def test_a_single_run_is_left_alone() -> None:
    whole = config(one())
    single = container("backend", one()["backend"] | {"container_name": "shop-run"}, whole)
    single["Config"]["Labels"]["com.docker.compose.oneoff"] = "True"
    source, _, told = read_source(whole, [container("backend", one()["backend"], whole), single], [], {})
    assert source.services["backend"].containers == ("shop-backend-1",)
    assert any("shop-run" in text for text in told)


def test_a_service_that_nothing_runs() -> None:
    with pytest.raises(SourceError, match=r"(?s)service backend .* no container.*up -d backend"):
        read_source(config(one()), [], [], {})
    source, _, _ = read_source(config(one(scale=0)), [], [], {})
    assert not source.services["backend"].running


def test_an_image_that_is_gone() -> None:
    whole = config(one())
    with pytest.raises(SourceError, match="which docker no longer has"):
        read_source(whole, [container("backend", one()["backend"], whole)], [], {}, {ID: None})


def test_containers_of_one_service_that_run_different_images() -> None:
    whole = config(one())
    first = container("backend", one()["backend"], whole)
    with pytest.raises(SourceError, match="different images"):
        read_source(whole, [first, {**first, "Name": "/shop-backend-2", "Image": "sha256:other"}], [], {})


def test_containers_of_one_service_with_data_of_their_own() -> None:
    services = one(volumes=[{"type": "volume", "target": "/x"}], scale=2)
    whole = config(services)
    first = container("backend", services["backend"], whole)
    with pytest.raises(SourceError, match="its own data at /x"):
        read_source(whole, [first, {**first, "Name": "/shop-backend-2"}], listed([first]), {})


def test_errors_have_three_lines_at_most() -> None:
    with pytest.raises(SourceError) as caught:
        read_source(config(one()), [], [], {})
    assert len(str(caught.value).splitlines()) <= 3
