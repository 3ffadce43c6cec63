"""Ports, networks and host names."""

from __future__ import annotations

import ipaddress
from typing import Any

from flowmaster.compose.context import ServiceBuilder
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.result import Port
from flowmaster.compose.units import is_host

_MOST_PORTS = 1000
DEFAULT = "default"
GATEWAY = "host-gateway"
_ALL_ADDRESSES = frozenset({"", "0.0.0.0"})  # noqa: S104
"""How docker writes all IPv4 addresses of the server. What was on IPv6 alone would become reachable by IPv4."""
_NO_ADDRESSES = "pods cannot choose their addresses"


@key(
    "ports",
    "ports of the Service; nginx serves the published ports on the server, for HTTP",
    "published ports of UDP or SCTP; one address of the server, unless it is an IPv4 loopback address; a range for one "
    "port if no container runs",
)
def ports(builder: ServiceBuilder, value: Any) -> None:
    """Each port, in the long form of `docker compose config`."""
    for number, given in enumerate(value):
        keys = Keys(builder.coverage, builder.keys.path_of(f"ports[{number}]"), given)
        target = keys.pop("target", "port of the Service")
        protocol = str(keys.pop("protocol", "protocol of the port") or "tcp").lower()
        keys.pop("mode", "nothing: there is one server")
        called = keys.pop("name", "nothing: ports are named after protocol and number")
        entry = add_port(builder, int(target), protocol)
        if application := keys.pop("app_protocol", "appProtocol"):
            entry["appProtocol"] = str(application)
        if called:
            builder.note(f"port {target} was named {called} in the compose file; the name is dropped")
        _publish(builder, keys, int(target), protocol)
        keys.refuse_remaining()
    builder.record("ports", "ports of the Service")


def _publish(builder: ServiceBuilder, keys: Keys, target: int, protocol: str) -> None:
    published, host_ip = keys.pop("published"), str(keys.pop("host_ip") or "")
    if published is None:
        builder.record(
            keys.path.removeprefix(builder.keys.path + "."), "port of the Service, not published on the server"
        )
        builder.note(f"port {target} was published on a random port of the server; now it is not published")
        return
    if not str(published).isdigit():
        keys.refuse("published", f"{published}: a range for one port, and no container runs", "write one port")
    elif protocol != "tcp":
        keys.refuse(
            "published",
            f"{published}/{protocol}: nginx, which serves the published ports, speaks HTTP only",
            "remove the published port, or leave this service in docker",
        )
    elif host_ip not in _ALL_ADDRESSES and not _is_loopback(host_ip):
        keys.refuse(
            "host_ip",
            f"{host_ip}: nginx serves a port on every IPv4 address of the server, or on a loopback one",
            "publish it on 127.0.0.1 or on all addresses, or leave this service in docker",
        )
    else:
        address = "" if host_ip in _ALL_ADDRESSES else host_ip
        builder.context.ports.append(
            Port(host_port=int(published), service=builder.name, container_port=target, host_ip=address)
        )
        keys.coverage.record(keys.path_of("published"), "port of the server, served by nginx")
        if host_ip:
            keys.coverage.record(keys.path_of("host_ip"), "the address that nginx listens on")


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_loopback
    except ValueError:
        return False


def add_port(builder: ServiceBuilder, number: int, protocol: str = "tcp") -> dict[str, Any]:
    """Add a port to the Service, unless it has it."""
    name = f"{protocol}-{number}"
    entry = {"name": name, "port": number, "targetPort": number, "protocol": protocol.upper()}
    return builder.service_ports.setdefault((number, protocol), entry)


@key("expose", "ports of the Service, as are those that the image exposes")
def expose(builder: ServiceBuilder, value: Any) -> None:
    """Ports open to the other services."""
    for entry in value:
        for number, protocol in exposed(entry):
            add_port(builder, number, protocol)
    builder.record("expose", "ports of the Service")


def exposed(entry: object) -> list[tuple[int, str]]:
    """Parse an entry such as ``3000``, ``4000-4001`` or ``53/udp``."""
    numbers, _, protocol = str(entry).partition("/")
    first, _, last = numbers.partition("-")
    found = range(int(first), int(last or first) + 1)
    if len(found) > _MOST_PORTS:
        raise ValueError(f"{entry} is {len(found)} ports, more than a Service takes")
    return [(number, protocol or "tcp") for number in found]


