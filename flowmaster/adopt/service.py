"""Describes a live Deployment and its Service as a catalogue entry and a release. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from config.catalogue import Catalogue, Service
from config.load import validate
from config.settings import Settings
from config.stack import Release, Stack
from flowmaster.adopt.desired import Body
from flowmaster.adopt.override import fields, override
from flowmaster.adopt.unmodelled import fitting
from flowmaster.cluster import inline_secrets
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import ObjectRef
from flowmaster.render import microservice


@dataclass(frozen=True, kw_only=True)
class Context:
    """The context of a description."""

    managed: Mapping[str, Collection[str]] | None = None
    """Names of adopted ConfigMaps and Secrets, by kind; None for all."""
    masker: Masker = field(default_factory=Masker)
    """Recognises the secrets of the namespace."""

    def has(self, kind: str, name: str) -> bool:
        """Return whether the catalogue has the object, so that a typed field may refer to it."""
        return self.managed is None or name in self.managed[kind]


_ANY = Context()


@dataclass
class ServiceDescription:
    """The description of one service."""

    entry: Body
    release: Body
    image: str
    exposed: bool
    sealed: dict[str, str] = field(default_factory=dict, repr=False)

    def overrides(self, name: str, namespace: str) -> dict[ObjectRef, list[str]]:
        """Paths that no typed field covers, by object."""
        patches = self.entry.get("override", {})
        return {
            ObjectRef(kind.capitalize(), namespace, name): sorted(set(fields(patch))) for kind, patch in patches.items()
        }


def main_container(name: str, deployment: Body) -> Body:
    """Return the main container: the one with the service's name, else the first with a port, else the first."""
    containers: list[Body] = deployment["spec"]["template"]["spec"]["containers"]
    listening = next((c for c in containers if c.get("ports")), containers[0])
    return next((c for c in containers if c["name"] == name), listening)


def pull_policy(container: Body) -> str:
    """Return the pull policy: as written, or the server's default."""
    _, tag, digest = _split(container["image"])
    latest = tag == "latest" or not (tag or digest)
    return str(container.get("imagePullPolicy") or ("Always" if latest else "IfNotPresent"))


def port_name(name: str, deployment: Body) -> str | None:
    """Return the name of the service's first port: empty if it has no name, None if there is no port."""
    ports = main_container(name, deployment).get("ports")
    return str(ports[0].get("name", "")) if ports else None


def describe(
    name: str, deployment: Body, service: Body | None, registry: str, common: Body, surroundings: Context = _ANY
) -> ServiceDescription:
    """Return the catalogue entry and the release that render the given objects.

    :param deployment: what is meant by the Deployment (:func:`flowmaster.adopt.desired.desired_body`).
    :param service: the same of the Service of the same name, if there is one.
    :raises flowmaster.adopt.override.NotSayable: where not even an override expresses it.
    """
    main = main_container(name, deployment)["name"]
    deployment, sealed = inline_secrets.sealed(main, deployment, surroundings.masker)
    container = main_container(name, deployment)
    repository, tag, digest = _split(container["image"])
    entry: Body = {}
    if repository != f"{registry}/{name}":
        entry["image"] = repository
    release: Body = {"tag": tag}
    if digest:
        release["digest"] = digest
    if (replicas := deployment["spec"].get("replicas", 1)) != 1:
        release["replicas"] = replicas
    _ports(entry, container, service, common["portName"])
    _environment(entry, container, sealed, surroundings)
    _labels(entry, name, deployment)
    _rest(entry, name, container)
    _volumes(entry, deployment, container, surroundings)
    _probes(entry, container)
    if pull_policy(container) != common["imagePullPolicy"]:
        entry["conventions"] = {"imagePullPolicy": pull_policy(container)}
    release = fitting(Release, release, {"tag": ""})
    described = ServiceDescription(fitting(Service, entry), release, container["image"], service is not None, sealed)
    marked = replace(described, sealed={key: inline_secrets.mark(key) for key in sealed})
    patches = _patches(name, _alone(name, marked, registry, common), deployment, service, described)
    if patches:
        described.entry["override"] = inline_secrets.named(patches, sealed)
    return described


def _patches(
    name: str, settings: Settings, deployment: Body, service: Body | None, described: ServiceDescription
) -> Body:
    """Return the overrides from the rendered bodies to the live ones."""
    patches: Body = {}
    rendered: Any = microservice.deployment(settings, name)
    if patch := override("Deployment", name, rendered, deployment):
        patches["deployment"] = patch
    body: Any = microservice.service(settings, name)
    if service is not None and body is None:
        # which port it leads to is not known here, so that it is not this Deployment's own
        described.entry["expose"] = described.exposed = False
    elif service is not None and (patch := override("Service", name, body, service)):
        patches["service"] = patch
    return patches


