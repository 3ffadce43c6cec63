"""What a report rests on: how much was compared, asked and looked up, and what was not looked at. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Coverage:
    """Counts of what was compared. `not_looked_at` names the rest, each entry with its reason in parentheses."""

    objects: int = 0
    """Declared objects of the cluster."""
    kinds: int = 0
    """Kinds of objects that were listed."""
    sites: int = 0
    """Sites of nginx."""
    projects: int = 0
    """Compose projects."""
    ports: int = 0
    """Ports on which the declared nginx answered."""
    certificates: int = 0
    """Certificates that nginx presented."""
    tags: int = 0
    """Images whose tags were looked up in their registry."""
    not_looked_at: tuple[str, ...] = ()

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            objects=self.objects + other.objects,
            kinds=self.kinds + other.kinds,
            sites=self.sites + other.sites,
            projects=self.projects + other.projects,
            ports=self.ports + other.ports,
            certificates=self.certificates + other.certificates,
            tags=self.tags + other.tags,
            not_looked_at=(*self.not_looked_at, *other.not_looked_at),
        )
