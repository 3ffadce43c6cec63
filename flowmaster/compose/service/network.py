"""How it is reached and whom it reaches: ports, networks, names."""

from __future__ import annotations

import ipaddress
from typing import Any

from flowmaster.compose.context import Work
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Port
from flowmaster.compose.units import is_host

_MOST_PORTS = 1000
DEFAULT = "default"
GATEWAY = "host-gateway"
_NO_ADDRESSES = "pods are given their addresses"


@key(
    "ports",
    "ports of the Service; what docker published on the server is served there by nginx, which speaks HTTP",
    "published ports of UDP or SCTP, or a range of them for one port that runs nowhere",
)
def ports(work: Work, value: Any) -> None:
    """Each port, as `docker compose config` writes them out."""
    for number, given in enumerate(value):
        keys = Keys(work.account, work.keys.at(f"ports[{number}]"), given)
        target = keys.take("target", "port of the Service")
        protocol = str(keys.take("protocol", "protocol of the port") or "tcp").lower()
        keys.take("mode", "nothing: there is one server")
        called = keys.take("name", "nothing: ports are named by protocol and number")
        entry = add_port(work, int(target), protocol)
        if application := keys.take("app_protocol", "appProtocol"):
            entry["appProtocol"] = str(application)
        if called:
            work.tell(f"port {target} was called {called} in the compose file, a word to its readers")
        _publish(work, keys, int(target), protocol)
        keys.close()
    work.become("ports", "ports of the Service")


def _publish(work: Work, keys: Keys, target: int, protocol: str) -> None:
    published, host_ip = keys.take("published"), str(keys.take("host_ip") or "")
    if published is None:
        work.become(keys.path.removeprefix(work.keys.path + "."), "port of the Service, and none of the server")
        work.tell(f"port {target} had a port of the server that docker chose anew at each start; now it has none")
        return
    if not str(published).isdigit():
        keys.refuse(
            "published", f"{published}: a range for one port, and none of its containers runs", "write one port"
        )
    elif protocol != "tcp":
        keys.refuse(
            "published",
            f"{published}/{protocol}: nginx, which serves the server's ports, speaks HTTP",
            "take the published port out, or leave this service in docker",
        )
    else:
        address = "" if host_ip in ("0.0.0.0", "::") else host_ip  # noqa: S104  docker's word for all of them
        work.context.ports.append(
            Port(host_port=int(published), service=work.name, container_port=target, host_ip=address)
        )
        keys.account.become(keys.at("published"), "port of the server, served by nginx")
        if host_ip:
            keys.account.become(keys.at("host_ip"), "the address that nginx listens on")


def add_port(work: Work, number: int, protocol: str = "tcp") -> dict[str, Any]:
    """A port of the Service; the same one is only there once."""
    name = f"{protocol}-{number}"
    entry = {"name": name, "port": number, "targetPort": number, "protocol": protocol.upper()}
    return work.service_ports.setdefault((number, protocol), entry)


@key("expose", "ports of the Service, as are those that the image exposes")
def expose(work: Work, value: Any) -> None:
    """Ports for the other services."""
    for entry in value:
        for number, protocol in exposed(entry):
            add_port(work, number, protocol)
    work.become("expose", "ports of the Service")


def exposed(entry: object) -> list[tuple[int, str]]:
    """The ports of an entry such as ``3000``, ``4000-4001`` or ``53/udp``."""
    numbers, _, protocol = str(entry).partition("/")
    first, _, last = numbers.partition("-")
    found = range(int(first), int(last or first) + 1)
    if len(found) > _MOST_PORTS:
        raise ValueError(f"{entry} is {len(found)} ports, more than a Service takes")
    return [(number, protocol or "tcp") for number in found]


