"""The table of every key of a compose file, made from the code that translates them.

`python -m flowmaster.compose.keys_table` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster.compose import service
from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.toplevel import CONFIG_KEYS, NETWORK_KEYS, SECRET_KEYS, TOP_KEYS, VOLUME_KEYS, Fate

HANDLERS = service.__name__
"""The package whose import registers the keys of a service."""

_HEAD = """\
# Keys of a compose file, and what becomes of them

Every key that docker compose knows is in one of these tables: it is translated, or means nothing to a cluster, or is
refused with the reason and what to do. A key that is in no table is refused, too. Nothing is dropped:
`flowmaster compose` shows for each key of a project what becomes of it, and writes nothing as long as something is
refused.

What is translated is what runs. `docker compose config` says what the file means, with env files, `extends`,
`include` and profiles in their places; `docker inspect` says what the containers have. Where the two differ in image,
variables, command, user, working directory, restart policy, health check or mounts, what runs is taken, and the
difference told.

The tables are made from the translator's own code
(`uv run python -m flowmaster.compose.keys_table > docs/compose-keys.md`).

## How things are, where a key alone does not say it

**Restarts.** A Deployment's container is always started again, with pauses that grow to five minutes; there is no
other policy for it. So `always` is what it is; `unless-stopped` too, but what is stopped by hand must be stopped as
`replicas: 0`; `on-failure` and `no` are accepted for what was running when it was read, and told, since such a
program does not mean to end. A container that had ended by itself is a task: it is refused, for a Deployment would
repeat it.

**Health checks.** Docker marks a container unhealthy and does nothing else. So the check becomes a `readinessProbe`:
who fails gets no requests, and is not restarted. Until the first success it is asked every second (`start_interval`
where it is given) by a `startupProbe` whose patience is a day, so that a pod is ready as soon as it can be, and
nobody is ended in the middle of a long start. In docker an unhealthy container still gets requests; in the cluster it
gets none.

**Order.** All pods start at once. Who cannot do without another yet ends, and is started again. A service that waits
for the end of a task is refused.

**Names.** Service names, container names, aliases, links and host names are kept in each pod's `/etc/hosts`, leading
to the ClusterIP of the Service, for those services that shared a network. In docker every port of a container is open
to the others; a Service has the ports that it names: those published, those exposed by the file or the image, and
those found as `NAME:PORT` in variables and commands. A name that is used without any port known is refused.

**Addresses of databases.** A variable or command with the ClusterIP that one of the stack's ExternalName services
stands for gets that service's name instead, and this is told.

**Secrets** are found as `flowmaster adopt` finds them: by the variable's name, or by a password in a URL; and
wherever else the value of one stands. They are encrypted in the stack under `sealed`, and reach the pod from one
Secret. Where Kubernetes has no place for a secret (an annotation, a probe), the key is refused.

**Data.** Volumes are copied, owner and mode kept, to a folder of the node, or to what a storage class makes. Two
services with one volume share one copy. A service that writes is replaced only once its pod is gone (`Recreate`).
Docker's volumes and folders stay as they are.

**What a pod has that was not asked for:** the runtime's seccomp profile and ten seconds to end, as in docker; no API
token and no variables for other Services, which docker does not have either; leave to listen on ports below 1024,
where one of its ports is such a one. A limit brings a request of 0 with it: else Kubernetes would keep the whole
limit free.
"""


def markdown() -> str:
    """The page."""
    services = {name: Fate(entry.becomes, entry.refused) for name, entry in SERVICE_KEYS.items()}
    parts = [
        ("Keys of a service", services),
        ("Keys of a volume", VOLUME_KEYS),
        ("Keys of a network", NETWORK_KEYS),
        ("Keys of a config", CONFIG_KEYS),
        ("Keys of a secret", SECRET_KEYS),
        ("Keys at the top", TOP_KEYS),
    ]
    return _HEAD + "".join(_table(title, fates) for title, fates in parts)


def _table(title: str, fates: Mapping[str, Fate]) -> str:
    lines = [f"\n## {title}\n", "| key | becomes | refused |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {fate.becomes} | {fate.refused} |" for name, fate in sorted(fates.items())]
    lines.append("| `x-...` | nothing: docker takes no notice of it either |  |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
