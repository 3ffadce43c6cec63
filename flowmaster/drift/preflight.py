"""What is asked of the server before anything is declared: is it the right one, and are the images there?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from config.errors import UserError
from config.settings import Settings
from flowmaster.cluster.connection import Api, ApiError, identity
from flowmaster.drift.registry import Image, digest_of, registry_path, split_image

_AT_ONCE = 8
_NODE_LOCAL = "localhost:"
_TAGS_NAMED = 8


class PreflightError(UserError):
    """The server is not the one, or not in the state, that this update needs."""


def check_identity(settings: Settings, api: Api) -> None:
    """Refuse another cluster than the stack's.

    :raises PreflightError: where the stack gives a UID and the cluster has another.
    """
    uid, wanted = identity(api), settings.stack.cluster.uid
    if wanted and uid != wanted:
        raise PreflightError(
            f"context {settings.stack.cluster.context!r} leads to the cluster {uid}, at {api.server}",
            f"stack {settings.name} is for the cluster {wanted}: another one would be changed",
            "set KUBECONFIG to that cluster's; after a reinstall, correct flowmaster:cluster.uid",
        )


def check_images(settings: Settings, api: Api, running: Collection[str] = ()) -> None:
    """Refuse images that the registry on the server does not have, before any pod waits for one in vain.

    The registry is ``localhost:PORT`` to the node, so the API server asks it there (its node proxy). Registries
    elsewhere are the node's to reach, with credentials that only it has: their images are not checked.

    :param running: images that Deployments run by now, which need no asking.

    :raises PreflightError: for images that are missing, or a registry that does not answer.
    """
    images = {settings.image(name): name for name in settings.services if settings.release(name).replicas}
    local = [image for image in images if image.startswith(_NODE_LOCAL) and image not in running]
    if not local:
        return
    node = _node(api)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        there = list(pool.map(lambda image: _is_there(api, node, split_image(image)), local))
    missing = [image for image, found in zip(local, there, strict=True) if not found]
    if missing:
        first = missing[0]
        more = f" (and {len(missing) - 1} more: {', '.join(images[i] for i in missing[1:6])})" if missing[1:] else ""
        raise PreflightError(
            f"{images[first]}: the registry has no image {first}{more}",
            f"its pods could not start{_tags_there(api, node, split_image(first))}",
            "push it to the registry on the server, or correct the tag in the stack",
        )


def _node(api: Api) -> str:
    nodes: Iterable[dict[str, dict[str, str]]] = api.get("/api/v1/nodes", {"limit": "1"})["items"]
    for node in nodes:
        return node["metadata"]["name"]
    raise PreflightError("the cluster has no node", "no pod could run", "join a node, or check KUBECONFIG")


def _is_there(api: Api, node: str, image: Image) -> bool:
    try:
        return digest_of(api, node, image) is not None
    except ApiError as err:
        if err.status is None:
            raise
        raise PreflightError(
            f"the registry {image.registry} on node {node} does not answer: {err.found}",
            "whether the images exist cannot be told, and no pod could pull one",
            "start the registry on the server; the kubeconfig's user needs the right to nodes/proxy",
        ) from err


def _tags_there(api: Api, node: str, image: Image) -> str:
    try:
        tags = api.get(f"{registry_path(node, image.registry)}/{image.repository}/tags/list").get("tags") or []
    except (ApiError, AttributeError):
        return ""
    return f"; tags there: {', '.join(sorted(tags)[-_TAGS_NAMED:])}" if tags else ""