@key(
    "networks",
    "host names: services that share a network reach each other by service name, container name and aliases",
    "fixed addresses (`ipv4_address`, `ipv6_address`, `link_local_ips`, `mac_address`), `driver_opts`, "
    "`interface_name`",
)
def networks(builder: ServiceBuilder, value: Any) -> None:
    """The cluster has one flat network. Names are visible only to services that shared a network."""
    given = value if isinstance(value, dict) else dict.fromkeys(value)
    for name, details in sorted(given.items()):
        keys = Keys(builder.coverage, builder.keys.path_of(f"networks.{name}"), details)
        keys.pop("aliases", "names of the service for those on this network")
        for word in ("priority", "gw_priority"):
            keys.pop(word, "nothing: a pod has one network")
        for word in ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address"):
            if word in keys:
                keys.refuse(word, _NO_ADDRESSES, "use the service's name")
        for word in ("driver_opts", "interface_name"):
            if word in keys:
                keys.refuse(word, "is specific to docker", "remove it")
        keys.refuse_remaining()
        builder.record(f"networks.{name}", "names for services on it")
    builder.record("networks", "names")


@key("links", "names of other services, in this one")
def links(builder: ServiceBuilder, value: Any) -> None:
    """Names of other services, visible to this service only."""
    for number, entry in enumerate(value):
        service = str(entry).partition(":")[0]
        if service not in builder.context.objects:
            builder.refuse(f"links[{number}]", f"there is no service {service}", "correct the name")
    builder.record("links", "names of other services, in /etc/hosts")


@key(
    "extra_hosts",
    "the pod's `hostAliases`; `host-gateway` is the node's address",
    "`host-gateway` if the node's address is unknown; invalid names",
)
def extra_hosts(builder: ServiceBuilder, value: Any) -> None:
    """Host names with fixed addresses."""
    found: dict[str, list[str]] = {}
    for name, address in _hosts(value):
        path = f"extra_hosts.{name}"
        actual = builder.context.node_address if address == GATEWAY else address.strip("[]")
        if not actual:
            builder.refuse(path, "the node's address is unknown", "read the project again, or write the address")
            continue
        if not is_host(name.lower()):
            builder.refuse(path, "is not a valid host name in Kubernetes", "use letters, digits, '-' and '.'")
            continue
        ipaddress.ip_address(actual)
        found.setdefault(actual, []).append(name.lower())
        builder.record(path, f"hostAliases, {actual}")
        if address == GATEWAY:
            builder.note(
                f"{name} is the node, {actual}: programs that listen only on docker's bridge are not reachable"
            )
    if found:
        entries = [{"ip": address, "hostnames": sorted(names)} for address, names in sorted(found.items())]
        builder.pod["hostAliases"] = entries
    builder.record("extra_hosts", "hostAliases")


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


@key("dns_search", "the pod's `dnsConfig.searches`, after those of the cluster")
def dns_search(builder: ServiceBuilder, value: Any) -> None:
    """Additional search domains."""
    names = value if isinstance(value, list) else [value]
    builder.pod.setdefault("dnsConfig", {})["searches"] = [str(name) for name in names]
    builder.record("dns_search", "dnsConfig.searches")


@key("dns_opt", "the pod's `dnsConfig.options`")
def dns_opt(builder: ServiceBuilder, value: Any) -> None:
    """Options of the resolver."""
    options = []
    for option in value:
        name, separator, setting = str(option).partition(":")
        options.append({"name": name, **({"value": setting} if separator else {})})
    builder.pod.setdefault("dnsConfig", {})["options"] = options
    builder.record("dns_opt", "dnsConfig.options")


@key("network_mode", "`bridge`: the pod's own network", "`host`, `none`, another container's or service's")
def network_mode(builder: ServiceBuilder, value: Any) -> None:
    """A pod has its own network."""
    mode = str(value)
    reasons = {
        "host": ("would take the server's ports while docker still holds them", "list the ports that it serves"),
        "none": ("a pod always has a network", "remove it; a NetworkPolicy can isolate the pod"),
    }
    if mode in ("bridge", "default"):
        builder.record("network_mode", "nothing: a pod has its own network")
        return
    other = ("pods do not share the network of another container", "use networks, and the other service's name")
    builder.refuse("network_mode", f"{mode}: {reasons.get(mode, other)[0]}", reasons.get(mode, other)[1])
