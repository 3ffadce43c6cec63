"""Dynamic resources of a compose project: its images in the registry, and its phase.

As in :mod:`components.nginx_site`, provider classes are importable, and neither the server's address nor a key is among
the properties.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pulumi
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, Resource, UpdateResult

from components.nginx_site import NginxSiteProvider
from components.provider import Props, Provider, configured


class _Stack:
    """Configuration of server and cluster. It exists in the provider's process only, never in the state."""

    host: Props = {}  # noqa: RUF012  one for the whole process
    cluster: Props = {}  # noqa: RUF012

    @classmethod
    def configure(cls, req: ConfigureRequest) -> None:
        cls.host, cls.cluster = configured(req, "host"), configured(req, "cluster")


class ComposeImagesProvider(Provider):
    """Pushes images from docker to the registry, on the server, and creates the folders of volumes."""

    def configure(self, req: ConfigureRequest) -> None:
        """Store the configuration of the server."""
        _Stack.configure(req)

    def create(self, props: Props) -> CreateResult:
        """Push the images, and copy the volumes for the first time."""
        return CreateResult(str(props["project"]), _supplied(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Update if images or volumes differ."""
        same = all(_olds.get(key) == _news.get(key) for key in ("images", "volumes"))
        return DiffResult(changes=not same or bool(_news.get("drift")))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Push and copy again; what exists already is skipped."""
        return UpdateResult(_supplied(_news))

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing: images and volumes are kept."""


class ComposePhaseProvider(Provider):
    """Moves a project to its desired phase."""

    def configure(self, req: ConfigureRequest) -> None:
        """Store the configuration of server and cluster."""
        _Stack.configure(req)

    def create(self, props: Props) -> CreateResult:
        """Move the project to its phase. Phase docker needs no move."""
        outs = {**props, "standstill": None} if props["phase"] == "docker" else _moved(props)
        return CreateResult(str(props["project"]), outs)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Update if the phase or the translation changed, or if the server has drift or an interrupted move."""
        same = all(_plain(_olds.get(key)) == _plain(_news.get(key)) for key in ("phase", "moved", "namespace"))
        return DiffResult(changes=not same or bool(_news.get("drift")))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Move the project to its phase, and correct drift."""
        return UpdateResult(_moved(_news))

    def delete(self, _id: str, _props: Props) -> None:
        """Remove the resource, which is allowed only if docker serves.

        :raises UserError: in every other phase.
        """
        _refuse_unserved(_Stack.host, _id, str(_props["moved"]["folder"]))


class ComposeSiteProvider(NginxSiteProvider):
    """The site that serves a project's ports. It can be deleted only if docker serves them."""

    def __init__(self, project: str, folder: str) -> None:
        super().__init__()
        self.project, self.folder = project, folder

    def configure(self, req: ConfigureRequest) -> None:
        """Store the configuration of the server."""
        super().configure(req)
        _Stack.configure(req)

    def delete(self, _id: str, _props: Props) -> None:
        """Remove the site.

        :raises UserError: in every phase but docker.
        """
        _refuse_unserved(_Stack.host, self.project, self.folder)
        super().delete(_id, _props)


def _refuse_unserved(host: Props, project: str, folder: str) -> None:
    from config.errors import UserError
    from flowmaster.host import docker
    from flowmaster.host.access import from_config

    journal = docker.read_state(from_config(host), project, folder)["journal"]
    if journal["phase"] != "docker" or journal.get("move"):
        raise UserError(
            f"{project} is in phase {journal['phase']}",
            "nothing would serve it",
            "set `phase: docker` and run `pulumi up` first",
        )


def _supplied(props: Props) -> Props:
    with _run(props, str(props["folder"])) as run:
        run.acquire(TAKE_SECONDS)
        images = props["images"]
        answer = run.request("push", images=[dict(image) for image in images.values()])
        volumes = [dict(volume) for volume in props["volumes"]]
        made = run.request("prepare", volumes=volumes)["made"]
        for name in made:
            _say(f"{props['project']}: {name} first copy made")
    digests = {service: answer["digests"][image["id"]] for service, image in images.items()}
    return {**props, "digests": digests}


TAKE_SECONDS = 60.0


def _moved(props: Props) -> Props:
    from config.compose import Phase
    from config.stack import Cluster as Target
    from flowmaster.cluster.connection import connect
    from flowmaster.compose.transfer import Transfer
    from flowmaster.host.docker import answers_http
    from flowmaster.host.ssh import host_name
    from flowmaster.migrate.move import Mover
    from flowmaster.migrate.workloads import Workloads

    transfer = Transfer.from_properties(props["moved"])
    target = Target.model_validate(_Stack.cluster)
    with _run(props, transfer.folder) as run, connect(target) as api:
        cluster = Workloads(api, str(props["namespace"]), target.rollout_timeout, run.heartbeat)
        mover = Mover(run, cluster, transfer, _say, partial(answers_http, host_name(run.access)))
        standstill = mover.reach(Phase(props["phase"]))
    return {**props, "drift": [], "standstill": standstill}


@contextmanager
def _run(props: Props, folder: str) -> Iterator[Any]:
    from flowmaster.host.access import from_config
    from flowmaster.host.docker import Run

    with Run(from_config(_Stack.host), str(props["project"]), folder, _say) as run:
        yield run


def _say(text: str) -> None:
    """Report progress on standard error, which Pulumi shows: the provider's process has no access to Pulumi's log."""
    print(text, file=sys.stderr, flush=True)


def _plain(value: Any) -> Any:
    """Normalise properties for comparison: the state returns numbers as floats, and drops None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if part is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class ComposeImages(Resource, module="flowmaster", name="ComposeImages"):
    """What the cluster's copy needs on the server: images and folders."""

    digests: pulumi.Output[Mapping[str, str]]

    def __init__(
        self,
        name: str,
        *,
        folder: str,
        images: Mapping[str, Mapping[str, str]],
        volumes: Sequence[Mapping[str, str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """The output `digests` is the digest of each image, by service."""
        props = {"project": name, "folder": folder, "images": images, "volumes": volumes, "digests": None}
        super().__init__(ComposeImagesProvider(), name, props, opts)


class ComposePhase(Resource, module="flowmaster", name="ComposePhase"):
    """The phase of a project."""

    phase: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        phase: str,
        transfer: Mapping[str, Any],
        namespace: str,
        drift: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`drift` lists what an update heals on the server; it is not stored."""
        props = {
            "project": name,
            "phase": phase,
            "moved": transfer,
            "namespace": namespace,
            "drift": drift,
            "standstill": None,
        }
        super().__init__(ComposePhaseProvider(), name, props, opts)
