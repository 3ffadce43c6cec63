"""Base class of all components: type token, and options of their children."""

from __future__ import annotations

import pulumi

from components import aliases
from flowmaster.render import names


class Component(pulumi.ComponentResource):
    """A component of type ``flowmaster:index:X`` for a class ``X``; its children are made with :meth:`child`."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        own = type(self).__name__
        if former := aliases.of_component(name, own):
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[*former]))
        super().__init__(f"{names.PART_OF}:index:{own}", name, None, opts)

    def child(self, *, depends_on: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        """Return the options of a child resource."""
        return pulumi.ResourceOptions(parent=self, depends_on=depends_on)
