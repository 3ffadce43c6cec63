"""What the Kubernetes daemons are told: kubeconfigs, configuration files and flags, for one node that is a server.

Every deviation from a stock cluster serves a short start, a small memory, or this machine's cgroups version 1.
"""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from lab.twin.layout import API_PORT, CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, NODE_NAME, POD_SUBNET, SERVICE_SUBNET, Layout
from lab.twin.patience import patience

FOLDER = "/etc/kubernetes"
_NODE_PATIENCE = 50.0
"""Seconds without a sign of life, as the controller manager has them by itself."""
KEYS = f"{FOLDER}/keys"
CONTAINERD = "unix:///run/containerd/containerd.sock"
# File in FOLDER -> user and group of the token in it. The first three are Kubernetes' own roles; the controllers
# and the DNS server would each need a role of their own and are trusted instead.
COMPONENTS = {
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "controllers": ("system:kube-controller-manager", "system:masters"),
    "dns": ("system:cluster-dns", "system:masters"),
}


def kubeconfig(server: str, authority: bytes, user: dict[str, str]) -> str:
    """A kubeconfig whose context, cluster and user all carry the node's name. JSON is YAML."""
    data = base64.b64encode(authority).decode()
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NODE_NAME, "cluster": {"server": server, "certificate-authority-data": data}}],
            "users": [{"name": NODE_NAME, "user": user}],
            "contexts": [{"name": NODE_NAME, "context": {"cluster": NODE_NAME, "user": NODE_NAME}}],
            "current-context": NODE_NAME,
        },
        indent=1,
    )


def admin_kubeconfig(layout: Layout, server: str) -> str:
    """The kubeconfig of the person who may do everything."""
    user = {
        "client-certificate-data": base64.b64encode((layout.keys / "admin.crt").read_bytes()).decode(),
        "client-key-data": base64.b64encode((layout.keys / "admin.key").read_bytes()).decode(),
    }
    return kubeconfig(server, (layout.keys / "ca.crt").read_bytes(), user)


def write_files(layout: Layout, etc: Path) -> None:
    """Writes /etc/kubernetes of the server below `etc` and the kubeconfig for the machine."""
    folder = etc / "kubernetes"
    keys = folder / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for name in ("ca", "apiserver", "apiserver-kubelet"):
        (keys / f"{name}.crt").write_bytes((layout.keys / f"{name}.crt").read_bytes())
    for name in ("apiserver", "apiserver-kubelet", "service-accounts"):
        _write_private(keys / f"{name}.key", (layout.keys / f"{name}.key").read_text())
    authority = (layout.keys / "ca.crt").read_bytes()
    inside = f"https://127.0.0.1:{API_PORT}"
    tokens = []
    for name, (user, group) in COMPONENTS.items():
        token = secrets.token_hex(16)
        tokens.append(f'{token},{user},{user},"{group}"')
        _write_private(folder / f"{name}.kubeconfig", kubeconfig(inside, authority, {"token": token}))
    _write_private(keys / "tokens.csv", "\n".join(tokens) + "\n")
    (folder / "kubelet.json").write_text(json.dumps(kubelet_configuration(), indent=1))
    (folder / "proxy.json").write_text(json.dumps(proxy_configuration(), indent=1))
    (folder / "Corefile").write_text(corefile())
    _write_private(layout.kubeconfig, admin_kubeconfig(layout, layout.api_url))
    k3s = etc / "rancher/k3s"  # where people look for it on the real server
    k3s.mkdir(parents=True)
    _write_private(k3s / "k3s.yaml", admin_kubeconfig(layout, inside))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def kubelet_configuration() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": f"{KEYS}/ca.crt"}, "anonymous": {"enabled": False}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "containerRuntimeEndpoint": CONTAINERD,
        "clusterDNS": [DNS_SERVICE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": "/etc/resolv.conf",
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "maxPods": 240,
        # The machine's disk is not the server's: how full it is must not evict pods or remove images here.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        # The pause before a crashed container's next start does not double up to five minutes. (It is more than this
        # second all the same: the kubelet looks again after ten.)
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    }


def proxy_configuration() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{FOLDER}/proxy.kubeconfig", "qps": 100, "burst": 200},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": str(POD_SUBNET),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # Connection tracking limits belong to the machine; zeros leave them alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "100ms"},
    }


def corefile() -> str:
    """DNS for the cluster and for nothing else: whatever is not in it is refused at once."""
    return f"""\
.:53 {{
    errors
    ready 127.0.0.1:8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {FOLDER}/dns.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def apiserver_flags(layout: Layout) -> list[str]:
    return [
        f"--advertise-address={layout.server_address}",
        f"--secure-port={API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={KEYS}/ca.crt",
        f"--token-auth-file={KEYS}/tokens.csv",
        f"--tls-cert-file={KEYS}/apiserver.crt",
        f"--tls-private-key-file={KEYS}/apiserver.key",
        f"--kubelet-client-certificate={KEYS}/apiserver-kubelet.crt",
        f"--kubelet-client-key={KEYS}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={KEYS}/service-accounts.key",
        f"--service-account-signing-key-file={KEYS}/service-accounts.key",
        # One user, one node: nobody to be fair to, and the limits would only slow thirty services down.
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--profiling=false",
    ]


def controller_flags() -> list[str]:
    return [
        f"--kubeconfig={FOLDER}/controllers.kubeconfig",
        f"--service-account-private-key-file={KEYS}/service-accounts.key",
        f"--root-ca-file={KEYS}/ca.crt",
        "--leader-elect=false",
        # A node that is only slow is not to lose its pods: there is no other one for them.
        f"--node-monitor-grace-period={patience(_NODE_PATIENCE):.0f}s",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--concurrent-service-endpoint-syncs=20",
        "--concurrent-namespace-syncs=20",
        "--profiling=false",
    ]


def scheduler_flags() -> list[str]:
    return [
        f"--kubeconfig={FOLDER}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def kubelet_flags(layout: Layout) -> list[str]:
    return [
        f"--config={FOLDER}/kubelet.json",
        f"--kubeconfig={FOLDER}/kubelet.kubeconfig",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={layout.server_address}",
        "--root-dir=/var/lib/kubelet",
        "--housekeeping-interval=30s",
    ]
