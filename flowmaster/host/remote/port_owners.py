"""Who takes connections to a port in place of nginx: processes, containers, and rules that redirect or end them."""

from __future__ import annotations

import ipaddress
import os
import re

from flowmaster.host.remote import docker
from flowmaster.host.remote.common import Json, Refused, master, run
from flowmaster.host.remote.ports import LISTENING, Row, held, sockets, table

_COMMENT = re.compile(r'--comment (?:"([^"]*)"|(\S+))')
_SERVICE = re.compile(r"([\w.-]+/[\w.-]+)(?::\S*)? (?:loadbalancer|external|has|cluster)")
_PORTS = re.compile(r"(! )?--dports? ([\d,:]+)")
_DESTINATION = re.compile(r"(! )?-d (\S+)")
_JUMP = re.compile(r"-[jg] (\S+)")
_LEADS = re.compile(r"--to-(?:destination|ports) (\S+)")
_NFT_PORTS = re.compile(r"dport (?:\{([^}]*)\}|(\S+))")
_NFT_LEADS = re.compile(r"dnat (?:ip6? )?to (\S+)|redirect to (\S+)")
_NFT_ENDS = re.compile(r"\b(?:drop|reject)\b")
_NFT_POLICY = re.compile(r"hook input .*policy drop")
_CONTAINER = re.compile(r"(?:docker|cri-containerd|crio)[-/]([0-9a-f]{64})|/([0-9a-f]{64})$", re.MULTILINE)
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
_DEEP = 6
"""Through how many chains a rule is followed."""
_NAMED = 4
"""How many rules or processes are named at most."""


def search(request: Json) -> Json:
    """What is known about each of these ports: `listeners`, `published`, `leads`, `service`, `blocked`, `near`.

    `near` are the peers of connections to it that nginx holds, as far as they come from where this request came from.
    """
    address, found = request["address"], {}
    saved = run(["iptables-save"])[1].splitlines() + run(["ip6tables-save"])[1].splitlines()
    chains, native = nat(saved), run(["nft", "list", "ruleset"])[1].splitlines()
    published, rows = _published(), table()
    own, client = held(master(), {row[5] for row in rows}), ssh_peer(rows)
    for port in request["ports"]:
        leads, service = led(chains, port, address)
        found[str(port)] = {
            "listeners": _listeners({row[5] for row in rows if row[0] == LISTENING and row[2] == port}),
            "published": [name for name, public in published if port in public],
            "leads": leads or nft_leads(native, port),
            "service": service,
            "blocked": (blocked(saved, port, address) or nft_ends(native, port))[:_NAMED],
            "near": [[row[3], row[4]] for row in rows if row[2] == port and row[3] == client and row[5] in own],
        }
    return found


def nat(saved: list[str]) -> dict[str, list[str]]:
    """The rules of address translation by their chain, of what iptables-save prints. Pure."""
    chains: dict[str, list[str]] = {}
    within = ""
    for line in saved:
        if line.startswith("*"):
            within = line
        elif within == "*nat" and line.startswith("-A "):
            chains.setdefault(line.split(" ", 2)[1], []).append(line)
    return chains


def led(chains: dict[str, list[str]], port: int, address: str) -> tuple[list[str], str]:
    """Where rules lead connections to a port, as `ADDRESS:PORT`, and of which Service a rule says that it is. Pure."""
    found: dict[str, None] = {}
    service = ""
    for chain, lines in chains.items():
        for line in lines if chain != "POSTROUTING" else ():
            if _PORTS.search(line) and _covers(line, port, address):
                there = _follow(chains, line, port, address, 0)
                found.update(dict.fromkeys(there))
                words = _COMMENT.search(line)
                match = _SERVICE.match(words[1] or words[2]) if there and words else None
                service = service or (match[1] if match else "")
    return list(found), service


def _follow(chains: dict[str, list[str]], line: str, port: int, address: str, depth: int) -> list[str]:
    leads, jump = _LEADS.search(line), _JUMP.search(line)
    if leads or jump is None or depth > _DEEP:
        return [leads[1]] if leads else []
    rules = [rule for rule in chains.get(jump[1], ()) if _covers(rule, port, address)]
    return [target for rule in rules for target in _follow(chains, rule, port, address, depth + 1)]


