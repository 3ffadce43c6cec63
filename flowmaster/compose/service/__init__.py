"""Translators of a service's keys, by topic. Keys are translated in the order of these imports."""

from flowmaster.compose.service import process, lifecycle, resources, security, network, storage, constant_keys  # noqa: I001

__all__ = ["constant_keys", "lifecycle", "network", "process", "resources", "security", "storage"]
