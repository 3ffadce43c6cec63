"""One live Deployment, and the Service before it, as an entry of the catalogue and a release of the stack. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from adopt.essence import Body
from adopt.patch import fields, override
from components.bodies import microservice
from config.catalogue import Catalogue
from config.settings import Settings
from config.stack import Stack
from drift.finding import ObjectRef
from drift.kubernetes.secrets import Masker, telling


@dataclass
class Described:
    """What was written down about one service."""

    entry: Body
    release: Body
    image: str
    exposed: bool
    sealed: dict[str, str] = field(default_factory=dict, repr=False)

    def overrides(self, name: str, namespace: str) -> dict[ObjectRef, list[str]]:
        """The places that no typed field says, by object."""
        patches = self.entry.get("override", {})
        return {
            ObjectRef(kind.capitalize(), namespace, name): sorted(set(fields(patch))) for kind, patch in patches.items()
        }


def main_container(name: str, deployment: Body) -> Body:
    """The container that is the service: the one of its name, else the first that listens, else the first."""
    containers: list[Body] = deployment["spec"]["template"]["spec"]["containers"]
    listening = next((c for c in containers if c.get("ports")), containers[0])
    return next((c for c in containers if c["name"] == name), listening)


def pull_policy(container: Body) -> str:
    """When the image is pulled: as written, or as the server would fill in."""
    latest = "@" not in container["image"] and _split(container["image"])[1] == "latest"
    return str(container.get("imagePullPolicy") or ("Always" if latest else "IfNotPresent"))


def port_name(name: str, deployment: Body) -> str | None:
    """The name of the service's first port, empty where it has none; None where there is no port."""
    ports = main_container(name, deployment).get("ports")
    return str(ports[0].get("name", "")) if ports else None


def describe(name: str, deployment: Body, service: Body | None, registry: str, common: Body) -> Described:
    """The entry and the release that render what is given.

    :param deployment: what is meant by the Deployment (:func:`adopt.essence.meant`).
    :param service: the same of the Service of the same name, if there is one.
    :raises adopt.patch.NotSayable: where not even an override expresses it.
    """
    container = main_container(name, deployment)
    repository, tag = _split(container["image"])
    entry: Body = {}
    if repository != f"{registry}/{name}":
        entry["image"] = repository
    release: Body = {"tag": tag}
    if (replicas := deployment["spec"].get("replicas", 1)) != 1:
        release["replicas"] = replicas
    _ports(entry, container, service, common["portName"])
    sealed = _environment(entry, container)
    deployment = _seal_others(deployment, container["name"], sealed)
    _labels(entry, name, deployment)
    _rest(entry, name, deployment, container)
    if pull_policy(container) != common["imagePullPolicy"]:
        entry["conventions"] = {"imagePullPolicy": pull_policy(container)}
    described = Described(entry, release, container["image"], service is not None, sealed)
    patches = _patches(name, _alone(name, described, registry, common), deployment, service)
    if patches:
        entry["override"] = _hidden(patches, {value: key for key, value in sealed.items()})
    return described


def _patches(name: str, settings: Settings, deployment: Body, service: Body | None) -> Body:
    """What must be laid over the rendered bodies so that they are the live ones."""
    patches: Body = {}
    rendered: Any = microservice.deployment(settings, name)
    if patch := override("Deployment", name, rendered, deployment):
        patches["deployment"] = patch
    body: Any = microservice.service(settings, name)
    if service is not None and body is not None and (patch := override("Service", name, body, service)):
        patches["service"] = patch
    return patches


def _alone(name: str, described: Described, registry: str, common: Body) -> Settings:
    """Settings with this service only, to see what it renders to."""
    stack = {
        "cluster": {"context": "any", "namespace": "any"},
        "host": {"address": "localhost", "user": "root"},
        "services": {name: described.release},
        "sealed": {name: described.sealed},
    }
    catalogue = {"registry": registry, "conventions": common, **_referenced(described.entry)}
    entry = described.entry
    for _ in range(2):
        settings = Settings(
            name="adopt",
            stack=Stack.model_validate(stack),
            catalogue=Catalogue.model_validate({**catalogue, "services": {name: entry}}),
            environ={},
        )
        # the second time as it will be: with the configuration that the pods were started with
        entry = {**entry, "configBaseline": microservice.config_checksum(settings, name)}
    return settings


