"""The keys of a service, by what they are about. Imported in the order in which they are to be translated."""

from migration.service import process, lifecycle, resources, security, network, storage, fixed  # noqa: I001

__all__ = ["fixed", "lifecycle", "network", "process", "resources", "security", "storage"]
