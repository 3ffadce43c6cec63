"""Keys that are refused, or have no effect, whatever their value."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import ServiceBuilder
from flowmaster.compose.key_registry import SERVICE_KEYS, KeyHandler

_REMOVE = "remove it"
_REMOVE_OR_OWN_DEPLOYMENT = "remove it, or write your own Deployment"

REFUSED: dict[str, tuple[str, str]] = {
    "blkio_config": ("pods have no disk I/O limits", _REMOVE),
    "cgroup": ("the kubelet manages a pod's control groups", _REMOVE),
    "cgroup_parent": ("the kubelet manages a pod's control groups", _REMOVE),
    "cpu_count": ("is for Windows only", "write cpus"),
    "cpu_percent": ("is for Windows only", "write cpus"),
    "cpu_rt_period": ("pods have no real-time processes", _REMOVE),
    "cpu_rt_runtime": ("pods have no real-time processes", _REMOVE),
    "cpu_shares": (
        "is a relative weight; Kubernetes reserves processors instead",
        "write deploy.resources.reservations.cpus",
    ),
    "cpuset": ("pods cannot choose their processors", "write cpus"),
    "credential_spec": ("is for Windows only", _REMOVE),
    "device_cgroup_rules": ("pods need a device plugin for devices", _REMOVE_OR_OWN_DEPLOYMENT),
    "devices": ("pods need a device plugin for devices", _REMOVE_OR_OWN_DEPLOYMENT),
    "dns": ("other name servers do not know the cluster's names", "configure the cluster's DNS to forward to them"),
    "domainname": ("a pod's domain is that of the cluster", "use fully qualified names"),
    "external_links": ("containers of other projects are not in the cluster", "write extra_hosts with an address"),
    "gpus": ("needs a device plugin in the cluster", _REMOVE_OR_OWN_DEPLOYMENT),
    "isolation": ("is for Windows only", _REMOVE),
    "mac_address": ("pods cannot choose theirs", _REMOVE),
    "models": ("the cluster has no model runner", "run the model as a service"),
    "oom_kill_disable": ("Kubernetes ends containers that exceed their memory limit", "remove it, and raise mem_limit"),
    "oom_score_adj": ("Kubernetes derives it from the memory request", "write mem_reservation"),
    "provider": ("is started by an external program", "remove it, and reach what it starts through extra_hosts"),
    "runtime": ("needs a RuntimeClass in the cluster", _REMOVE_OR_OWN_DEPLOYMENT),
    "storage_opt": ("is specific to docker's storage driver", "use a volume"),
    "ulimits": (
        "pods inherit the limits of the container runtime",
        "set them in the command (sh -c 'ulimit -n 65536; exec PROGRAM'), or for the whole node",
    ),
    "use_api_socket": ("pods have no docker socket", _REMOVE),
    "userns_mode": ("user mapping is configured on the node", _REMOVE),
    "uts": ("a pod has its own host name", _REMOVE),
    "volumes_from": ("each pod lists its own mounts", "list the volumes of the other service here"),
}
"""Key: reason and remedy."""

NO_EFFECT: dict[str, tuple[str, str]] = {
    "attach": ("nothing: it concerns the output of `docker compose up`", ""),
    "develop": ("nothing: it concerns `docker compose watch`", ""),
    "extends": ("nothing: docker compose has included it", ""),
    "label_file": ("annotations: docker compose has added its labels to `labels`", ""),
    "profiles": ("nothing: docker compose has applied the active profiles", "runs whatever its profiles"),
    "pull_policy": ("nothing: the image is referenced by digest, and pulled if missing", ""),
    "pull_refresh_after": ("nothing: the image is referenced by digest", ""),
}
"""Key: what it becomes, and a note for the user."""


def _refuse(name: str) -> KeyHandler:
    reason, remedy = REFUSED[name]

    def handler(builder: ServiceBuilder, value: Any) -> None:
        if value in (False, [], {}):
            builder.record(name, "nothing: it is switched off")
        else:
            builder.refuse(name, reason, remedy)

    return KeyHandler("", handler, f"always: {reason}; {remedy}")


def _no_effect(name: str) -> KeyHandler:
    result, note = NO_EFFECT[name]

    def handler(builder: ServiceBuilder, value: Any) -> None:
        del value
        builder.record(name, result)
        if note:
            builder.note(note)

    return KeyHandler(result, handler)


SERVICE_KEYS.update({name: _refuse(name) for name in REFUSED} | {name: _no_effect(name) for name in NO_EFFECT})