def _referenced(entry: Body) -> Body:
    """The ConfigMaps and Secrets that an entry names, with nothing in them."""
    found: dict[str, Body] = {"configMaps": {}, "secrets": {}}
    references = [*entry.get("envFrom", ()), *entry.get("env", {}).values(), *entry.get("volumes", {}).values()]
    for reference in references:
        if isinstance(reference, dict):
            for kind, key in (("configMaps", "configMap"), ("secrets", "secret")):
                if key in reference:
                    found[kind][reference[key]] = {}
    return found


def _split(image: str) -> tuple[str, str]:
    head, _, last = image.rpartition("/")
    repository, _, tag = last.partition("@")[0].partition(":")
    return (f"{head}/{repository}" if head else repository), tag or "latest"


def _ports(entry: Body, container: Body, service: Body | None, usual: str) -> None:
    declared = container.get("ports", [])
    ours = service["spec"].get("ports", []) if service else []
    first = declared[0] if declared else None
    if first is not None:
        entry["port"] = first["containerPort"]
        entry["portName"] = first.get("name", "")
    elif ours and isinstance(ours[0].get("targetPort", ours[0]["port"]), int):
        entry["port"] = ours[0].get("targetPort", ours[0]["port"])
        entry["portName"] = ours[0].get("name", "")
    if entry.get("portName") == usual:
        del entry["portName"]
    if service is None:
        entry["expose"] = False
    elif ours and "nodePort" in ours[0] and ours[0]["port"] == entry.get("port"):
        entry["nodePort"] = ours[0]["nodePort"]


def _environment(entry: Body, container: Body) -> dict[str, str]:
    """Variables into the entry; those that are secrets are returned, and sealed in the entry."""
    env: Body = {}
    sealed: dict[str, str] = {}
    for variable in container.get("env", ()):
        name, value = variable["name"], variable.get("value", "")
        source = variable.get("valueFrom")
        if source is None and is_secret(name, value):
            env[name], sealed[name] = {"sealed": True}, value
        elif source is None:
            env[name] = value
        elif typed := _source(source):
            env[name] = typed
    if env:
        entry["env"] = env
    sources = [_whole(source) for source in container.get("envFrom", ())]
    if sources and all(sources):
        entry["envFrom"] = sources
    return sealed


def is_secret(name: str, value: str) -> bool:
    """Whether a variable's value is a secret, by its name or by a password in it."""
    return bool(value) and ((telling(name) and not value.isdigit()) or Masker().text(value) != value)


