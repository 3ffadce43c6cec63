"""The keys at the top of a compose file: networks, volumes, configs, secrets and the rest."""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster.compose.context import Context, is_sealed
from flowmaster.compose.coverage import Keys


@dataclass(frozen=True)
class Fate:
    """What becomes of a key: what of it is taken, and what refused."""

    becomes: str
    refused: str = ""


VOLUME_KEYS = {
    "name": Fate("nothing: the claim is `PROJECT-VOLUME`"),
    "driver": Fate("`local`: a copy of its data", "any other"),
    "driver_opts": Fate("a bind (`o: bind`): a copy of the path in `device`", "any others"),
    "external": Fate("a copy of its data, which is told: somebody else may go on using the volume"),
    "labels": Fate("nothing: they are for docker's own commands"),
}
NETWORK_KEYS = {
    "name": Fate("nothing: a cluster has one network"),
    "driver": Fate("`bridge`: the cluster's network", "any other"),
    "driver_opts": Fate("", "always, where there are any: they are docker's own"),
    "attachable": Fate("nothing: every pod reaches every Service"),
    "enable_ipv4": Fate("`true`", "`false`"),
    "enable_ipv6": Fate("`false`", "`true`: the cluster's addresses are of version 4"),
    "external": Fate("", "`true`: containers of other projects are not in the cluster"),
    "internal": Fate("", "`true`: pods reach what the node reaches"),
    "ipam": Fate("nothing, which is told: addresses are the cluster's"),
    "labels": Fate("nothing: they are for docker's own commands"),
}
CONFIG_KEYS = {
    "name": Fate("nothing: it is known by its key"),
    "content": Fate("a ConfigMap"),
    "file": Fate("a copy of the file"),
    "environment": Fate("", "where a service uses it: its value is not in the file"),
    "external": Fate("", "always: it is a swarm's"),
    "labels": Fate("nothing: they are for docker's own commands"),
    "template_driver": Fate("", "always: it is a swarm's"),
}
SECRET_KEYS = {
    **{name: fate for name, fate in CONFIG_KEYS.items() if name != "content"},
    "driver": Fate("", "always: it is a swarm's"),
    "driver_opts": Fate("", "always: it is a swarm's"),
}
TOP_KEYS = {
    "version": Fate("nothing: docker compose takes no notice of it either"),
    "name": Fate("the beginning of every name in the cluster"),
    "include": Fate("nothing: docker compose has put everything of it here"),
    "models": Fate("", "always: the cluster runs no models for docker"),
}


def toplevel(context: Context) -> None:
    """Take account of everything but the services."""
    for name, volume in sorted(context.source.volumes.items()):
        _volume(context, name, Keys(context.account, f"volumes.{name}", volume.keys))
    for name, network in sorted(context.source.networks.items()):
        _network(context, name, Keys(context.account, f"networks.{name}", network))
    if len(context.source.networks) > 1:
        context.account.tell("the networks were apart; in the cluster every pod reaches every Service by its address")
    for kind, entries in (("configs", context.source.configs), ("secrets", context.source.secrets)):
        for name, entry in sorted(entries.items()):
            _file(context, Keys(context.account, f"{kind}.{name}", entry), inline=kind == "configs")
    for name in sorted(context.source.other):
        if name == "models":
            context.account.refuse(name, "the cluster runs no models for docker", "write a service that does")
        elif name in TOP_KEYS or name.startswith("x-"):
            what = TOP_KEYS[name].becomes if name in TOP_KEYS else "nothing: docker takes no notice of it either"
            context.account.become(name, what)
        else:
            context.account.refuse(name, "is not known to this translator", "take it out")


def _volume(context: Context, name: str, keys: Keys) -> None:
    for word in ("name", "labels"):
        keys.take(word, VOLUME_KEYS[word].becomes)
    if keys.take("external", VOLUME_KEYS["external"].becomes):
        context.account.tell(f"volume {name} is external: its data is copied, and who else uses it in docker goes on")
    driver = keys.take("driver", "a copy of its data")
    if driver not in (None, "local"):
        keys.refuse("driver", f"{driver}: its data is not on this server", "mount it in the cluster by hand")
    options = keys.take("driver_opts", "a copy of its data")
    if options and not _is_bind(options):
        given = ", ".join(options) if isinstance(options, dict) else options
        reason = f"{given}: its data is not a folder of this server"
        keys.refuse("driver_opts", reason, "mount it in the cluster by hand")
    keys.close()


def _is_bind(options: object) -> bool:
    """Whether a volume of docker's is another name for a folder."""
    if not isinstance(options, dict) or set(options) - {"type", "o", "device"}:
        return False
    flags = str(options.get("o", "")).split(",")
    return "bind" in flags and options.get("type", "none") in ("none", "bind", "")


def _network(context: Context, name: str, keys: Keys) -> None:
    for word in ("name", "attachable", "labels"):
        keys.take(word, NETWORK_KEYS[word].becomes)
    driver = keys.take("driver", "the cluster's network")
    if driver not in (None, "bridge"):
        keys.refuse("driver", f"{driver}: pods are on the cluster's network", "take it out")
    for word, usual in (("external", False), ("internal", False), ("enable_ipv6", False), ("enable_ipv4", True)):
        value = keys.take(word, "nothing: that is how it is in the cluster")
        if value is not None and bool(value) is not usual:
            keys.refuse(
                word, NETWORK_KEYS[word].refused.replace("`", ""), "take it out, or leave the project in docker"
            )
    if keys.take("driver_opts", "nothing: there are none"):
        keys.refuse("driver_opts", "they are docker's own", "take them out")
    if keys.take("ipam", "nothing: addresses are the cluster's"):
        context.account.tell(f"network {name} had addresses of its own choice; in the cluster it has the cluster's")
    keys.close()


def _file(context: Context, keys: Keys, inline: bool) -> None:
    for word in ("name", "labels"):
        keys.take(word, CONFIG_KEYS[word].becomes)
    keys.take("file", "a copy of the file, where a service uses it")
    if inline and is_sealed(keys.peek("content")):
        keys.refuse("content", "seems to hold a secret, and a ConfigMap can be read", "put it into a file, as a secret")
    elif inline:
        keys.take("content", f"ConfigMap {context.project}-configs, where a service uses it")
    keys.take("environment", "refused where a service uses it")
    for word in ("external", "template_driver", "driver", "driver_opts"):
        if keys.take(word, "nothing: it is not"):
            keys.refuse(word, "it is a swarm's", "put it into a file")
    keys.close()
