"""Keys whose fate does not depend on their value: refused, or of no meaning in a cluster."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import Work
from flowmaster.compose.key_registry import SERVICE_KEYS, Entry

_TAKE_OUT = "take it out"
_BY_HAND = "take it out, or write a Deployment by hand"

REFUSED: dict[str, tuple[str, str]] = {
    "blkio_config": ("pods have no limits for reading and writing disks", _TAKE_OUT),
    "cgroup": ("a pod's control groups are the kubelet's", _TAKE_OUT),
    "cgroup_parent": ("a pod's control groups are the kubelet's", _TAKE_OUT),
    "cpu_count": ("is for Windows", "write cpus"),
    "cpu_percent": ("is for Windows", "write cpus"),
    "cpu_rt_period": ("pods have no real-time processes", _TAKE_OUT),
    "cpu_rt_runtime": ("pods have no real-time processes", _TAKE_OUT),
    "cpu_shares": (
        "weighs containers against each other; Kubernetes only knows processors kept for a pod",
        "write deploy.resources.reservations.cpus",
    ),
    "cpuset": ("pods do not choose their processors", "write cpus"),
    "credential_spec": ("is for Windows", _TAKE_OUT),
    "device_cgroup_rules": ("pods get devices from a device plugin", _BY_HAND),
    "devices": ("pods get devices from a device plugin", _BY_HAND),
    "dns": ("other name servers would not know the cluster's names", "let the cluster's DNS forward to them"),
    "domainname": ("a pod's domain is the cluster's", "write the whole name where it is used"),
    "external_links": ("containers of other projects are not in the cluster", "write extra_hosts with an address"),
    "gpus": ("needs a device plugin in the cluster", _BY_HAND),
    "isolation": ("is for Windows", _TAKE_OUT),
    "mac_address": ("pods are given theirs", _TAKE_OUT),
    "models": ("the cluster runs no models for docker", "write a service that does"),
    "oom_kill_disable": ("in a cluster, who takes too much memory is ended", "take it out, and raise mem_limit"),
    "oom_score_adj": ("Kubernetes sets it from the memory kept for a pod", "write mem_reservation"),
    "provider": ("is made by a program beside docker compose", "take it out, and use what it makes by extra_hosts"),
    "runtime": ("needs a RuntimeClass in the cluster", _BY_HAND),
    "storage_opt": ("is docker's own storage", "write a volume"),
    "ulimits": (
        "pods have the limits of the container runtime",
        "set them in the command (sh -c 'ulimit -n 65536; exec PROGRAM'), or for the whole node",
    ),
    "use_api_socket": ("pods have no docker to speak to", _TAKE_OUT),
    "userns_mode": ("which users are mapped is the node's affair", _TAKE_OUT),
    "uts": ("a pod has a host name of its own", _TAKE_OUT),
    "volumes_from": ("mounts are written out for each pod", "write the volumes of the other service here"),
}
"""Key: reason and remedy."""

NOTED: dict[str, tuple[str, str]] = {
    "attach": ("nothing: it is about what `docker compose up` shows", ""),
    "develop": ("nothing: it is about `docker compose watch`", ""),
    "extends": ("nothing: docker compose has put everything of it here", ""),
    "label_file": ("annotations: docker compose has put its labels among `labels`", ""),
    "profiles": ("nothing: what docker compose gives is of the profiles that are on", "whatever its profiles, it runs"),
    "pull_policy": ("nothing: the image is known by its digest, and pulled where it is missing", ""),
    "pull_refresh_after": ("nothing: the image is known by its digest", ""),
}
"""Key: what becomes of it, and what is told."""


def _refuse(name: str) -> Entry:
    reason, remedy = REFUSED[name]

    def handler(work: Work, value: Any) -> None:
        if value in (False, [], {}):
            work.become(name, "nothing: it is switched off")
        else:
            work.refuse(name, reason, remedy)

    return Entry("", handler, f"always: {reason}; {remedy}")


def _note(name: str) -> Entry:
    what, told = NOTED[name]

    def handler(work: Work, value: Any) -> None:
        del value
        work.become(name, what)
        if told:
            work.tell(told)

    return Entry(what, handler)


SERVICE_KEYS.update({name: _refuse(name) for name in REFUSED} | {name: _note(name) for name in NOTED})
