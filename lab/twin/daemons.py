"""The daemons of the server: command, environment, what each waits for, and how it is known to be ready."""

import subprocess
from typing import Any

from lab.twin import kubernetes
from lab.twin.layout import API_PORT, DOCKER_SUBNET, NODE_NAME, REGISTRY_PORT, Layout
from lab.twin.requirements import program

LOGS = "/var/log/twin"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Programs out of the tools cache; all others are Debian's.
TOOLS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "coredns",
)


def _daemon(
    name: str, argv: list[str], ready: dict[str, Any], after: tuple[str, ...] = (), **env: str
) -> dict[str, Any]:
    return {
        "name": name,
        "argv": argv,
        # Twice the usual heap between collections: memory is there, the cores are busy.
        "env": {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "GOGC": "200"} | env,
        "after": list(after),
        "ready": ready,
    }


def daemons(layout: Layout) -> list[dict[str, Any]]:
    """In no order: each starts as soon as those it waits for are ready."""
    return [*_infrastructure(layout), *_control_plane(layout), *_node(layout)]


def _infrastructure(layout: Layout) -> list[dict[str, Any]]:
    return [
        _daemon(
            "registry",
            [program("docker-registry"), "serve", "/etc/docker/registry/config.yml"],
            {"tcp": ["127.0.0.1", REGISTRY_PORT]},
            OTEL_TRACES_EXPORTER="none",
        ),
        _daemon(
            "containerd",
            [program("containerd"), "--config", "/etc/containerd/config.toml"],
            {"unix": "/run/containerd/containerd.sock"},
        ),
        _daemon(
            "dockerd",
            [
                program("dockerd"),
                "--containerd=/run/containerd/containerd.sock",
                "--bip=172.31.0.1/24",
                f"--default-address-pool=base={DOCKER_SUBNET},size=24",
                # Published ports by firewall rules alone: a proxy process a port would cost memory.
                "--userland-proxy=false",
                *_dockerd_score(),
            ],
            {"unix": "/run/docker.sock"},
            after=("containerd",),
        ),
        _daemon(
            "sshd",
            [program("sshd"), "-D", "-e", "-f", "/etc/ssh/sshd_config"],
            {"tcp": [layout.server_address, 22]},
        ),
    ]


def _dockerd_score() -> list[str]:
    """Where dockerd takes a score for itself, it is told to leave it: below its parent's it may not go everywhere.

    Docker 25 and later leave it of themselves and refuse the option.
    """
    told = subprocess.run([program("dockerd"), "--help"], capture_output=True, text=True, check=False).stdout
    return ["--oom-score-adjust=0"] if "--oom-score-adjust" in told else []


def _control_plane(layout: Layout) -> list[dict[str, Any]]:
    return [
        _daemon(
            "etcd",
            [
                "/usr/local/bin/etcd",
                f"--name={NODE_NAME}",
                "--data-dir=/var/lib/etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",  # a crashed twin is made anew, never repaired
                "--log-level=warn",
            ],
            {"tcp": ["127.0.0.1", 2379]},
        ),
        _daemon(
            "kube-apiserver",
            ["/usr/local/bin/kube-apiserver", *kubernetes.apiserver_flags(layout)],
            {"http": ["127.0.0.1", API_PORT, "/readyz"], "tls": True},
            after=("etcd",),
        ),
        _daemon(
            "kube-controller-manager",
            ["/usr/local/bin/kube-controller-manager", *kubernetes.controller_flags()],
            {"http": ["127.0.0.1", 10257, "/healthz"], "tls": True},
            after=("kube-apiserver",),
        ),
        _daemon(
            "kube-scheduler",
            ["/usr/local/bin/kube-scheduler", *kubernetes.scheduler_flags()],
            {"http": ["127.0.0.1", 10259, "/healthz"], "tls": True},
            after=("kube-apiserver",),
        ),
    ]


def _node(layout: Layout) -> list[dict[str, Any]]:
    return [
        _daemon(
            "kubelet",
            ["/usr/local/bin/kubelet", *kubernetes.kubelet_flags(layout)],
            {"http": ["127.0.0.1", 10248, "/healthz"]},
            after=("kube-apiserver", "containerd"),
        ),
        _daemon(
            "kube-proxy",
            ["/usr/local/bin/kube-proxy", f"--config={kubernetes.FOLDER}/proxy.json"],
            {"http": ["127.0.0.1", 10256, "/healthz"]},
            after=("kube-apiserver",),
        ),
        _daemon(
            "coredns",
            ["/usr/local/bin/coredns", "-conf", f"{kubernetes.FOLDER}/Corefile"],
            {"http": ["127.0.0.1", 8181, "/ready"]},
            after=("kube-apiserver",),
        ),
    ]
