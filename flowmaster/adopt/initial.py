"""Creates the files of a stack for a namespace that already runs. Only reads the server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import load
from config.catalogue import Catalogue
from config.errors import ConfigError, closest
from config.read_yaml import read_yaml
from config.stack import Stack
from config.stack_file import replace_files
from flowmaster.cluster.connection import Api, identity

_STACK_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,98}[A-Za-z0-9])?")
_NO_REGISTRY = "docker.io/library"
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class NewStack:
    """A stack that does not exist yet."""

    name: str
    context: str
    namespace: str
    host: str | None
    """SSH address of the server. Only needed for nginx and Docker Compose."""
    root: Path

    @property
    def stack_file(self) -> Path:
        """Path of the stack file."""
        return load.stack_path(self.name, self.root)

    @property
    def catalogue_name(self) -> str:
        """The stack's `catalogue`."""
        return f"config/{self.name}.yaml"

    @property
    def catalogue_file(self) -> Path:
        """Path of the catalogue file."""
        return load.catalogue_file(self.catalogue_name, self.root)


def check_free(first: NewStack) -> None:
    """Refuse an invalid name, or one that is in use.

    :raises ConfigError: with what is there.
    """
    if not _STACK_NAME.fullmatch(first.name):
        raise ConfigError(f"{first.name!r} is no name for a stack", "letters, digits, '-' and '_', at most 100")
    there = first.stack_file
    if there.exists() and (read_yaml(there) or {}).get("config"):
        raise ConfigError(
            f"{there} exists, with the configuration of a stack",
            "it would be overwritten",
            f"go on with it (`flowmaster adopt --stack {first.name}`), or choose another name",
        )
    if first.catalogue_file.exists():
        raise ConfigError(
            f"{first.catalogue_file} exists",
            "the catalogue would be overwritten",
            "move it away, or choose another name",
        )


def file_texts(first: NewStack, api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the stack's configuration and the catalogue, as data.

    :raises ConfigError: where there is no such namespace.
    """
    spaces = [item["metadata"]["name"] for item in api.get("/api/v1/namespaces")["items"]]
    if first.namespace not in spaces:
        raise ConfigError(
            f"{api.server} has no namespace {first.namespace!r}{closest(first.namespace, spaces)}",
            f"namespaces there: {', '.join(spaces[:_SHOWN])}{', ...' if spaces[_SHOWN:] else ''}",
            "correct --namespace",
        )
    config = {
        "cluster": {"context": first.context, "namespace": first.namespace, "uid": identity(api)},
        "host": {"address": first.host or urlsplit(api.server).hostname or "localhost"},
        "catalogue": first.catalogue_name,
        "services": {},
    }
    catalogue = {"registry": _registry(api, first.namespace), "services": {}}
    load.validate(Stack, config, "the stack that init writes")
    load.validate(Catalogue, catalogue, "the catalogue that init writes")
    return config, catalogue


def _registry(api: Api, namespace: str) -> str:
    """Return the registry of most images."""
    items = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"]
    images = [c["image"] for item in items for c in item["spec"]["template"]["spec"]["containers"]]
    places = Counter(place for image in images if (place := image.partition("@")[0].rpartition("/")[0]))
    for place, _ in places.most_common():
        try:
            return load.validate(Catalogue, {"registry": place, "services": {}}, "").registry
        except ConfigError:
            continue
    return _NO_REGISTRY


def write(first: NewStack, config: dict[str, Any], catalogue: dict[str, Any], provider: str | None) -> None:
    """Create the stack in Pulumi's backend, then write both files.

    :param provider: Pulumi's secrets provider, where it is not the default of the backend.
    :raises ConfigError: where Pulumi does not make it; nothing is written then.
    """
    import yaml

    made = first.root / f"Pulumi.{first.name}.yaml"
    existed = made.exists()
    _pulumi_init(first, provider)
    # what Pulumi wrote: how the stack's secrets are encrypted
    rest = (read_yaml(made) or {}) if made.exists() else {}
    whole = {"config": {f"{load.PROJECT}:{key}": value for key, value in config.items()}}
    whole |= {key: value for key, value in rest.items() if key != "config"}
    first.catalogue_file.parent.mkdir(parents=True, exist_ok=True)
    replace_files(
        {
            first.catalogue_file: yaml.safe_dump(catalogue, sort_keys=False),
            first.stack_file: yaml.safe_dump(whole, sort_keys=False),
        }
    )
    if made != first.stack_file and made.exists() and not existed:
        made.unlink()


def _pulumi_init(first: NewStack, provider: str | None) -> None:
    command = ["pulumi", "stack", "init", first.name, "--non-interactive"]
    command += ["--secrets-provider", provider] if provider else []
    # Pulumi's file for the stack is made beside Pulumi.yaml, whichever is used later
    environ = {k: v for k, v in os.environ.items() if k not in (load.CONFIG_FILE_VARIABLE, "PULUMI_STACK")}
    try:
        done = subprocess.run(command, cwd=first.root, env=environ, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise ConfigError("pulumi is not on PATH", "it keeps the stack", "run `make demo`, or install it") from err
    if done.returncode and not _known(first, environ):
        words = " ".join(done.stderr.split()).removeprefix("error: ")
        raise ConfigError(
            f"pulumi does not make the stack {first.name}: {words[:200]}",
            "nothing was written",
            "log in to where its state is to be kept (`pulumi login`), and set PULUMI_CONFIG_PASSPHRASE",
        )


def _known(first: NewStack, environ: dict[str, str]) -> bool:
    """Return whether the stack exists without resources: `pulumi stack init` was run before."""
    command = ["pulumi", "stack", "ls", "--json", "--non-interactive"]
    done = subprocess.run(command, cwd=first.root, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        return False
    return any(s["name"] == first.name and not s.get("resourceCount") for s in json.loads(done.stdout))
