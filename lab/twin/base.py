"""What every state of the server has in its cluster: DNS, and the namespace of the databases."""

from lab.twin.api import Api, Body, ready_pods, wait_until, why_unready
from lab.twin.layout import DNS_SERVICE_ADDRESS, REGISTRY_PORT, Layout

# Name -> tag, port, address of its Service; SDX's containers know ArangoDB by its address.
DATABASES = {
    "arangodb": ("3.11", 8529, "10.43.85.29"),
    "postgres": ("16", 5432, "10.43.54.32"),
    "redis": ("7", 6379, "10.43.63.79"),
}
_PODS = "/api/v1/namespaces/databases/pods"


def apply(api: Api, layout: Layout) -> None:
    """Declares the cluster's DNS service and the databases. Raises TwinError where the API refuses."""
    for body in (*_dns(layout), _namespace("databases"), *(body for name in DATABASES for body in _database(name))):
        api.apply(body)


def wait_for_databases(api: Api, seconds: float) -> None:
    """Waits until every database has a ready pod. Raises TwinError with the reason after that many seconds."""
    wait_until(
        "the databases",
        lambda: len(ready_pods(api.items(_PODS))) >= len(DATABASES),
        seconds,
        lambda: why_unready(api.items(_PODS)),
    )


def _namespace(name: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _dns(layout: Layout) -> list[Body]:
    """A Service for the DNS server, which is a process of the node and no pod: its address is stated by hand."""
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "clusterIP": DNS_SERVICE_ADDRESS,
                "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [layout.server_address], "conditions": {"ready": True}}],
            "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports],
        },
    ]


def _database(name: str) -> list[Body]:
    tag, port, address = DATABASES[name]
    labels = {"app": name}
    container = {
        "name": name,
        "image": f"localhost:{REGISTRY_PORT}/databases/{name}:{tag}",
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "databases", "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "databases", "labels": labels},
            "spec": {"clusterIP": address, "selector": labels, "ports": [{"port": port, "targetPort": port}]},
        },
    ]
