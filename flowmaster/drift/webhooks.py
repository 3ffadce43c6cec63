"""Names the webhooks that may have changed an object, where a change that comes back has no field manager."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import group_of, kind_of
from flowmaster.cluster.reader import Reader
from flowmaster.compare.finding import Finding, ObjectRef

Body = dict[str, Any]
_PATH = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_WRITES = frozenset({"*", "CREATE", "UPDATE"})


def named(api: Reader, findings: list[Finding]) -> list[Finding]:
    """Return the findings, those of which nobody is known with the webhooks that may be behind them.

    The server is asked only if there is such a finding. Never raises: what cannot be listed is not named.
    """
    if not any(_nameless(finding) for finding in findings):
        return findings
    try:
        configurations = api.get(_PATH)["items"]
    except ApiError:
        return findings
    return [_with_candidates(finding, configurations) if _nameless(finding) else finding for finding in findings]


def _nameless(finding: Finding) -> bool:
    return "repeated" in finding.conditions and finding.manager is None


def _with_candidates(finding: Finding, configurations: Iterable[Body]) -> Finding:
    names = sorted(set(_changing(finding.object, configurations)))
    found = f"webhooks that change objects of kind {finding.object.kind}: {', '.join(names) or 'none'}"
    return replace(finding, note=f"{finding.note}; {found}")


def _changing(ref: ObjectRef, configurations: Iterable[Body]) -> Iterator[str]:
    """Yield the names of configurations with a webhook for writes of objects of that kind."""
    kind = kind_of(ref)
    for configuration in configurations:
        for webhook in configuration.get("webhooks") or ():
            for rule in webhook.get("rules") or ():
                groups, resources = set(rule.get("apiGroups") or ()), set(rule.get("resources") or ())
                if (
                    _WRITES & set(rule.get("operations") or ())
                    and groups & {"*", group_of(kind.version)}
                    and resources & {"*", "*/*", kind.plural}
                ):
                    yield str(configuration["metadata"]["name"])
