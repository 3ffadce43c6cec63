"""Base class of all components: type token, and options of their children."""

from __future__ import annotations

import pulumi

from flowmaster.render import names


class Component(pulumi.ComponentResource):
    """A component of type ``flowmaster:index:X`` for a class ``X``; its children are made with :meth:`child`."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{names.PART_OF}:index:{type(self).__name__}", name, None, opts)

    def child(self, *, depends_on: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        """Return the options of a child resource."""
        return pulumi.ResourceOptions(parent=self, depends_on=depends_on)
