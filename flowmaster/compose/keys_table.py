"""Documents every key of a compose file, from the code that translates it.

`python -m flowmaster.compose.keys_table` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster.compose import service
from flowmaster.compose.key_registry import SERVICE_KEYS
from flowmaster.compose.toplevel import CONFIG_KEYS, NETWORK_KEYS, SECRET_KEYS, TOP_KEYS, VOLUME_KEYS, KeyRule

HANDLERS = service.__name__
"""The package that registers the keys of a service on import."""

_INTRODUCTION = """\
# Keys of a compose file

Look up here what `flowmaster compose` translates a key of a compose file to, and what it refuses.

Every key that docker compose knows is in one of these tables. It is translated, has no effect in a cluster, or is
refused with a reason and a remedy. A key that is in no table is refused. No key is dropped silently:
`flowmaster compose` shows the result for each key of a project, and writes nothing while a key is refused.

The translation starts from what runs. `docker compose config` gives the file with env files, `extends`, `include` and
profiles applied; `docker inspect` gives the containers. Where they differ in image, variables, command, user, working
directory, restart policy, health check or mounts, the containers win, and a note says so.

The tables are generated from the translator's code
(`uv run python -m flowmaster.compose.keys_table > docs/compose-keys.md`).

## Differences between docker and the cluster

**Restarts.** A Deployment always restarts its container, with pauses that grow to five minutes; there is no other
policy. So `always` keeps its meaning. So does `unless-stopped`, but to stop such a service, set `replicas: 0`.
`on-failure` and `no` are accepted for a service that was running when it was read, with a note. A container that had
exited is a task; it is refused, because a Deployment would repeat it.

**Health checks.** Docker marks a container unhealthy and does nothing else. So the check becomes a `readinessProbe`:
a pod that fails it gets no requests, and is not restarted. Until the first success a `startupProbe` runs the check
every second (or every `start_interval`), for up to a day. So a pod is ready as soon as possible, and a long start is
not cut short. In docker an unhealthy container still gets requests; in the cluster it gets none.

**Order.** All pods start at once. A pod that exits because another service is missing is restarted. A service that
waits for a task to complete is refused.

**Names.** Service names, container names, aliases, links and host names are entries in each pod's `/etc/hosts`. They
point to the ClusterIP of the Service, for services that shared a network. In docker every port of a container is open
to other services. A Service has only the ports that it lists: published ones, those exposed by the file or the image,
and those found as `NAME:PORT` in variables and commands. A name in use without a known port is refused.

**Addresses of databases.** If a variable or command holds the ClusterIP that an ExternalName service of the stack
stands for, the address is replaced by the service's name, with a note.

**Secrets** are found as `flowmaster adopt` finds them: by the variable's name or a password in a URL, and wherever
the same value appears again. The stack keeps them encrypted under `sealed`; the pod reads them from one Secret. Where
Kubernetes stores a field in the clear (an annotation, a probe), the key is refused.

**Data.** Volumes are copied, with owner and mode, to a folder of the node or to a volume of a storage class. Services
that share a volume share the copy. A pod that writes ends before its successor starts (`Recreate`). Docker's volumes
and folders are not changed.

**Defaults that a pod gets:** the runtime's seccomp profile and a grace period of ten seconds, as in docker; no API
token and no variables for other Services, which docker does not have either; permission to listen on ports below
1024, if one of its ports is below. Each limit gets a request of 0, else Kubernetes would reserve the whole limit.
"""


def markdown() -> str:
    """Render the page."""
    services = {name: KeyRule(entry.becomes, entry.refused) for name, entry in SERVICE_KEYS.items()}
    parts = [
        ("Keys of a service", services),
        ("Keys of a volume", VOLUME_KEYS),
        ("Keys of a network", NETWORK_KEYS),
        ("Keys of a config", CONFIG_KEYS),
        ("Keys of a secret", SECRET_KEYS),
        ("Keys at the top", TOP_KEYS),
    ]
    return _INTRODUCTION + "".join(_table(title, rules) for title, rules in parts)


def _table(title: str, rules: Mapping[str, KeyRule]) -> str:
    lines = [f"\n## {title}\n", "| key | becomes | refused |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {rule.becomes} | {rule.refused} |" for name, rule in sorted(rules.items())]
    lines.append("| `x-...` | nothing: docker ignores it too |  |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
