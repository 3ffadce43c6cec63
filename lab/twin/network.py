"""The cable between the machine and the twin, and which subnets are free for it."""

import ipaddress
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from lab.twin import locks
from lab.twin.errors import TwinError
from lab.twin.layout import SERVER_LINK, Layout, candidate_subnets, valid_subnet

Subnet = ipaddress.IPv4Network


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TwinError(f"ip {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def taken_subnets() -> dict[Subnet, str]:
    """Subnets that the machine can reach other than by its default route, each with its interface."""
    taken = {}
    for route in json.loads(_ip("-json", "-4", "route", "show") or "[]"):
        if route["dst"] != "default":
            taken[Subnet(route["dst"], strict=False)] = route.get("dev", "")
    for link in json.loads(_ip("-json", "-4", "address", "show") or "[]"):
        for address in link["addr_info"]:
            taken[Subnet(f"{address['local']}/{address['prefixlen']}", strict=False)] = link["ifname"]
    return taken


@contextmanager
def reserved_subnet(name: str, asked: str | None) -> Iterator[Subnet]:
    """A free subnet, kept from other twins that come up meanwhile: the one asked for, else one chosen by name.

    Raises TwinError where it is taken or none is free.
    """
    candidates = [valid_subnet(asked)] if asked else candidate_subnets(name)
    taken = taken_subnets()
    free = [subnet for subnet in candidates if not any(subnet.overlaps(other) for other in taken)]
    with locks.first_free([f"subnet {subnet}" for subnet in free]) as lock:
        if lock is None:
            wanted = candidates[0]
            by = next((link for other, link in taken.items() if wanted.overlaps(other)), "a twin that comes up now")
            raise TwinError(f"the subnet {wanted} is taken by {by}\nchoose another one, such as --subnet 10.78.0.0/24")
        yield Subnet(lock.removeprefix("subnet "))


def plug_in(layout: Layout, pid: int) -> None:
    """Lays the cable into the network of the process and gives the machine's end its address."""
    peer = ("peer", "name", SERVER_LINK, "netns", str(pid))
    _ip("link", "add", layout.link, "type", "veth", *peer)
    # Without an IPv6 address of its own the interface says nothing unasked.
    _ip("link", "set", layout.link, "addrgenmode", "none")
    _ip("address", "add", f"{layout.machine_address}/{layout.subnet.prefixlen}", "dev", layout.link)
    _ip("link", "set", layout.link, "up")


def unplug(link: str) -> bool:
    """Removes the machine's end, and so the other; returns whether there was one."""
    found = subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    return found.returncode == 0
