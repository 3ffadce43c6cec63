"""What runs in the container: image, command, environment, user."""

from __future__ import annotations

import re
from typing import Any

from flowmaster.compose.context import Work, is_sealed
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Image
from flowmaster.compose.units import is_label, literal

_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_NUMBERS = re.compile(r"(\d+)(?::(\d+))?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@key("image", "the container's image, in the cluster's registry and by digest")
def image(work: Work, value: Any) -> None:
    """The image that runs, whatever its tag stands for today."""
    if not work.entry.image:
        work.refuse("image", f"{value}: docker has no image of it that runs", "start the service, and read it again")
        return
    found = image_of(str(value), work.entry.image, work.entry.digest, work.context.surroundings.registry)
    work.context.images[work.name] = found
    work.container["image"] = found.reference
    work.container["imagePullPolicy"] = "IfNotPresent"
    work.become("image", f"image {found.reference}")


def image_of(reference: str, identity: str, digest: str | None, registry: str) -> Image:
    """A docker image as it is called in the cluster's registry: its own path, and a tag that says which one it is."""
    path = reference.partition("@")[0]
    head, _, last = path.rpartition("/")
    path = f"{head}/{last.partition(':')[0]}" if head else f"library/{last.partition(':')[0]}"
    first, _, rest = path.partition("/")
    if first == registry or first in _HUB:
        path = rest if "/" in rest or first == registry else f"library/{rest}"
    elif "." in first or ":" in first or first == "localhost":
        # another registry's images must not meet those of the same path from elsewhere
        path = f"{first.replace(':', '-')}/{rest}"
    tag = f"id-{identity.removeprefix('sha256:')[:12]}"
    return Image(docker=reference, id=identity, registry=f"{registry}/{path.lower()}:{tag}", digest=digest)


@key("build", "", "always: the cluster runs images, it builds none")
def build(work: Work, value: Any) -> None:
    """Refused: nothing in the cluster builds it again."""
    del value
    work.refuse(
        "build",
        "the cluster runs images and builds none",
        "give the image that was built a name (image: NAME) and take build out of the file, or into another one",
    )


@key("entrypoint", "`command` of the container", "an empty one with no command")
def entrypoint(work: Work, value: Any) -> None:
    """Kubernetes calls it command. An empty one clears the image's, and then the command takes its place."""
    words = [word for word in (value if isinstance(value, list) else [value]) if word != ""]
    if words:
        work.container["command"] = [_word(work, "entrypoint", number, word) for number, word in enumerate(words)]
        work.become("entrypoint", "command")
        return
    given = work.keys.take("command")
    command = given if isinstance(given, list) else [given]
    if not given:
        work.refuse("entrypoint", "is empty, and there is no command", "write a command")
        work.become("command", "nothing: it is empty")
        return
    work.container["command"] = [_word(work, "command", number, word) for number, word in enumerate(command)]
    work.become("entrypoint", "command, which is the compose file's command: the image's entrypoint is cleared")
    work.become("command", "command")


@key("command", "`args` of the container; `command` where the entrypoint is cleared")
def command(work: Work, value: Any) -> None:
    """Kubernetes calls it args."""
    words = value if isinstance(value, list) else [value]
    if not words:
        # as with docker: an empty command takes the image's place, which args cannot do without a command
        work.refuse("command", "is empty, which would clear the image's own", "write the command that is wanted")
        return
    work.container["args"] = [_word(work, "command", number, word) for number, word in enumerate(words)]
    work.become("command", "args")


def _word(work: Work, where: str, number: int, word: Any) -> str:
    path = f"{work.keys.at(where)}[{number}]"
    if not is_sealed(word):
        return literal(work.context.readdressed(path, str(word)))
    data = work.context.secret(path, word)
    variable = f"COMPOSE_{where.upper()}_{number}"
    if data is not None:
        work.env.append(_from_secret(work, variable, data))
        work.tell(f"word {number} of {where} is a secret: the pod has it from a Secret, in {variable}")
    return f"$({variable})"


@key("environment", "`env`; secrets by `secretKeyRef` from the Secret `PROJECT-secrets`", "names Kubernetes refuses")
def environment(work: Work, value: Any) -> None:
    """Each variable, whether from the file or from an env file."""
    for name, given in sorted(value.items()):
        path = f"environment.{name}"
        if not _ENV_NAME.fullmatch(name):
            work.refuse(path, "is no name that Kubernetes takes for a variable", "rename it")
        elif given is None:
            work.become(path, "nothing: it is set nowhere, in docker neither")
        elif is_sealed(given):
            data = work.context.secret(work.keys.at(path), given)
            if data is not None:
                work.env.append(_from_secret(work, name, data))
                work.become(path, f"env, from Secret {work.context.secret_name}")
        else:
            text = literal(work.context.readdressed(work.keys.at(path), str(given)))
            work.env.append({"name": name, "value": text})
            work.become(path, "env")
    work.become("environment", "env")


def _from_secret(work: Work, name: str, data: str) -> dict[str, Any]:
    work.uses_secrets = True
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": work.context.secret_name, "key": data}}}


@key("env_file", "`env`: docker compose has put its variables among `environment`")
def env_file(work: Work, value: Any) -> None:
    """Already read."""
    del value
    work.become("env_file", "env: its variables are in environment")


@key("user", "`securityContext.runAsUser` and `runAsGroup`", "names instead of numbers")
def user(work: Work, value: Any) -> None:
    """Numbers only: the names are in the image, and Kubernetes does not look there."""
    match = _NUMBERS.fullmatch(str(value))
    if not match:
        work.refuse(
            "user",
            f"{value!r} is a name, and Kubernetes takes numbers only",
            "write its number (`docker compose exec SERVICE id` tells it)",
        )
        return
    work.security["runAsUser"] = int(match[1])
    if match[2] is not None:
        work.security["runAsGroup"] = int(match[2])
    work.become("user", "securityContext.runAsUser and runAsGroup")


@key("group_add", "the pod's `securityContext.supplementalGroups`", "names instead of numbers")
def group_add(work: Work, value: Any) -> None:
    """Numbers only, as with the user."""
    names = [str(group) for group in value if not str(group).isdigit()]
    if names:
        work.refuse("group_add", f"{', '.join(names)}: Kubernetes takes numbers only", "write the groups' numbers")
        return
    work.pod_security["supplementalGroups"] = [int(group) for group in value]
    work.become("group_add", "securityContext.supplementalGroups")


@key("working_dir", "`workingDir`")
def working_dir(work: Work, value: Any) -> None:
    """The same."""
    work.container["workingDir"] = str(value)
    work.become("working_dir", "workingDir")


@key("hostname", "the pod's `hostname`, and a name by which the others reach it", "what is no DNS label")
def hostname(work: Work, value: Any) -> None:
    """What the container calls itself."""
    if not is_label(str(value)):
        work.refuse("hostname", f"{value!r} is no DNS label", "lower-case letters, digits and '-', at most 63")
        return
    work.pod["hostname"] = str(value)
    work.become("hostname", "hostname")


@key("container_name", "a name by which the others reach it; pods are named by Kubernetes")
def container_name(work: Work, value: Any) -> None:
    """A name for the others; `docker logs NAME` becomes `kubectl logs deployment/OBJECT`."""
    work.become("container_name", f"host name {value} for the others; the Deployment is {work.object}")


@key("init", "`shareProcessNamespace`: the pause process is number 1 and buries the dead")
def init(work: Work, value: Any) -> None:
    """Docker puts an init process before the program; a pod that shares its processes has one."""
    if value:
        work.pod["shareProcessNamespace"] = True
    work.become("init", "shareProcessNamespace" if value else "nothing: that is how a pod is")


@key("stdin_open", "`stdin`")
def stdin_open(work: Work, value: Any) -> None:
    """The same."""
    work.container["stdin"] = bool(value)
    work.become("stdin_open", "stdin")


@key("tty", "`tty`")
def tty(work: Work, value: Any) -> None:
    """The same."""
    work.container["tty"] = bool(value)
    work.become("tty", "tty")


@key("platform", "`nodeSelector` for system and architecture")
def platform(work: Work, value: Any) -> None:
    """Only nodes that can run it. The variant of an architecture is the image's own affair."""
    system, _, architecture = str(value).partition("/")
    architecture = architecture.partition("/")[0]
    selector = {"kubernetes.io/os": system}
    if architecture:
        selector["kubernetes.io/arch"] = _ARCHITECTURES.get(architecture, architecture)
    work.pod["nodeSelector"] = selector
    work.become("platform", "nodeSelector")


@key("labels", "annotations of the pod; who watches docker by them sees none", "secrets; names no pod can have")
def labels(work: Work, value: Any) -> None:
    """Free text for tools that watch docker. Kubernetes' labels are short words, so they become annotations."""
    _annotate(work, "labels", value)
    work.tell("labels became annotations: what watches docker by them (a proxy, an updater) does not see the pods")


@key("annotations", "annotations of the pod", "secrets; names no pod can have")
def pod_annotations(work: Work, value: Any) -> None:
    """The same."""
    _annotate(work, "annotations", value)


def _annotate(work: Work, where: str, value: Any) -> None:
    for name, given in sorted(value.items()):
        path = f"{where}.{name}"
        if is_sealed(given):
            work.refuse(path, "seems to be a secret, and annotations can be read", "take it out, or rename it")
        elif not _ANNOTATION.fullmatch(name):
            work.refuse(path, "is no name that an annotation can have", "rename it, or take it out")
        else:
            work.annotations[name] = str(given if given is not None else "")
            work.become(path, "annotation of the pod")
    work.become(where, "annotations of the pod")
