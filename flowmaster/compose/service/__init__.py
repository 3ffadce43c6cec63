"""The keys of a service, by what they are about. Imported in the order in which they are to be translated."""

from flowmaster.compose.service import process, lifecycle, resources, security, network, storage, constant_keys  # noqa: I001

__all__ = ["constant_keys", "lifecycle", "network", "process", "resources", "security", "storage"]
