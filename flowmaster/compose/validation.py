"""Checks the type of each key's value. Docker compose does too, but the source may have been edited since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from config.compose import ComposeService, ComposeSource
from flowmaster.compose.context import is_sealed
from flowmaster.compose.coverage import Coverage

ExpectedType = tuple[str, Callable[[Any], bool]]


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) or is_sealed(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_scalar(part) for part in value)


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(part is None or _is_scalar(part) for part in value.values())


def _is_network(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and (value.get("aliases") is None or _is_list(value["aliases"]))


def _are_networks(value: Any) -> bool:
    return _is_list(value) or (isinstance(value, Mapping) and all(_is_network(part) for part in value.values()))


def _is_check(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(
        _is_list(part) if isinstance(part, list) else part is None or _is_scalar(part) for part in value.values()
    )


SCALAR: ExpectedType = ("a word or a number", _is_scalar)
SCALARS: ExpectedType = ("a list of words", _is_list)
SCALAR_OR_SCALARS: ExpectedType = ("a word or a list of words", lambda value: _is_scalar(value) or _is_list(value))
SCALAR_MAPPING: ExpectedType = ("a mapping of words", _is_dict)
SCALARS_OR_MAPPING: ExpectedType = (
    "a list or a mapping of words",
    lambda value: _is_list(value) or isinstance(value, Mapping),
)
MAPPING: ExpectedType = ("a mapping", lambda value: isinstance(value, Mapping))
MAPPINGS: ExpectedType = (
    "a list of mappings",
    lambda value: isinstance(value, list) and all(isinstance(part, Mapping) for part in value),
)
EXPECTED_TYPES: dict[str, ExpectedType] = {
    **dict.fromkeys(
        ("image", "user", "working_dir", "hostname", "container_name", "init", "stdin_open", "tty"), SCALAR
    ),
    **dict.fromkeys(
        ("platform", "restart", "scale", "stop_grace_period", "stop_signal", "read_only", "privileged"), SCALAR
    ),
    **dict.fromkeys(("mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "cpus", "cpu_quota"), SCALAR),
    **dict.fromkeys(("cpu_period", "pids_limit", "pid", "ipc", "network_mode", "shm_size"), SCALAR),
    **dict.fromkeys(("group_add", "cap_add", "cap_drop", "security_opt", "links", "expose", "dns_opt"), SCALARS),
    **dict.fromkeys(("command", "entrypoint", "dns_search", "tmpfs"), SCALAR_OR_SCALARS),
    **dict.fromkeys(("environment", "labels", "annotations"), SCALAR_MAPPING),
    **dict.fromkeys(("sysctls", "extra_hosts", "depends_on"), SCALARS_OR_MAPPING),
    **dict.fromkeys(("deploy", "logging"), MAPPING),
    **dict.fromkeys(("volumes", "ports", "configs", "secrets", "pre_stop", "post_start"), MAPPINGS),
    "networks": ("a list or a mapping of networks", _are_networks),
    "healthcheck": ("a mapping with a test", _is_check),
}
"""Expected type of the value, by key of a service."""


def validate_source(source: ComposeSource, coverage: Coverage) -> ComposeSource:
    """Sort the source by key, and refuse and remove keys whose value has the wrong type."""
    services: dict[str, ComposeService] = {}
    for name, entry in sorted(source.services.items()):
        keys = {}
        for key, value in sorted(entry.keys.items()):
            expected, fits = EXPECTED_TYPES.get(key, ("", lambda _: True))
            if value is None or fits(value):
                keys[key] = sorted_by_key(value)
            else:
                coverage.refuse(f"services.{name}.{key}", f"is not {expected}", "correct it in the compose file")
        services[name] = entry.model_copy(update={"keys": keys})
    volumes = {
        name: volume.model_copy(update={"keys": sorted_by_key(volume.keys)})
        for name, volume in sorted(source.volumes.items())
    }
    parts = {part: sorted_by_key(getattr(source, part)) for part in ("networks", "configs", "secrets")}
    return source.model_copy(update={"services": services, "volumes": volumes, **parts})


def sorted_by_key(value: Any) -> Any:
    """Return a copy with every mapping sorted by key."""
    if isinstance(value, Mapping):
        return {str(name): sorted_by_key(part) for name, part in sorted(value.items(), key=lambda pair: str(pair[0]))}
    return [sorted_by_key(part) for part in value] if isinstance(value, list | tuple) else value