def _covers(line: str, port: int, address: str) -> bool:
    """Whether a rule is for TCP connections to this port and address, as far as it says."""
    ports, destination = _PORTS.search(line), _DESTINATION.search(line)
    if " -p udp" in line or (ports and (port in _numbers(ports[2], ",", ":")) == bool(ports[1])):
        return False
    if destination is None:
        return True
    try:
        inside = ipaddress.ip_address(address) in ipaddress.ip_network(destination[2], strict=False)
    except ValueError:
        return False
    return inside != bool(destination[1])


def _numbers(text: str, between: str, through: str) -> set[int]:
    found: set[int] = set()
    for part in text.replace(" ", "").split(between):
        first, _, last = part.partition(through)
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1) if (last or first).isdigit() else ())
    return found


def blocked(saved: list[str], port: int, address: str) -> list[str]:
    """The rules that end connections to a port, else that everything ends unless it is allowed. Pure."""
    found, policies, within = [], [], ""
    for line in saved:
        if line.startswith("*"):
            within = line[1:]
        elif within == "nat":
            continue
        elif line.startswith(":INPUT DROP"):
            policies.append("the policy of INPUT is DROP")
        elif re.search(r"-j (?:DROP|REJECT)\b", line) and _PORTS.search(line) and _covers(line, port, address):
            found.append(line)
    return found or policies[:1]


def nft_leads(lines: list[str], port: int) -> list[str]:
    """Where rules of nftables lead connections to a port. Pure."""
    found = [_NFT_LEADS.search(line) for line in lines if _nft_covers(line, port)]
    return list(dict.fromkeys(match[1] or match[2] for match in found if match))


def nft_ends(lines: list[str], port: int) -> list[str]:
    """The rules of nftables that end connections to a port, or all that are not allowed. Pure."""
    found = [line.strip() for line in lines if _nft_covers(line, port) and _NFT_ENDS.search(line)]
    return found or [line.strip() for line in lines if _NFT_POLICY.search(line)][:1]


def _nft_covers(line: str, port: int) -> bool:
    match = _NFT_PORTS.search(line)
    return match is not None and "udp dport" not in line and port in _numbers(match[1] or match[2], ",", "-")


def _published() -> list[tuple[str, set[int]]]:
    """The running containers of Docker, with the ports of this machine that each publishes."""
    if not os.path.exists(docker.SOCKET):
        return []
    try:
        listed = docker.api("GET", "/containers/json")
    except Refused:
        return []
    return [
        (entry["Names"][0].lstrip("/"), {int(port["PublicPort"]) for port in entry["Ports"] if "PublicPort" in port})
        for entry in listed
    ]


def _listeners(inodes: set[int]) -> list[Json]:
    """The processes that hold these sockets: `pid`, `name`, and the id of the `container` or `pod` that each is in."""
    found = []
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int) if inodes else ():
        try:
            if not sockets(int(entry)) & inodes:
                continue
            with open(f"/proc/{entry}/comm") as stream:
                name = stream.read().strip()
            with open(f"/proc/{entry}/cgroup") as stream:
                cgroup = stream.read()
        except OSError:
            continue
        container, pod = _CONTAINER.search(cgroup), _POD.search(cgroup)
        found.append(
            {
                "pid": int(entry),
                "name": name,
                "container": (container[1] or container[2])[:12] if container else "",
                "pod": pod[1].replace("_", "-") if pod else "",
            }
        )
    return found[:_NAMED]


def ssh_peer(rows: list[Row]) -> str:
    """The address that whoever asks has for this server: the peer of the sshd that this was started by."""
    peers = {row[5]: row[3] for row in rows if row[5] and row[0] != LISTENING}
    pid = os.getppid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/stat") as stream:
                comm, _, rest = stream.read().partition(" (")[2].rpartition(")")
            connected = [peers[inode] for inode in sockets(pid) & peers.keys()]
        except OSError:
            return ""
        if comm.startswith("sshd") and connected:
            return connected[0]
        pid = int(rest.split()[1])
    return ""
