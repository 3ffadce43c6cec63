"""A Pulumi stack in a folder of its own: nothing of it gets into the project's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "demo"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where a stack's state and configuration are."""

    folder: Path
    name: str = NAME

    @property
    def state(self) -> Path:
        """The folder that Pulumi keeps its state in."""
        return self.folder / "state"

    @property
    def configuration(self) -> Path:
        """The stack's configuration."""
        return self.configuration_in(self.folder)

    def configuration_in(self, folder: Path) -> Path:
        """Where Pulumi looks for the stack's configuration in a project's folder."""
        return folder / f"Pulumi.{self.name}.yaml"

    @property
    def variables(self) -> dict[str, str]:
        """What makes Pulumi use this stack, whichever folder the program is in."""
        return {
            "PULUMI_STACK": self.name,
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_OPTION_CONFIG_FILE": str(self.configuration),
        }
