"""Names, addresses and folders of one twin: pure functions of its name and subnet.

Whatever `up` makes on the machine is named here, so that `down` finds it without being told.
"""

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from lab.tools.cache import cache_root
from lab.twin.errors import TwinError

DEFAULT_NAME = "demo"
DEFAULT_SUBNET = ipaddress.IPv4Network("10.77.0.0/24")
# Inside every twin the same, as on the real server; nothing outside can reach them.
POD_SUBNET = ipaddress.IPv4Network("10.42.0.0/24")
SERVICE_SUBNET = ipaddress.IPv4Network("10.43.0.0/16")
DOCKER_SUBNET = ipaddress.IPv4Network("172.31.0.0/16")
API_SERVICE_ADDRESS = "10.43.0.1"
DNS_SERVICE_ADDRESS = "10.43.0.10"
CLUSTER_DOMAIN = "cluster.local"
# The server's own host name and node name, and the kubeconfig's context; not the twin's name.
NODE_NAME = "demo"
API_PORT = 6443
REGISTRY_PORT = 30500
SERVER_LINK = "eth0"

_LONGEST_LINK_NAME = 15


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where one twin is: on the machine's network, in its cgroups, on its disk."""

    name: str
    subnet: ipaddress.IPv4Network
    state: Path

    @property
    def machine_address(self) -> str:
        """The machine's end of the cable between it and the twin."""
        return str(self.subnet.network_address + 1)

    @property
    def server_address(self) -> str:
        """The address of the twin: API, SSH, port 80 and published container ports."""
        return str(self.subnet.network_address + 2)

    @property
    def api_url(self) -> str:
        return f"https://{self.server_address}:{API_PORT}"

    @property
    def link(self) -> str:
        """The machine's network interface towards the twin; at most 15 characters, a limit of Linux."""
        return link_name(self.name)

    @property
    def cgroup(self) -> str:
        return cgroup_name(self.name)

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def keys(self) -> Path:
        """Certificates and keys, made by `up`."""
        return self.state / "keys"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def disk(self) -> Path:
        """What the server's folders are made of, one folder for each."""
        return self.state / "disk"

    @property
    def specification(self) -> Path:
        """What the supervisor is to mount and run."""
        return self.state / "supervisor.json"

    @property
    def secrets(self) -> Path:
        """Random values that stand in for the secrets nobody here has, and the Pulumi passphrase."""
        return self.state / "secrets.json"

    @property
    def pulumi(self) -> Path:
        return self.state / "pulumi"

    @property
    def pid_file(self) -> Path:
        """The supervisor's process id, as the machine sees it."""
        return self.state / "supervisor.pid"

    @property
    def ready_marker(self) -> Path:
        """Exists once `up` has come to its end; holds the process id of the supervisor it was for."""
        return self.state / "ready"


def valid_name(name: str) -> str:
    """Returns the name. Raises TwinError where it could not name folders and cgroups."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name) or name.endswith("-"):
        raise TwinError(
            f"the twin's name {name!r} cannot be used\n"
            "allowed: 1 to 30 lower-case letters, digits and dashes, a letter first and no dash last"
        )
    return name


def valid_subnet(text: str) -> ipaddress.IPv4Network:
    """Reads a subnet. Raises TwinError where it is none, is public, or lies over the addresses used inside."""
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise TwinError(f"the subnet {text!r} is none: {error}\nexample: --subnet 10.78.0.0/24") from error
    if not subnet.is_private or subnet.prefixlen > 29:
        raise TwinError(f"the subnet {text} must be private and at least a /29\nexample: --subnet 10.78.0.0/24")
    for taken, use in ((POD_SUBNET, "pods"), (SERVICE_SUBNET, "services"), (DOCKER_SUBNET, "containers")):
        if subnet.overlaps(taken):
            raise TwinError(f"the subnet {text} lies over {taken}, the {use} inside the twin\nchoose another one")
    return subnet


def link_name(name: str) -> str:
    """The interface of the twin of that name; a longer name is cut and made unique by its hash."""
    plain = f"fm-{name}"
    if len(plain) <= _LONGEST_LINK_NAME:
        return plain
    return f"fm-{name[:5]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def cgroup_name(name: str) -> str:
    return f"flowmaster-twin-{name}"


def state_folder(name: str) -> Path:
    return cache_root() / "twins" / name


def candidate_subnets(name: str) -> list[ipaddress.IPv4Network]:
    """Subnets for a twin that was given none, best first: the usual one for the usual name, else by its hash."""
    if name == DEFAULT_NAME:
        return [DEFAULT_SUBNET]
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    thirds = [1 + (start + step) % 254 for step in range(254)]
    return [ipaddress.IPv4Network(f"10.77.{third}.0/24") for third in thirds]
