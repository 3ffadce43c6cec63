"""Two different things of a project never become one: every name that is made is checked for that."""

from __future__ import annotations

from typing import Any

import pytest

from config.compose import Phase
from config.errors import ConfigError
from config.settings import Settings
from flowmaster.compose.desired import desired_projects
from flowmaster.host.remote.docker_steps import chain_of
from tests.unit.compose.projects import Json, body, one, translated


def pod(result: Any) -> Json:
    found: Json = body(result, "Deployment")["spec"]["template"]["spec"]
    return found


def mounted(result: Any) -> dict[str, Json]:
    """By path, the volume that is mounted there."""
    spec = pod(result)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"])
    return {mount["mountPath"]: {**mount, **volumes[mount["name"]]} for mount in spec["containers"][0]["volumeMounts"]}


def test_two_configs_whose_names_differ_in_a_dot_stay_apart() -> None:
    names = ("app.conf", "app-conf", "app_conf")
    services = one(configs=[{"source": name, "target": f"/etc/{name}"} for name in names])
    result = translated(services, configs={name: {"name": name, "content": f"text of {name}"} for name in names})
    assert result.refusals == ()
    data = body(result, "ConfigMap", "shop-configs")["data"]
    for name in names:
        mount = mounted(result)[f"/etc/{name}"]
        [item] = mount["configMap"]["items"]
        assert (data[item["key"]], mount["subPath"]) == (f"text of {name}", item["path"])


def test_folders_in_memory_whose_paths_differ_in_a_dot_stay_apart() -> None:
    result = translated(one(tmpfs=["/run/a.b", "/run/a-b", "/run/a_b:size=1m"]))
    assert result.refusals == ()
    found = mounted(result)
    assert len({mount["name"] for mount in found.values()}) == 3
    assert found["/run/a_b"]["emptyDir"]["sizeLimit"] == "1Mi"


def test_a_volume_named_like_a_mount_of_another_kind_stays_apart() -> None:
    services = one(
        volumes=[
            {"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime", "read_only": True},
            {"type": "volume", "source": "etc-localtime", "target": "/data"},
        ]
    )
    result = translated(services, volumes={"etc-localtime": {"name": "shop_etc-localtime"}})
    assert result.refusals == ()
    found = mounted(result)
    assert "hostPath" in found["/etc/localtime"]
    assert "persistentVolumeClaim" in found["/data"]


def test_claims_whose_long_names_would_be_cut_to_one_are_refused() -> None:
    names = [f"{'v' * 60}{n}" for n in (1, 2)]
    services = one(volumes=[{"type": "volume", "source": name, "target": f"/{name}"} for name in names])
    result = translated(services, volumes={name: {"name": f"shop_{name}"} for name in names})
    assert any("things would have this name" in str(refusal) for refusal in result.refusals)


def test_chains_of_projects_with_long_names_differ() -> None:
    assert chain_of("sdx") == "FLOWMASTER-SDX"
    long = [chain_of(f"the-shop-of-somebody-{n}") for n in (1, 2)]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 28


def two_projects(demo: Settings, first: str, second: str) -> Settings:
    source = {"files": {}, "services": {"a": {"keys": {"image": "x"}, "image": "sha256:1"}}}
    projects = {name: {"folder": f"/opt/{name}", "phase": Phase.SHADOW, "source": source} for name in (first, second)}
    values = demo.stack.model_dump(by_alias=True, exclude={"compose"})
    stack = type(demo.stack).model_validate({**values, "compose": projects})
    return Settings(name="demo", stack=stack, catalogue=demo.catalogue)


def test_projects_whose_objects_would_have_one_name_are_refused(demo: Settings) -> None:
    with pytest.raises(ConfigError, match=r"would be that of compose\."):
        desired_projects(two_projects(demo, "shop-a", "shop--a"))
    assert len(desired_projects(two_projects(demo, "shop-a", "shop-b"))) == 2
