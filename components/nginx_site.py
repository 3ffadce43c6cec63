"""A site of nginx as a dynamic resource that Pulumi can read.

The provider class is importable, so the state refers to it by name, and a change of its code is not a change of the
resource. The access to the server comes from the stack and the environment of the run: neither address nor key is among
the properties.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pulumi
from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from components.provider import Props, Provider, configured


class NginxSiteProvider(Provider):
    """Reads, writes and removes a site through :mod:`flowmaster.host.nginx`."""

    def configure(self, req: ConfigureRequest) -> None:
        """Store the configuration of the server."""
        _Stack.host = configured(req, "host")

    def create(self, props: Props) -> CreateResult:
        """Write the site; adopt an existing one of the same meaning unchanged."""
        return CreateResult(props["site"], _made(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Read the site from the server."""
        from flowmaster.host import nginx, nginx_tree

        state = nginx.read(_Stack.access(), [id_])
        found = state.site(id_)
        if found is None:
            # an empty id tells Pulumi that the resource is gone
            return ReadResult("", {})
        content = nginx_tree.readable(found.content or "")
        return ReadResult(id_, {**props, "site": id_, "content": content, "mode": found.mode})

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Update if the meaning of the site changes, or if the server has drift."""
        from flowmaster.host import nginx_tree

        old, new = _olds.get("content"), _news.get("content")
        said = isinstance(old, str) and isinstance(new, str) and nginx_tree.same(old, new)
        renamed = _olds.get("site") != _news.get("site")
        return DiffResult(
            changes=renamed or not said or bool(_news.get("drift")),
            replaces=["site"] if renamed else [],
            delete_before_replace=True,
        )

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Write the site."""
        return UpdateResult(_made(_news))

    def delete(self, _id: str, _props: Props) -> None:
        """Remove the site. The file stays on the server as a backup."""
        from flowmaster.host import nginx

        nginx.remove_site(_Stack.access(), _id)


class _Stack:
    """Configuration of the server. It exists in the provider's process only, never in the state."""

    host: Props = {}  # noqa: RUF012  one for the whole process

    @classmethod
    def access(cls) -> Any:
        from flowmaster.host.access import from_config

        return from_config(cls.host)


def _made(props: Props) -> Props:
    from flowmaster.host import nginx, nginx_tree
    from flowmaster.host.connection import Session

    name, content = props["site"], props["content"]
    if props.get("encoded"):
        content = b64decode(props["encoded"]).decode("utf-8", "surrogateescape")
    with Session(_Stack.access()) as server:
        found = nginx.read(server, [name]).site(name)
        live = found.content if found is not None else None
        # a file of the same meaning is not rewritten
        kept = live if live is not None and nginx_tree.same(live, content) else content
        expected = found.sha256 if found is not None else None
        outcome = nginx.write_site(server, name, kept, props["checks"], mode=props["mode"], expected=expected)
    for line in outcome.failing:
        pulumi.log.warn(f"nginx serves the site {name}, but its location {line}, as before this update")
    return {**props, "content": nginx_tree.readable(kept)}


class NginxSite(Resource, module="flowmaster", name="NginxSite"):
    """A file in nginx's sites-enabled that nginx has loaded."""

    site: pulumi.Output[str]
    content: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        content: pulumi.Input[str],
        checks: list[Props],
        drift: list[str],
        encoded: pulumi.Input[str] | None = None,
        provider: NginxSiteProvider | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`drift` lists what an update heals on the server; it is empty without drift.

        `encoded` is the content in base64 where it has bytes that are no UTF-8; `content` then only shows it.
        """
        props = {"site": name, "content": content, "checks": checks, "drift": drift, "mode": "0644"}
        if encoded is not None:
            props["encoded"] = encoded
        super().__init__(provider or NginxSiteProvider(), name, props, opts)