def _seal_others(deployment: Body, main: str, sealed: dict[str, str]) -> Body:
    """The Deployment with the secrets in the variables of its other containers sealed too, in place of their values."""
    result = copy.deepcopy(deployment)
    pod = result["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        for variable in container.get("env", ()):
            value = variable.get("value", "")
            if container["name"] != main and is_secret(variable["name"], value):
                key = f"{container['name']}.{variable['name']}"
                sealed[key], variable["value"] = value, {microservice.SEALED: key}
    return result


def _hidden(patch: Any, sealed: dict[str, str]) -> Any:
    """The patch with sealed values named, where it had to take a whole list of variables."""
    if isinstance(patch, dict):
        if isinstance(patch.get("value"), str) and patch["value"] in sealed and "name" in patch:
            return {**patch, "value": {microservice.SEALED: sealed[patch["value"]]}}
        return {key: _hidden(value, sealed) for key, value in patch.items()}
    return [_hidden(part, sealed) for part in patch] if isinstance(patch, list) else patch


def _source(source: Body) -> Body | None:
    """A variable's source as the catalogue writes it; None for what it has no words for."""
    match source:
        case {"secretKeyRef": {"name": name, "key": key} as found} if len(found) == 2:
            return {"secret": name, "key": key}
        case {"configMapKeyRef": {"name": name, "key": key} as found} if len(found) == 2:
            return {"configMap": name, "key": key}
        case {"fieldRef": {"fieldPath": path} as found} if len(found) == 1:
            return {"field": path}
    return None


def _whole(source: Body) -> Body | None:
    match source:
        case {"configMapRef": {"name": name} as found} if len(found) == len(source) == 1:
            return {"configMap": name}
        case {"secretRef": {"name": name} as found} if len(found) == len(source) == 1:
            return {"secret": name}
    return None


def _labels(entry: Body, name: str, deployment: Body) -> None:
    spec = deployment["spec"]
    selector = spec["selector"].get("matchLabels", {})
    if selector != {"app": name}:
        entry["selector"] = selector
    pods = spec["template"].get("metadata", {}).get("labels", {})
    if more := {k: v for k, v in pods.items() if selector.get(k) != v}:
        entry["podLabels"] = more
    own = deployment["metadata"].get("labels", {})
    if more := {k: v for k, v in own.items() if selector.get(k) != v}:
        entry["labels"] = more
    if annotations := deployment["metadata"].get("annotations"):
        entry["annotations"] = annotations
    if annotations := spec["template"].get("metadata", {}).get("annotations"):
        entry["podAnnotations"] = annotations


def _rest(entry: Body, name: str, deployment: Body, container: Body) -> None:
    if container["name"] != name:
        entry["container"] = container["name"]
    for key in ("command", "args"):
        if key in container:
            entry[key] = container[key]
    resources = container.get("resources", {})
    if resources and set(resources) <= {"requests", "limits"}:
        names = {key for part in resources.values() for key in part}
        if names <= {"cpu", "memory", "ephemeral-storage"}:
            entry["resources"] = {part: {k: str(v) for k, v in values.items()} for part, values in resources.items()}
    _volumes(entry, deployment, container)
    _probes(entry, container)


def _volumes(entry: Body, deployment: Body, container: Body) -> None:
    mounts = container.get("volumeMounts", [])
    typed: Body = {}
    for volume in deployment["spec"]["template"]["spec"].get("volumes", ()):
        own = [mount for mount in mounts if mount["name"] == volume["name"]]
        source = _volume_source(volume)
        if source is None or len(own) != 1 or not set(own[0]) <= {"name", "mountPath", "readOnly"}:
            continue
        readonly = {"readOnly": True} if own[0].get("readOnly") else {}
        typed[volume["name"]] = {"mountPath": own[0]["mountPath"], **source, **readonly}
    if typed:
        entry["volumes"] = typed


def _volume_source(volume: Body) -> Body | None:
    match {key: value for key, value in volume.items() if key != "name"}:
        case {"configMap": {"name": name} as found} if len(found) == 1:
            return {"configMap": name}
        case {"secret": {"secretName": name} as found} if len(found) == 1:
            return {"secret": name}
        case {"hostPath": {"path": path} as found} if len(found) == 1:
            return {"hostPath": path}
        case {"emptyDir": {"sizeLimit": size} as found} if len(found) == 1:
            return {"emptyDir": str(size)}
        case {"emptyDir": found} if not found:
            return {"emptyDir": True}
    return None


_PROBES = {"readinessProbe": "readiness", "livenessProbe": "liveness", "startupProbe": "startup"}
_TIMES = {
    "initialDelaySeconds": "initialDelay",
    "periodSeconds": "period",
    "timeoutSeconds": "timeout",
    "failureThreshold": "failures",
}


def _probes(entry: Body, container: Body) -> None:
    typed: Body = {}
    for key, name in _PROBES.items():
        probe = container.get(key)
        if probe is None:
            continue
        how = {k: v for k, v in probe.items() if k not in _TIMES}
        match how:
            case {"httpGet": {"path": str(path), "port": port} as found} if len(found) == 2 and len(how) == 1:
                asked: Body = {"http": path, "port": port}
            case {"tcpSocket": {"port": port} as found} if len(found) == len(how) == 1:
                asked = {"port": port}
            case _:
                continue
        if asked["port"] == entry.get("port"):
            del asked["port"]
        typed[name] = asked | {_TIMES[k]: v for k, v in probe.items() if k in _TIMES}
    if typed:
        entry["probes"] = typed
