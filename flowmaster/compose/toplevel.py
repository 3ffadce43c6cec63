"""Translates the top-level keys of a compose file: networks, volumes, configs, secrets and others."""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster.compose.context import Context, is_sealed
from flowmaster.compose.coverage import Keys


@dataclass(frozen=True)
class KeyRule:
    """Documentation of a key: what it becomes, and what is refused."""

    becomes: str
    refused: str = ""


VOLUME_KEYS = {
    "name": KeyRule("nothing: the claim is `PROJECT-VOLUME`"),
    "driver": KeyRule("`local`: a copy of its data", "any other"),
    "driver_opts": KeyRule("a bind (`o: bind`): a copy of the path in `device`", "any others"),
    "external": KeyRule("a copy of its data, with a note: others may keep using the volume"),
    "labels": KeyRule("nothing: they are for docker's own commands"),
}
NETWORK_KEYS = {
    "name": KeyRule("nothing: a cluster has one network"),
    "driver": KeyRule("`bridge`: the cluster's network", "any other"),
    "driver_opts": KeyRule("", "always, unless empty: they are specific to docker"),
    "attachable": KeyRule("nothing: every pod reaches every Service"),
    "enable_ipv4": KeyRule("`true`", "`false`"),
    "enable_ipv6": KeyRule("`false`", "`true`: the cluster's addresses are of version 4"),
    "external": KeyRule("", "`true`: containers of other projects are not in the cluster"),
    "internal": KeyRule("", "`true`: pods reach what the node reaches"),
    "ipam": KeyRule("nothing, with a note: the cluster assigns addresses"),
    "labels": KeyRule("nothing: they are for docker's own commands"),
}
CONFIG_KEYS = {
    "name": KeyRule("nothing: it is known by its key"),
    "content": KeyRule("a ConfigMap"),
    "file": KeyRule("a copy of the file"),
    "environment": KeyRule("", "where a service uses it: its value is not in the file"),
    "external": KeyRule("", "always: it is a swarm's"),
    "labels": KeyRule("nothing: they are for docker's own commands"),
    "template_driver": KeyRule("", "always: it is a swarm's"),
}
SECRET_KEYS = {
    **{name: fate for name, fate in CONFIG_KEYS.items() if name != "content"},
    "driver": KeyRule("", "always: it is a swarm's"),
    "driver_opts": KeyRule("", "always: it is a swarm's"),
}
TOP_KEYS = {
    "version": KeyRule("nothing: docker compose ignores it too"),
    "name": KeyRule("the prefix of every name in the cluster"),
    "include": KeyRule("nothing: docker compose has included it"),
    "models": KeyRule("", "always: the cluster runs no models for docker"),
}


def translate_top_level(context: Context) -> None:
    """Translate everything but the services."""
    for name, volume in sorted(context.source.volumes.items()):
        _volume(context, name, Keys(context.coverage, f"volumes.{name}", volume.keys))
    for name, network in sorted(context.source.networks.items()):
        _network(context, name, Keys(context.coverage, f"networks.{name}", network))
    if len(context.source.networks) > 1:
        context.coverage.note("the networks were separate; in the cluster every pod reaches every Service by address")
    for kind, entries in (("configs", context.source.configs), ("secrets", context.source.secrets)):
        for name, entry in sorted(entries.items()):
            _file(context, Keys(context.coverage, f"{kind}.{name}", entry), inline=kind == "configs")
    for name in sorted(context.source.other):
        if name == "models":
            context.coverage.refuse(name, "the cluster runs no models for docker", "write a service that does")
        elif name in TOP_KEYS or name.startswith("x-"):
            what = TOP_KEYS[name].becomes if name in TOP_KEYS else "nothing: docker ignores it too"
            context.coverage.record(name, what)
        else:
            context.coverage.refuse(name, "is not supported", "remove it")


def _volume(context: Context, name: str, keys: Keys) -> None:
    for key in ("name", "labels"):
        keys.pop(key, VOLUME_KEYS[key].becomes)
    if keys.pop("external", VOLUME_KEYS["external"].becomes):
        context.coverage.note(
            f"volume {name} is external: its data is copied; other users of the volume in docker are not moved"
        )
    driver = keys.pop("driver", "a copy of its data")
    if driver not in (None, "local"):
        keys.refuse("driver", f"{driver}: its data is not on this server", "mount it in the cluster by hand")
    options = keys.pop("driver_opts", "a copy of its data")
    if options and not _is_bind(options):
        given = ", ".join(options) if isinstance(options, dict) else options
        reason = f"{given}: its data is not a folder of this server"
        keys.refuse("driver_opts", reason, "mount it in the cluster by hand")
    keys.refuse_remaining()


def _is_bind(options: object) -> bool:
    """Return whether a docker volume is a bind mount of a folder."""
    if not isinstance(options, dict) or set(options) - {"type", "o", "device"}:
        return False
    flags = str(options.get("o", "")).split(",")
    return "bind" in flags and options.get("type", "none") in ("none", "bind", "")


def _network(context: Context, name: str, keys: Keys) -> None:
    for key in ("name", "attachable", "labels"):
        keys.pop(key, NETWORK_KEYS[key].becomes)
    driver = keys.pop("driver", "the cluster's network")
    if driver not in (None, "bridge"):
        keys.refuse("driver", f"{driver}: pods are on the cluster's network", "remove it")
    for key, usual in (("external", False), ("internal", False), ("enable_ipv6", False), ("enable_ipv4", True)):
        value = keys.pop(key, "nothing: that is how it is in the cluster")
        if value is not None and bool(value) is not usual:
            keys.refuse(key, NETWORK_KEYS[key].refused.replace("`", ""), "remove it, or leave the project in docker")
    if keys.pop("driver_opts", "nothing: there are none"):
        keys.refuse("driver_opts", "they are specific to docker", "remove them")
    if keys.pop("ipam", "nothing: the cluster assigns addresses"):
        context.coverage.note(f"network {name} had fixed addresses; in the cluster addresses are assigned")
    keys.refuse_remaining()


def _file(context: Context, keys: Keys, inline: bool) -> None:
    for key in ("name", "labels"):
        keys.pop(key, CONFIG_KEYS[key].becomes)
    keys.pop("file", "a copy of the file, where a service uses it")
    if inline and is_sealed(keys.get("content")):
        keys.refuse(
            "content", "seems to hold a secret, and a ConfigMap stores it in the clear", "make it a secret from a file"
        )
    elif inline:
        keys.pop("content", f"ConfigMap {context.configs_name}, where a service uses it")
    keys.pop("environment", "refused where a service uses it")
    for key in ("external", "template_driver", "driver", "driver_opts"):
        if keys.pop(key, "nothing: it is not"):
            keys.refuse(key, "it is a swarm's", "put it into a file")
    keys.refuse_remaining()
