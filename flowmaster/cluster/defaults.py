"""Defaults of the API server, so that a defaulted field is not a finding.

A port of the `SetDefaults_*` functions of Kubernetes (pkg/apis/core/v1, pkg/apis/apps/v1) for the kinds that are
declared here. Every function changes the body that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmaster.cluster.policy_defaults import POLICIES
from flowmaster.cluster.quantity import quantity

Body = dict[str, Any]

ALLOCATED: dict[str, frozenset[str]] = {
    "Service": frozenset({"healthCheckNodePort"}),
    "Namespace": frozenset({"finalizers"}),
    "PersistentVolumeClaim": frozenset({"volumeName", "storageClassName"}),
    "Job": frozenset({"selector"}),
}
"""Fields of `spec` that the server hands out itself: compared only where they are declared. Addresses of Services, too,
as long as they are the usual ones (:func:`flowmaster.cluster.normalise.without_allocated`)."""


KEPT_ON_REMOVAL: dict[str, frozenset[str]] = {"Service": frozenset({"ipFamilyPolicy"})}
"""Fields of `spec` that the server leaves as they were where an update leaves them out: it has to say the default."""


def fill(kind: str, body: Body, name: str = "") -> Body:
    """Fill the server's defaults into a normalised body, in place, and return it."""
    defaults = _KINDS.get(kind)
    if defaults is not None:
        defaults(body)
    if kind == "Namespace" and name:
        body["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    return body


def known(kind: str) -> bool:
    """Return whether the defaults of a kind are known."""
    return kind in _KINDS


def _deployment(body: Body) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    _template(spec)


def _stateful_set(body: Body) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in _maps(spec.get("volumeClaimTemplates")):
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("status", {"phase": "Pending"})
        _claim(claim)
    _template(spec)


def _daemon_set(body: Body) -> None:
    spec = body.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    _template(spec)


def _job(body: Body) -> None:
    spec = body.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6 if "backoffLimitPerIndex" not in spec else 2**31 - 1)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        body.setdefault("metadata", {}).setdefault("labels", dict(labels))
    _template(spec)


def _cron_job(body: Body) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job = spec.get("jobTemplate")
    if isinstance(job, dict):
        _template(job.setdefault("spec", {}))


def _template(spec: Body) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        _pod_spec(template.setdefault("spec", {}))


def _pod_spec(spec: Body) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    # The server keeps the deprecated name of this field, too.
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif "serviceAccount" in spec:
        spec["serviceAccountName"] = spec["serviceAccount"]
    for volume in _maps(spec.get("volumes")):
        _volume(volume)
    for name in ("initContainers", "containers"):
        for container in _maps(spec.get(name)):
            _container(container)
            if spec.get("hostNetwork"):
                for port in _maps(container.get("ports")):
                    port.setdefault("hostPort", port.get("containerPort"))


def _container(container: Body) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in _maps(container.get("ports")):
        port.setdefault("protocol", "TCP")
    for variable in _maps(container.get("env")):
        source = variable.get("valueFrom")
        if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
            source["fieldRef"].setdefault("apiVersion", "v1")
        if isinstance(source, dict) and isinstance(source.get("resourceFieldRef"), dict):
            source["resourceFieldRef"].setdefault("divisor", "0")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http_get(hook)
    resources = container.get("resources")
    if isinstance(resources, dict):
        for amounts in (resources.get("limits"), resources.get("requests")):
            _round_up(amounts)


def _pull_policy(image: Any) -> str:
    """`Always` for the tag `latest`, which is also what no tag at all means."""
    reference = str(image or "")
    if "@" in reference:
        # With a digest and no tag, no tag is filled in.
        name = reference.split("@", 1)[0]
        tag = name.rsplit("/", 1)[-1].partition(":")[2]
    else:
        tag = reference.rsplit("/", 1)[-1].partition(":")[2] or "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


_FINE = frozenset(".nueE")
"""Without one of these in it, no quantity is finer than thousandths."""


def _round_up(amounts: Any) -> None:
    """The server keeps thousandths at the finest, rounded up."""
    if not isinstance(amounts, dict):
        return
    for name, amount in amounts.items():
        if not _FINE.intersection(str(amount)):
            continue
        thousandths = quantity(amount)
        if hasattr(thousandths, "denominator") and (thousandths * 1000).denominator != 1:
            amounts[name] = f"{-(-(thousandths * 1000).numerator // (thousandths * 1000).denominator)}m"


def _probe(probe: Body) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    _http_get(probe)
    if isinstance(probe.get("grpc"), dict):
        probe["grpc"].setdefault("service", "")


def _http_get(handler: Body) -> None:
    action = handler.get("httpGet")
    if isinstance(action, dict):
        action["path"] = action.get("path") or "/"
        action["scheme"] = action.get("scheme") or "HTTP"


def _volume(volume: Body) -> None:
    if not any(isinstance(value, dict) for value in volume.values()):
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(name)
        if isinstance(source, dict):
            source.setdefault("defaultMode", 0o644)
            _downward_items(source)
            for projection in _maps(source.get("sources")):
                token = projection.get("serviceAccountToken")
                if isinstance(token, dict):
                    token.setdefault("expirationSeconds", 3600)
                _downward_items(projection.get("downwardAPI"))
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    if isinstance(volume.get("image"), dict):
        volume["image"].setdefault("pullPolicy", _pull_policy(volume["image"].get("reference")))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if isinstance(claim, dict) and isinstance(claim.get("spec"), dict):
        claim["spec"].setdefault("volumeMode", "Filesystem")


def _downward_items(source: Any) -> None:
    for item in _maps(source.get("items") if isinstance(source, dict) else None):
        if isinstance(item.get("fieldRef"), dict):
            item["fieldRef"].setdefault("apiVersion", "v1")


def _service(body: Body) -> None:
    spec = body.setdefault("spec", {})
    kind = spec.setdefault("type", "ClusterIP")
    if spec.setdefault("sessionAffinity", "None") == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {})
        config.setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
    for port in _maps(spec.get("ports")):
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port")
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName" and (spec.get("selector") or spec.get("clusterIP") != "None"):
        several = len(spec.get("clusterIPs") or ()) > 1 or len(spec.get("ipFamilies") or ()) > 1
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if several else "SingleStack")


def _secret(body: Body) -> None:
    body.setdefault("type", "Opaque")


def _nothing(_body: Body) -> None:
    """Nothing is filled in that would be seen."""


def _claim(body: Body) -> None:
    body.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _maps(elements: Any) -> Iterable[Body]:
    return (element for element in elements if isinstance(element, dict)) if isinstance(elements, list) else ()


_KINDS: dict[str, Callable[[Body], None]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Service": _service,
    "ConfigMap": _nothing,
    "Secret": _secret,
    "Namespace": _nothing,
    "PersistentVolumeClaim": _claim,
    "Job": _job,
    "CronJob": _cron_job,
    **POLICIES,
}


def learn(kind: str, defaults: Callable[[Body], None]) -> None:
    """Register the defaults of another kind, from its definition on the API server."""
    _KINDS[kind] = defaults
