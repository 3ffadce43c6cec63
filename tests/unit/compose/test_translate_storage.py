"""What a project keeps: volumes and files of the server, memory, configs and secrets."""

from __future__ import annotations

import base64

from flowmaster.compose.result import Volume
from tests.unit.compose.projects import Json, anonymous, body, contained, one, path_of, pod, translated

TRIED = {"volumes", "tmpfs", "shm_size", "configs", "secrets", "logging"}
DATA = {"type": "volume", "source": "data", "target": "/data", "volume": {}}


def test_a_named_volume() -> None:
    result = translated(one(volumes=[DATA]), volumes={"data": {"name": "shop_data"}})
    assert result.refusals == ()
    assert result.volumes == (
        Volume(
            name="data",
            source_path=path_of("shop_data"),
            target_path="/var/lib/flowmaster/volumes/shop/data",
            services=("backend",),
            read_only=False,
            kind="directory",
            claim="shop-data",
        ),
    )
    volume = body(result, "PersistentVolume", "flowmaster-shop-data")
    assert volume["spec"]["hostPath"] == {"path": "/var/lib/flowmaster/volumes/shop/data", "type": "Directory"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["claimRef"]["name"] == "shop-data"
    assert "namespace" not in volume["metadata"]
    claim = body(result, "PersistentVolumeClaim", "shop-data")
    assert (claim["spec"]["volumeName"], claim["spec"]["storageClassName"]) == ("flowmaster-shop-data", "")
    assert contained(result)["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
    assert pod(result)["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "shop-data"}}]
    assert body(result, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_who_only_reads_is_never_without_a_pod() -> None:
    result = translated(one(volumes=[DATA | {"read_only": True}]), volumes={"data": {"name": "shop_data"}})
    assert contained(result)["volumeMounts"] == [{"name": "data", "mountPath": "/data", "readOnly": True}]
    assert body(result, "Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"
    assert result.volumes[0].read_only


def test_one_volume_of_two_services_is_copied_once() -> None:
    services = {
        "writer": one()["backend"] | {"volumes": [DATA]},
        "reader": one()["backend"] | {"volumes": [DATA | {"read_only": True, "volume": {"subpath": "a"}}]},
    }
    result = translated(services, volumes={"data": {"name": "shop_data"}})
    assert [(v.services, v.read_only) for v in result.volumes] == [(("reader", "writer"), False)]
    assert contained(result, "shop-reader")["volumeMounts"][0]["subPath"] == "a"


def test_an_anonymous_volume_keeps_its_data() -> None:
    result = translated(one(volumes=[{"type": "volume", "target": "/var/x", "volume": {"nocopy": True}}]))
    assert result.refusals == ()
    assert result.volumes[0].name == "backend-var-x"
    assert result.volumes[0].source_path == path_of(anonymous("backend", "/var/x"))


def test_a_folder_of_the_server() -> None:
    entry = {"type": "bind", "source": "/opt/shop/files", "target": "/files",
             "bind": {"create_host_path": True, "selinux": "z"}, "consistency": "cached"}  # fmt: skip
    result = translated(one(volumes=[entry]))
    assert result.refusals == ()
    assert (result.volumes[0].source_path, result.volumes[0].claim) == ("/opt/shop/files", "shop-opt-shop-files")


def test_a_file_of_the_server_is_a_file_in_the_pod() -> None:
    services = one(configs=[{"source": "site", "target": "/etc/site.conf"}])
    result = translated(services, configs={"site": {"name": "shop_site", "file": "/opt/shop/site.conf"}})
    assert result.refusals == ()
    assert (result.volumes[0].kind, result.volumes[0].read_only) == ("file", True)
    assert body(result, "PersistentVolume", "flowmaster-shop-opt-shop-site-conf")["spec"]["hostPath"]["type"] == "File"
    assert contained(result)["volumeMounts"][0]["mountPath"] == "/etc/site.conf"


def test_secret_files() -> None:
    services = one(
        secrets=[{"source": "key", "target": "/run/secrets/key"}, {"source": "key", "target": "k", "mode": "0400"}]
    )
    result = translated(services, secrets={"key": {"name": "shop_key", "file": "/opt/shop/key"}})
    assert result.refusals == ()
    assert [m["mountPath"] for m in contained(result)["volumeMounts"]] == ["/run/secrets/key", "/run/secrets/k"]
    assert len(result.volumes) == 1


def test_the_servers_clock() -> None:
    entry = {"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime", "read_only": True}
    result = translated(one(volumes=[entry]))
    assert (result.refusals, result.volumes) == ((), ())
    assert pod(result)["volumes"] == [{"name": "etc-localtime", "hostPath": {"path": "/etc/localtime", "type": "File"}}]


def test_memory() -> None:
    entry: Json = {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "10485760", "mode": 448}}
    result = translated(
        one(volumes=[entry], tmpfs=["/run:size=5m,mode=700,noexec", "/cache", "/ro:ro"], shm_size="134217728")
    )
    assert result.refusals == ()
    assert {v["name"]: v["emptyDir"] for v in pod(result)["volumes"]} == {
        "memory-t": {"medium": "Memory", "sizeLimit": "10Mi"},
        "memory-run": {"medium": "Memory", "sizeLimit": "5Mi"},
        "memory-cache": {"medium": "Memory"},
        "memory-ro": {"medium": "Memory"},
        "memory-dev-shm": {"medium": "Memory", "sizeLimit": "128Mi"},
    }
    mounts = {m["mountPath"]: m for m in contained(result)["volumeMounts"]}
    assert set(mounts) == {"/t", "/run", "/cache", "/ro", "/dev/shm"}  # noqa: S108
    assert mounts["/ro"]["readOnly"]


def test_an_inline_config_is_a_config_map() -> None:
    services = one(configs=[{"source": "c", "target": "/etc/c", "mode": "0440"}])
    result = translated(services, configs={"c": {"name": "shop_c", "content": "price: $$5"}})
    assert result.refusals == ()
    assert body(result, "ConfigMap", "shop-configs")["data"] == {"c": "price: $5"}
    assert contained(result)["volumeMounts"][0]["subPath"] == "c"
    assert pod(result)["volumes"][0]["configMap"]["items"] == [{"key": "c", "path": "c", "mode": 0o440}]
    assert "checksum/config" in body(result, "Deployment")["spec"]["template"]["metadata"]["annotations"]


def test_secrets_are_in_the_secret_alone() -> None:
    services = one(environment={"SECRET_KEY": "hush-hush", "URL": "http://u:pass-word@10.43.85.29/x", "LEVEL": "info"})
    result = translated(services)
    assert result.refusals == ()
    data = body(result, "Secret", "shop-secrets")["data"]
    plain = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert plain == {"backend.SECRET_KEY": "hush-hush", "backend.URL": "http://u:pass-word@arangodb/x"}
    rest = str([b for b in result.bodies if b["kind"] != "Secret"])
    assert "hush-hush" not in rest
    assert "pass-word" not in rest
    assert "pass-word" not in str(result)
    changed = translated(one(environment={"SECRET_KEY": "another", "URL": "http://u:pass-word@10.43.85.29/x"}))
    annotations = [body(r, "Deployment")["spec"]["template"]["metadata"]["annotations"] for r in (result, changed)]
    assert annotations[0] != annotations[1]


def test_a_storage_class() -> None:
    settings = {"storage": {"storageClass": "local-path", "size": "5Gi"}}
    result = translated(one(volumes=[DATA]), volumes={"data": {"name": "shop_data"}}, settings=settings)
    assert not [b for b in result.bodies if b["kind"] == "PersistentVolume"]
    spec = body(result, "PersistentVolumeClaim", "shop-data")["spec"]
    assert (spec["storageClassName"], spec["resources"]) == ("local-path", {"requests": {"storage": "5Gi"}})
    assert result.volumes[0].target_path == ""


def test_two_folders_that_would_have_one_name() -> None:
    entries = [{"type": "bind", "source": f"/opt/shop/{name}", "target": f"/{name}"} for name in ("a-b", "a_b")]
    result = translated(one(volumes=entries))
    assert result.refusals == ()
    assert len({volume.claim for volume in result.volumes}) == 2


def test_logs_stay_with_the_kubelet() -> None:
    result = translated(one(logging={"driver": "json-file", "options": {"max-size": "10m"}}))
    assert result.refusals == ()
    assert any("kubectl logs" in text for text in result.notes)
