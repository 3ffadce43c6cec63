"""The pinned programs that the project runs: Pulumi and its plugins, Kubernetes, CoreDNS, docker compose.

`binary("kubelet")` is where a program lies, `environment()` what a process that calls `pulumi` must have set.
Both only look; `python -m lab.tools ensure` (or `lab/bootstrap`) is what makes them available.
"""

from lab.tools.errors import ToolError
from lab.tools.places import binary, environment

__all__ = ["ToolError", "binary", "environment"]
