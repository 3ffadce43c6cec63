"""Who keeps an object: by the signs of known controllers, and by who has written it."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster.adopt.controllers import controlled, controller_of
from tests.unit.adopt.bodies import Body, config_map, secret, state

CONTENT: Body = {"f:data": {".": {}, "f:a": {}}}
MARKS: Body = {"f:metadata": {"f:labels": {"f:x": {}}}}


def written(by: str, fields: Body | None = None, operation: str = "Update", **more: str) -> Body:
    """An entry of managedFields."""
    return {"manager": by, "operation": operation, "fieldsV1": CONTENT if fields is None else fields, **more}


def told(**metadata: Any) -> str | None:
    live = state(config_map("settings", {"a": "b"}))
    ((ref, body),) = live.of("ConfigMap")
    body["metadata"] |= metadata
    return controller_of(ref, body)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"annotations": {"cert-manager.io/certificate-name": "web"}}, "kept by cert-manager"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "kept by Helm"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "a:b"}}, "kept by Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "kept by Flux"),
        ({"annotations": {"reflector.v1.k8s.emberstack.com/reflects": "a/b"}}, "kept by Reflector"),
        ({"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}, "kept by a leader election"),
        ({"managedFields": [written("widget-operator")]}, "kept by widget-operator"),
        ({"managedFields": [written("kubectl-create"), written("syncer", operation="Apply")]}, "kept by syncer"),
        ({"managedFields": [written("deploy@node-1")]}, "manifests/....yaml"),
        (
            {"annotations": {"objectset.rio.cattle.io/id": "", "objectset.rio.cattle.io/owner-name": "app"}},
            "move /var/lib/rancher/k3s/server/manifests/app.yaml away",
        ),
    ],
    ids=str,
)
def test_what_is_kept_is_told_with_its_keeper(metadata: Body, words: str) -> None:
    assert words in str(told(**metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"managedFields": [written("kubectl-client-side-apply"), written("Mozilla"), written("k9s")]},
        {"managedFields": [written("kubectl"), written("kube-controller-manager", {"f:status": {}})]},
        {"managedFields": [written("scaler", {"f:spec": {"f:replicas": {}}}, subresource="scale")]},
        {"managedFields": [written("labeller", MARKS)]},
        {"managedFields": [written("flowmaster", operation="Apply"), written("argocd-controller")]},
        {"annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"}},
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
    ],
    ids=str,
)
def test_what_people_wrote_is_nobodys(metadata: Body) -> None:
    assert told(**metadata) is None


def test_what_is_named_is_taken_all_the_same() -> None:
    marked = {"annotations": {"meta.helm.sh/release-name": "shop"}}
    live = state(config_map("a", {}, **marked), config_map("b", {}, **marked), secret("a", {}, **marked))
    for _, body in (*live.of("ConfigMap"), *live.of("Secret")):
        body["metadata"] |= marked
    assert sorted(map(str, controlled(live))) == ["ConfigMap/a", "ConfigMap/b", "Secret/a"]
    assert sorted(map(str, controlled(live, ["ConfigMap/a"]))) == ["ConfigMap/b", "Secret/a"]
    assert sorted(map(str, controlled(live, ["*/a"]))) == ["ConfigMap/b"]