def _alone(name: str, described: ServiceDescription, registry: str, common: Body) -> Settings:
    """Return settings with this service only, to render it."""
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
            stack=validate(Stack, stack, "the stack that adopt writes"),
            catalogue=validate(Catalogue, {**catalogue, "services": {name: entry}}, "the catalogue that adopt writes"),
            environ={},
        )
        # the second time as it will be: with the configuration that the pods were started with
        entry = {**entry, "configBaseline": microservice.config_checksum(settings, name)}
    return settings


def _referenced(entry: Body) -> Body:
    """Return empty ConfigMaps and Secrets for those that an entry refers to."""
    found: dict[str, Body] = {"configMaps": {}, "secrets": {}}
    references = [*entry.get("envFrom", ()), *entry.get("env", {}).values(), *entry.get("volumes", {}).values()]
    for reference in references:
        if isinstance(reference, dict):
            for kind, key in (("configMaps", "configMap"), ("secrets", "secret")):
                if key in reference:
                    found[kind][reference[key]] = {}
    return found


def _split(image: str) -> tuple[str, str, str]:
    """Return repository, tag and digest of an image reference; empty if missing."""
    name, _, digest = image.partition("@")
    head, _, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return (f"{head}/{repository}" if head else repository), tag, digest


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


def _environment(entry: Body, container: Body, sealed: Mapping[str, str], surroundings: Context) -> None:
    """Write variables into the entry, with secrets sealed. Others are left to the override."""
    env: Body = {}
    variables = container.get("env", ())
    for variable in variables:
        name, value = variable["name"], variable.get("value", "")
        source = variable.get("valueFrom")
        if source is not None:
            if typed := _source(source, surroundings):
                env[name] = typed
        else:
            env[name] = {"sealed": True} if name in sealed and value == inline_secrets.mark(name) else value
    if env and len({variable["name"] for variable in variables}) == len(variables):
        entry["env"] = env
    sources = [_whole(source, surroundings) for source in container.get("envFrom", ())]
    if sources and all(sources):
        entry["envFrom"] = sources


def _source(source: Body, surroundings: Context) -> Body | None:
    """Return a variable's source in the catalogue's form; None if the catalogue cannot express it."""
    match source:
        case {"secretKeyRef": {"name": name, "key": key} as found} if len(found) == 2:
            return {"secret": name, "key": key} if surroundings.has("Secret", name) else None
        case {"configMapKeyRef": {"name": name, "key": key} as found} if len(found) == 2:
            return {"configMap": name, "key": key} if surroundings.has("ConfigMap", name) else None
        case {"fieldRef": {"fieldPath": path} as found} if len(found) == 1:
            return {"field": path}
    return None


def _whole(source: Body, surroundings: Context) -> Body | None:
    match source:
        case {"configMapRef": {"name": name} as found} if len(found) == len(source) == 1:
            return {"configMap": name} if surroundings.has("ConfigMap", name) else None
        case {"secretRef": {"name": name} as found} if len(found) == len(source) == 1:
            return {"secret": name} if surroundings.has("Secret", name) else None
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


def _rest(entry: Body, name: str, container: Body) -> None:
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


def _volumes(entry: Body, deployment: Body, container: Body, surroundings: Context) -> None:
    mounts = container.get("volumeMounts", [])
    typed: Body = {}
    for volume in deployment["spec"]["template"]["spec"].get("volumes", ()):
        own = [mount for mount in mounts if mount["name"] == volume["name"]]
        source = _volume_source(volume, surroundings)
        if source is None or len(own) != 1 or not set(own[0]) <= {"name", "mountPath", "readOnly"}:
            continue
        readonly = {"readOnly": True} if own[0].get("readOnly") else {}
        typed[volume["name"]] = {"mountPath": own[0]["mountPath"], **source, **readonly}
    if typed:
        entry["volumes"] = typed


def _volume_source(volume: Body, surroundings: Context) -> Body | None:
    match {key: value for key, value in volume.items() if key != "name"}:
        case {"configMap": {"name": name} as found} if len(found) == 1:
            return {"configMap": name} if surroundings.has("ConfigMap", name) else None
        case {"secret": {"secretName": name} as found} if len(found) == 1:
            return {"secret": name} if surroundings.has("Secret", name) else None
        case {"hostPath": {"path": path} as found} if len(found) == 1:
            return {"hostPath": path}
        case {"emptyDir": {"sizeLimit": size} as found} if len(found) == 1:
            return {"emptyDir": str(size)}
        case found if found in ({}, {"emptyDir": {}}):
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
