"""Checks before an update: is this the stack's cluster, and are the images in the registry?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from config.errors import UserError
from config.settings import Settings
from flowmaster.cluster.connection import Api, ApiError, identity
from flowmaster.drift.registry import Image, digest_of, registry_path, split_image

_PARALLEL_REQUESTS = 8
_NODE_LOCAL = "localhost:"
_TAGS_NAMED = 8


class PreflightError(UserError):
    """The cluster is another one, or an update could not succeed."""


def check_identity(settings: Settings, api: Api) -> None:
    """Check that this is the stack's cluster.

    :raises PreflightError: if the stack has a UID and the cluster's is another.
    """
    uid, wanted = identity(api), settings.stack.cluster.uid
    if wanted and uid != wanted:
        raise PreflightError(
            f"context {settings.stack.cluster.context!r} points to cluster {uid}, at {api.server}",
            f"stack {settings.name} is for cluster {wanted}; the update would change another one",
            "set KUBECONFIG to that of the stack's cluster; after a reinstall, correct flowmaster:cluster.uid",
        )


def check_images(settings: Settings, api: Api, running: Collection[str] = ()) -> None:
    """Check that the server's registry has all images, before pods wait for one in vain.


    The registry is at ``localhost:PORT`` on the node, so it is queried through the node proxy. Images of other
        registries are not checked: only the node has the credentials for them.

        :param running: images of live Deployments, which are not looked up.

        :raises PreflightError: if an image is missing, or the registry does not answer.
    """
    images = {settings.image(name): name for name in settings.services if settings.release(name).replicas}
    local = [image for image in images if image.startswith(_NODE_LOCAL) and image not in running]
    if not local:
        return
    node = node_name(api)
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        there = list(pool.map(lambda image: _exists(api, node, split_image(image)), local))
    missing = [image for image, found in zip(local, there, strict=True) if not found]
    if missing:
        first = missing[0]
        more = f" (and {len(missing) - 1} more: {', '.join(images[i] for i in missing[1:6])})" if missing[1:] else ""
        raise PreflightError(
            f"{images[first]}: the registry has no image {first}{more}",
            f"its pods could not start{_available_tags(api, node, split_image(first))}",
            "push it to the registry on the server, or correct the tag in the stack",
        )


def node_name(api: Api) -> str:
    """Return the name of a node.

    :raises PreflightError: if the cluster has none.
    """
    nodes: Iterable[dict[str, dict[str, str]]] = api.get("/api/v1/nodes", {"limit": "1"})["items"]
    for node in nodes:
        return node["metadata"]["name"]
    raise PreflightError("the cluster has no node", "no pod could run", "join a node, or check KUBECONFIG")


def _exists(api: Api, node: str, image: Image) -> bool:
    try:
        return digest_of(api, node, image) is not None
    except ApiError as err:
        if err.status is None:
            raise
        raise PreflightError(
            f"the registry {image.registry} on node {node} does not answer: {err.found}",
            "it is unknown whether the images exist, and no pod could pull one",
            "start the registry on the server; the kubeconfig's user needs access to nodes/proxy",
        ) from err


def _available_tags(api: Api, node: str, image: Image) -> str:
    try:
        tags = api.get(f"{registry_path(node, image.registry)}/{image.repository}/tags/list").get("tags") or []
    except (ApiError, AttributeError):
        return ""
    return f"; tags there: {', '.join(sorted(tags)[-_TAGS_NAMED:])}" if tags else ""
