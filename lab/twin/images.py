"""Container images of a few megabytes, made here: one layer with the lab's service, one configuration a tag."""

import gzip
import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LIST = Path(__file__).parents[1] / "handmade/images.yaml"
PAUSE = ("flowmaster/pause", "3.10")
# As `docker push` writes them, since that is how images came to the real server.
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_USER = 10001
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The one layer that all images share."""

    tar: bytes
    compressed: bytes

    @property
    def tar_digest(self) -> str:
        return digest(self.tar)


@dataclass(frozen=True, kw_only=True)
class Image:
    """One tag of one repository."""

    repository: str
    tag: str
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def expand(tags: list[str]) -> list[str]:
    """Writes ranges out: `r36-r38` is r36, r37, r38. Other tags stay as they are, also `r23-final`."""
    return [tag for entry in tags for tag in _expand(entry)]


def _expand(entry: str) -> Iterator[str]:
    if bounds := re.fullmatch(r"r(\d+)-r(\d+)", entry):
        width = len(bounds[1])
        yield from (f"r{number:0{width}}" for number in range(int(bounds[1]), int(bounds[2]) + 1))
    else:
        yield entry


def make_layer(program: bytes) -> Layer:
    """A layer with the program, a folder for temporary files and one that its user may write to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, mode, owner in (("etc", 0o755, 0), ("tmp", 0o1777, 0), ("data", 0o755, _USER)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, mode, owner, owner
            archive.addfile(folder)
        for name, mode, content in (
            ("etc/passwd", 0o644, f"root:x:0:0::/:/service\napp:x:{_USER}:{_USER}::/:/service\n".encode()),
            ("service", 0o755, program),
        ):
            file = tarfile.TarInfo(name)
            file.mode, file.size = mode, len(content)
            archive.addfile(file, io.BytesIO(content))
    tar = buffer.getvalue()
    return Layer(tar=tar, compressed=gzip.compress(tar, compresslevel=1, mtime=0))


def make_image(layer: Layer, repository: str, tag: str, *, port: int, mode: str = "http", **env: str) -> Image:
    """An image that answers as the last part of the repository's name, at the version of the tag."""
    name = repository.rpartition("/")[2]
    variables = {
        "PATH": "/",
        "SERVICE_NAME": name,
        "VERSION": tag,
        "PORT": str(port),
        "MODE": mode,
        "GOMAXPROCS": "1",  # fifty of these share two cores
    } | env
    config = {
        "architecture": _ARCHITECTURE,
        "os": "linux",
        "created": "2026-02-08T07:00:00Z",
        "config": {
            "User": f"{_USER}:{_USER}",
            "Entrypoint": ["/service"],
            "Env": [f"{key}={value}" for key, value in variables.items()],
            "ExposedPorts": {f"{port}/tcp": {}},
            "Labels": {"org.opencontainers.image.title": name, "org.opencontainers.image.version": tag},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.tar_digest]},
        "history": [{"created": "2026-02-08T07:00:00Z", "created_by": "COPY service /service"}],
    }
    return _image(layer, repository, tag, config)


def _image(layer: Layer, repository: str, tag: str, config: dict[str, Any]) -> Image:
    text = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "size": len(text), "digest": digest(text)},
        "layers": [
            {"mediaType": _LAYER_TYPE, "size": len(layer.compressed), "digest": digest(layer.compressed)},
        ],
    }
    return Image(repository=repository, tag=tag, config=text, manifest=json.dumps(manifest).encode())


def registry_images(layer: Layer) -> list[Image]:
    """Every image of the twin's registry, the pause image first, for no pod starts without it."""
    listed = yaml.safe_load(LIST.read_text())
    repositories = {f"flowmaster/{name}": entry for name, entry in listed["services"].items()} | listed["others"]
    pause = make_image(layer, *PAUSE, port=1)
    config = json.loads(pause.config)
    config["config"] |= {"Entrypoint": ["/service", "pause"], "ExposedPorts": {}}
    images = [_image(layer, *PAUSE, config)]
    return images + _listed(layer, repositories)


def plane_images(layer: Layer) -> list[Image]:
    """The images that Plane's containers run, for Docker alone."""
    return _listed(layer, yaml.safe_load(LIST.read_text())["plane"])


def _listed(layer: Layer, repositories: dict[str, dict[str, Any]]) -> list[Image]:
    return [
        make_image(layer, repository, tag, port=entry["port"], mode=entry.get("mode", "http"))
        for repository, entry in repositories.items()
        for tag in expand(entry["tags"])
    ]


def docker_archive(layer: Layer, images: list[Image]) -> bytes:
    """A tar that `docker load` reads, with all the images in it."""
    files = {"layer.tar": layer.tar}
    index = []
    for image in images:
        name = digest(image.config).removeprefix("sha256:") + ".json"
        files[name] = image.config
        index.append({"Config": name, "RepoTags": [f"{image.repository}:{image.tag}"], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(index).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
