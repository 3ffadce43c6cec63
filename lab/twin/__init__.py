"""The twin of the demo server: a whole server in namespaces of this machine."""

from lab.twin.errors import TwinError
from lab.twin.twin import Twin

__all__ = ["Twin", "TwinError"]
