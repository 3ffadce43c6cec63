"""Image, command, environment, user and other settings of the process."""

from __future__ import annotations

import re
from typing import Any

from flowmaster.compose.context import ServiceBuilder, is_sealed
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Image
from flowmaster.compose.units import escape_expansion, is_label

_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_NUMBERS = re.compile(r"(\d+)(?::(\d+))?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@key("image", "the container's image, in the cluster's registry and by digest")
def image(builder: ServiceBuilder, value: Any) -> None:
    """The running image, wherever its tag points now."""
    if not builder.entry.image:
        builder.refuse(
            "image", f"{value}: no running container has this image", "start the service, and read the project again"
        )
        return
    found = image_of(str(value), builder.entry.image, builder.entry.digest, builder.context.target.registry)
    builder.context.images[builder.name] = found
    builder.container["image"] = found.reference
    builder.container["imagePullPolicy"] = "IfNotPresent"
    builder.record("image", f"image {found.reference}")


def image_of(reference: str, identity: str, digest: str | None, registry: str) -> Image:
    """Name a docker image in the cluster's registry: its own path, and a tag made of its id."""
    path = reference.partition("@")[0]
    head, _, last = path.rpartition("/")
    path = f"{head}/{last.partition(':')[0]}" if head else f"library/{last.partition(':')[0]}"
    first, _, rest = path.partition("/")
    if first == registry or first in _HUB:
        path = rest if "/" in rest or first == registry else f"library/{rest}"
    elif "." in first or ":" in first or first == "localhost":
        # the registry's name keeps images of the same path apart
        path = f"{first.replace(':', '-')}/{rest}"
    tag = f"id-{identity.removeprefix('sha256:')[:12]}"
    return Image(docker=reference, id=identity, registry=f"{registry}/{path.lower()}:{tag}", digest=digest)


@key("build", "", "always: the cluster does not build images")
def build(builder: ServiceBuilder, value: Any) -> None:
    """Refused: nothing in the cluster builds images."""
    del value
    builder.refuse(
        "build",
        "the cluster does not build images",
        "name the built image (image: NAME), and move build out of the file",
    )


@key("entrypoint", "`command` of the container", "an empty one without command")
def entrypoint(builder: ServiceBuilder, value: Any) -> None:
    """`command` in Kubernetes. An empty entrypoint clears the image's, and the command takes its place."""
    words = [word for word in (value if isinstance(value, list) else [value]) if word != ""]
    if words:
        builder.container["command"] = [
            _argument(builder, "entrypoint", number, word) for number, word in enumerate(words)
        ]
        builder.record("entrypoint", "command")
        return
    given = builder.keys.pop("command")
    command = given if isinstance(given, list) else [given]
    if not given:
        builder.refuse("entrypoint", "is empty, and there is no command", "add a command")
        builder.record("command", "nothing: it is empty")
        return
    builder.container["command"] = [_argument(builder, "command", number, word) for number, word in enumerate(command)]
    builder.record("entrypoint", "command, which is the compose file's command: the image's entrypoint is cleared")
    builder.record("command", "command")


@key("command", "`args` of the container; `command` if the entrypoint is cleared")
def command(builder: ServiceBuilder, value: Any) -> None:
    """`args` in Kubernetes."""
    words = value if isinstance(value, list) else [value]
    if not words:
        # docker replaces the image's command by the empty one, which empty args do not do in Kubernetes
        builder.refuse("command", "is empty, which clears the image's command", "write the command to run")
        return
    builder.container["args"] = [_argument(builder, "command", number, word) for number, word in enumerate(words)]
    builder.record("command", "args")


def _argument(builder: ServiceBuilder, where: str, number: int, word: Any) -> str:
    path = f"{builder.keys.path_of(where)}[{number}]"
    if not is_sealed(word):
        return escape_expansion(builder.context.replace_addresses(path, str(word)))
    data = builder.context.secret(path, word)
    variable = f"COMPOSE_{where.upper()}_{number}"
    if data is not None:
        builder.env.append(_from_secret(builder, variable, data))
        builder.note(f"word {number} of {where} is a secret: the pod reads it from a Secret, as variable {variable}")
    return f"$({variable})"


@key("environment", "`env`; secrets by `secretKeyRef` from the Secret `PROJECT-secrets`", "invalid names")
def environment(builder: ServiceBuilder, value: Any) -> None:
    """Variables of the file and of env files."""
    for name, given in sorted(value.items()):
        path = f"environment.{name}"
        if not _ENV_NAME.fullmatch(name):
            builder.refuse(path, "is not a valid variable name in Kubernetes", "rename it")
        elif given is None:
            builder.record(path, "nothing: it is not set, in docker either")
        elif is_sealed(given):
            data = builder.context.secret(builder.keys.path_of(path), given)
            if data is not None:
                builder.env.append(_from_secret(builder, name, data))
                builder.record(path, f"env, from Secret {builder.context.secret_name}")
        else:
            text = escape_expansion(builder.context.replace_addresses(builder.keys.path_of(path), str(given)))
            builder.env.append({"name": name, "value": text})
            builder.record(path, "env")
    builder.record("environment", "env")


def _from_secret(builder: ServiceBuilder, name: str, data: str) -> dict[str, Any]:
    builder.uses_secrets = True
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": builder.context.secret_name, "key": data}}}


@key("env_file", "`env`: docker compose has added its variables to `environment`")
def env_file(builder: ServiceBuilder, value: Any) -> None:
    """Read by docker compose."""
    del value
    builder.record("env_file", "env: its variables are in environment")


@key("user", "`securityContext.runAsUser` and `runAsGroup`", "names instead of numbers")
def user(builder: ServiceBuilder, value: Any) -> None:
    """Numbers only: Kubernetes does not resolve the names in the image."""
    match = _NUMBERS.fullmatch(str(value))
    if not match:
        builder.refuse(
            "user",
            f"{value!r} is a name, and Kubernetes accepts only numbers",
            "write its number (shown by `docker compose exec SERVICE id`)",
        )
        return
    builder.security["runAsUser"] = int(match[1])
    if match[2] is not None:
        builder.security["runAsGroup"] = int(match[2])
    builder.record("user", "securityContext.runAsUser and runAsGroup")


@key("group_add", "the pod's `securityContext.supplementalGroups`", "names instead of numbers")
def group_add(builder: ServiceBuilder, value: Any) -> None:
    """Numbers only, as for `user`."""
    names = [str(group) for group in value if not str(group).isdigit()]
    if names:
        builder.refuse("group_add", f"{', '.join(names)}: Kubernetes accepts only numbers", "write the groups' numbers")
        return
    builder.pod_security["supplementalGroups"] = [int(group) for group in value]
    builder.record("group_add", "securityContext.supplementalGroups")


@key("working_dir", "`workingDir`")
def working_dir(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    builder.container["workingDir"] = str(value)
    builder.record("working_dir", "workingDir")


@key("hostname", "the pod's `hostname`, and a name by which other services reach it", "what is not a DNS label")
def hostname(builder: ServiceBuilder, value: Any) -> None:
    """The host name within the container."""
    if not is_label(str(value)):
        builder.refuse(
            "hostname", f"{value!r} is not a DNS label", "use lower-case letters, digits and '-', at most 63"
        )
        return
    builder.pod["hostname"] = str(value)
    builder.record("hostname", "hostname")


@key("container_name", "a name by which other services reach it; Kubernetes names the pods")
def container_name(builder: ServiceBuilder, value: Any) -> None:
    """A name for other services. `docker logs NAME` becomes `kubectl logs deployment/OBJECT`."""
    builder.record("container_name", f"host name {value} for other services; the Deployment is {builder.object}")


@key("init", "`shareProcessNamespace`: the pause process is PID 1 and reaps zombies")
def init(builder: ServiceBuilder, value: Any) -> None:
    """Docker adds an init process. A pod with a shared process namespace has one, the pause process."""
    if value:
        builder.pod["shareProcessNamespace"] = True
    builder.record("init", "shareProcessNamespace" if value else "nothing: the default of a pod")


@key("stdin_open", "`stdin`")
def stdin_open(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    builder.container["stdin"] = bool(value)
    builder.record("stdin_open", "stdin")


@key("tty", "`tty`")
def tty(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    builder.container["tty"] = bool(value)
    builder.record("tty", "tty")


@key("platform", "`nodeSelector` for system and architecture")
def platform(builder: ServiceBuilder, value: Any) -> None:
    """Restrict the pod to nodes that can run it. Kubernetes has no label for the variant of an architecture."""
    system, _, architecture = str(value).partition("/")
    architecture = architecture.partition("/")[0]
    selector = {"kubernetes.io/os": system}
    if architecture:
        selector["kubernetes.io/arch"] = _ARCHITECTURES.get(architecture, architecture)
    builder.pod["nodeSelector"] = selector
    builder.record("platform", "nodeSelector")


@key("labels", "annotations of the pod; tools that watch docker's labels do not see them", "secrets; invalid names")
def labels(builder: ServiceBuilder, value: Any) -> None:
    """Labels become annotations, since values of Kubernetes' labels are short."""
    _annotate(builder, "labels", value)
    builder.note(
        "labels became annotations: tools that watch docker's labels (a proxy, an updater) do not see the pods"
    )


@key("annotations", "annotations of the pod", "secrets; invalid names")
def pod_annotations(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    _annotate(builder, "annotations", value)


def _annotate(builder: ServiceBuilder, where: str, value: Any) -> None:
    for name, given in sorted(value.items()):
        path = f"{where}.{name}"
        if is_sealed(given):
            builder.refuse(
                path, "seems to be a secret, and annotations are stored in the clear", "remove it, or rename it"
            )
        elif not _ANNOTATION.fullmatch(name):
            builder.refuse(path, "is not a valid annotation name", "rename it, or remove it")
        else:
            builder.annotations[name] = str(given if given is not None else "")
            builder.record(path, "annotation of the pod")
    builder.record(where, "annotations of the pod")
