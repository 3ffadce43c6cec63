"""Stacks of many services: the demo's own, repeated under other names, as configuration files and as manifests."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.stack import NAME, Stack
from config import load
from config import stack as models
from config.catalogue import Catalogue
from config.read_yaml import read_yaml
from config.settings import Settings
from flowmaster.render.manifests import manifests

NAMESPACE = "bench"
"""What the namespaces of all fleets begin with."""
FAKE_REGISTRY = "registry.example/flowmaster"
"""Images of services whose pods are pretended. Nothing of that name is ever asked for."""
FAKE_NODE_LABEL = {"type": "kwok"}
FAKE_NODE_TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
_ROLLOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """So many services of one stack, in a namespace and a folder of their own."""

    size: int
    folder: Path
    namespace: str
    real: bool
    """Whether its pods are real ones; else they are pretended on a node that is none."""
    objects: int
    """How many Kubernetes objects are declared."""

    @property
    def manifests(self) -> Path:
        """Every object as YAML, for kubectl and kapp."""
        return self.folder / "manifests.yaml"

    @property
    def catalogue(self) -> Path:
        """What the services are."""
        return self.folder / "catalogue.yaml"

    @property
    def stack(self) -> Stack:
        """The stack that deploys it."""
        return Stack(folder=self.folder)

    @property
    def variables(self) -> dict[str, str]:
        """What makes Pulumi and the program use this fleet's files."""
        return {**self.stack.variables, "FLOWMASTER_CATALOGUE": str(self.catalogue)}


def write(size: int, folder: Path, secrets: Mapping[str, str]) -> Fleet:
    """Write the files of a stack with so many services.

    Up to the demo's own number they are the demo's services with real pods. More than that one small node could not
    hold, so all of a larger fleet's pods are pretended, from images that are nowhere.

    :param secrets: environment variables with the values of the catalogue's secrets.
    """
    catalogue = read_yaml(load.ROOT / "config" / "catalogue.yaml")
    values = _stack_values(read_yaml(load.ROOT / f"Pulumi.{NAME}.yaml")["config"])
    real = size <= len(catalogue["services"])
    names = service_names(list(catalogue["services"]), size)
    catalogue["services"] = {name: _entry(catalogue["services"][origin], name, real) for name, origin in names.items()}
    values["services"] = {name: _release(values["services"][origin], name == origin) for name, origin in names.items()}
    namespace = f"{NAMESPACE}-{size}"
    values["cluster"] |= {"namespace": namespace, "rolloutTimeout": _ROLLOUT_SECONDS, "requestTimeout": 60}
    settings = Settings(
        name=NAME,
        stack=load.validate(models.Stack, values, "the stack of the benchmark"),
        catalogue=load.validate(Catalogue, catalogue, "the catalogue of the benchmark"),
        environ=dict(secrets),
    )
    bodies = [dict(body) for body in manifests(settings)]
    fleet = Fleet(size=size, folder=folder, namespace=namespace, real=real, objects=len(bodies))
    folder.mkdir(parents=True, mode=0o700)  # the manifests hold secrets
    fleet.catalogue.write_text(_yaml(catalogue))
    config = {f"{load.PROJECT}:{key}": value for key, value in values.items()}
    fleet.stack.configuration.write_text(_yaml({"config": config}))
    fleet.manifests.write_text("---\n".join(_yaml(body) for body in bodies))
    return fleet


def service_names(origins: list[str], size: int) -> dict[str, str]:
    """Names for so many services, each with the service that it is a copy of: first all as they are, then again."""
    rounds = (
        # short: Pulumi hands the whole configuration to the program in one variable, which Linux ends at 128 KiB
        (origin if number == 0 else f"s{number}-{place}", origin)
        for number in range(-(-size // len(origins)))
        for place, origin in enumerate(origins)
    )
    return dict(pair for pair, _ in zip(rounds, range(size), strict=False))


def _stack_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """What says where and at which tags; what else a stack has (its host's nginx) is not Kubernetes'."""
    return {key: copy.deepcopy(config[f"{load.PROJECT}:{key}"]) for key in ("cluster", "host", "services")}


def _entry(origin: Mapping[str, Any], name: str, real: bool) -> dict[str, Any]:
    entry = copy.deepcopy(dict(origin))
    if real:
        return entry
    toleration = {"key": FAKE_NODE_TAINT["key"], "operator": "Exists"}
    pod = {"nodeSelector": dict(FAKE_NODE_LABEL), "tolerations": [toleration]}
    return {
        **entry,
        "image": f"{FAKE_REGISTRY}/{name}",
        "override": {"deployment": {"spec": {"template": {"spec": pod}}}},
    }


def _release(origin: Mapping[str, Any], itself: bool) -> dict[str, Any]:
    return dict(origin) if itself else {key: origin[key] for key in ("tag", "replicas") if key in origin}


def _yaml(data: object) -> str:
    return str(yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))
