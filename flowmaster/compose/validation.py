"""The shape of each key's value. Docker compose sees to it, but somebody may have edited the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from config.compose import ComposeService, ComposeSource
from flowmaster.compose.context import is_sealed
from flowmaster.compose.coverage import Account

Shape = tuple[str, Callable[[Any], bool]]


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int | float) or is_sealed(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_word(part) for part in value)


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(part is None or _is_word(part) for part in value.values())


def _is_network(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and (value.get("aliases") is None or _is_list(value["aliases"]))


def _are_networks(value: Any) -> bool:
    return _is_list(value) or (isinstance(value, Mapping) and all(_is_network(part) for part in value.values()))


def _is_check(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(_is_list(part) if isinstance(part, list) else part is None or _is_word(part) for part in value.values())


WORD: Shape = ("a word or a number", _is_word)
LIST: Shape = ("a list of words", _is_list)
WORDS: Shape = ("a word or a list of words", lambda value: _is_word(value) or _is_list(value))
DICT: Shape = ("a mapping of words", _is_dict)
EITHER: Shape = ("a list or a mapping of words", lambda value: _is_list(value) or isinstance(value, Mapping))
MAPPING: Shape = ("a mapping", lambda value: isinstance(value, Mapping))
ENTRIES: Shape = (
    "a list of mappings",
    lambda value: isinstance(value, list) and all(isinstance(part, Mapping) for part in value),
)
SHAPES: dict[str, Shape] = {
    **dict.fromkeys(("image", "user", "working_dir", "hostname", "container_name", "init", "stdin_open", "tty"), WORD),
    **dict.fromkeys(
        ("platform", "restart", "scale", "stop_grace_period", "stop_signal", "read_only", "privileged"), WORD
    ),
    **dict.fromkeys(("mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "cpus", "cpu_quota"), WORD),
    **dict.fromkeys(("cpu_period", "pids_limit", "pid", "ipc", "network_mode", "shm_size"), WORD),
    **dict.fromkeys(("group_add", "cap_add", "cap_drop", "security_opt", "links", "expose", "dns_opt"), LIST),
    **dict.fromkeys(("command", "entrypoint", "dns_search", "tmpfs"), WORDS),
    **dict.fromkeys(("environment", "labels", "annotations"), DICT),
    **dict.fromkeys(("sysctls", "extra_hosts", "depends_on"), EITHER),
    **dict.fromkeys(("deploy", "logging"), MAPPING),
    **dict.fromkeys(("volumes", "ports", "configs", "secrets", "pre_stop", "post_start"), ENTRIES),
    "networks": ("a list or a mapping of networks", _are_networks),
    "healthcheck": ("a mapping with a test", _is_check),
}
"""By key of a service: what its value has to be."""


def well_formed(source: ComposeSource, account: Account) -> ComposeSource:
    """The source in one order, without the keys whose values are not what they have to be: those are refused."""
    services: dict[str, ComposeService] = {}
    for name, entry in sorted(source.services.items()):
        keys = {}
        for key, value in sorted(entry.keys.items()):
            expected, fits = SHAPES.get(key, ("", lambda _: True))
            if value is None or fits(value):
                keys[key] = ordered(value)
            else:
                account.refuse(f"services.{name}.{key}", f"is not {expected}", "correct it in the compose file")
        services[name] = entry.model_copy(update={"keys": keys})
    volumes = {
        name: volume.model_copy(update={"keys": ordered(volume.keys)})
        for name, volume in sorted(source.volumes.items())
    }
    parts = {part: ordered(getattr(source, part)) for part in ("networks", "configs", "secrets")}
    return source.model_copy(update={"services": services, "volumes": volumes, **parts})


def ordered(value: Any) -> Any:
    """The same with every mapping in the order of its keys."""
    if isinstance(value, Mapping):
        return {str(name): ordered(part) for name, part in sorted(value.items(), key=lambda pair: str(pair[0]))}
    return [ordered(part) for part in value] if isinstance(value, list | tuple) else value