@key(
    "networks",
    "names: who shared a network with another is known to it by service name, container name and aliases",
    "fixed addresses (`ipv4_address`, `ipv6_address`, `link_local_ips`, `mac_address`), `driver_opts`, "
    "`interface_name`",
)
def networks(work: Work, value: Any) -> None:
    """One flat network; the names are kept apart as the networks were."""
    given = value if isinstance(value, dict) else dict.fromkeys(value)
    for name, details in sorted(given.items()):
        keys = Keys(work.account, work.keys.at(f"networks.{name}"), details)
        keys.take("aliases", "names of the service for those on this network")
        for word in ("priority", "gw_priority"):
            keys.take(word, "nothing: a pod is on one network")
        for word in ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address"):
            if word in keys:
                keys.refuse(word, _NO_ADDRESSES, "use the service's name")
        for word in ("driver_opts", "interface_name"):
            if word in keys:
                keys.refuse(word, "is docker's own", "take it out")
        keys.close()
        work.become(f"networks.{name}", "names for those who share it")
    work.become("networks", "names")


@key("links", "names of other services, for this one")
def links(work: Work, value: Any) -> None:
    """Names for this service alone."""
    for number, entry in enumerate(value):
        service = str(entry).partition(":")[0]
        if service not in work.context.objects:
            work.refuse(f"links[{number}]", f"there is no service {service}", "correct the name")
    work.become("links", "names of other services, in /etc/hosts")


@key(
    "extra_hosts",
    "the pod's `hostAliases`; `host-gateway` is the node's address",
    "`host-gateway` where nobody knows the node's address; names that are none",
)
def extra_hosts(work: Work, value: Any) -> None:
    """Names and addresses as they are."""
    found: dict[str, list[str]] = {}
    for name, address in _hosts(value):
        path = f"extra_hosts.{name}"
        actual = work.context.node_address if address == GATEWAY else address.strip("[]")
        if not actual:
            work.refuse(path, "the node's own address is not known", "read the project again, or write the address")
            continue
        if not is_host(name.lower()):
            work.refuse(path, "Kubernetes takes no such name for a host", "use letters, digits, '-' and '.'")
            continue
        ipaddress.ip_address(actual)
        found.setdefault(actual, []).append(name.lower())
        work.become(path, f"hostAliases, {actual}")
        if address == GATEWAY:
            work.tell(f"{name} is the node itself, {actual}: what listens only on docker's bridge does not answer")
    if found:
        entries = [{"ip": address, "hostnames": sorted(names)} for address, names in sorted(found.items())]
        work.pod["hostAliases"] = entries
    work.become("extra_hosts", "hostAliases")


def _hosts(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        pairs = [(name, ip) for name, ips in value.items() for ip in (ips if isinstance(ips, list) else [ips])]
        return sorted((str(name), str(ip)) for name, ip in pairs)
    found = []
    for entry in value:
        name, separator, address = str(entry).partition("=")
        if not separator:
            name, _, address = str(entry).partition(":")
        found.append((name, address))
    return sorted(found)


@key("dns_search", "the pod's `dnsConfig.searches`, after the cluster's own")
def dns_search(work: Work, value: Any) -> None:
    """More domains to look in."""
    names = value if isinstance(value, list) else [value]
    work.pod.setdefault("dnsConfig", {})["searches"] = [str(name) for name in names]
    work.become("dns_search", "dnsConfig.searches")


@key("dns_opt", "the pod's `dnsConfig.options`")
def dns_opt(work: Work, value: Any) -> None:
    """Options of the resolver."""
    options = []
    for option in value:
        name, separator, setting = str(option).partition(":")
        options.append({"name": name, **({"value": setting} if separator else {})})
    work.pod.setdefault("dnsConfig", {})["options"] = options
    work.become("dns_opt", "dnsConfig.options")


@key("network_mode", "`bridge`: a pod's network is such a one", "`host`, `none`, another container's or service's")
def network_mode(work: Work, value: Any) -> None:
    """A pod has a network of its own."""
    mode = str(value)
    reasons = {
        "host": ("would take the server's ports while docker still has them", "write the ports that it serves"),
        "none": ("a pod always has a network", "take it out; a NetworkPolicy can close it"),
    }
    if mode in ("bridge", "default"):
        work.become("network_mode", "nothing: a pod has a network of its own")
        return
    other = ("the network of another container is that of another pod", "write networks, and use its name")
    work.refuse("network_mode", f"{mode}: {reasons.get(mode, other)[0]}", reasons.get(mode, other)[1])
