"""Rules decide which findings are ignored, reported, or healed by the next `up`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from config.base import Model
from flowmaster.compare.finding import LEFT, Action, Finding, FindingClass
from flowmaster.compare.path import covers

RELOAD = "reload"
"""Condition: nginx runs an older version of the file, and a reload is enough."""
Condition = Literal["autoscaled", "controlled", "irreplaceable", "reload", "repeated"]
Classes = Annotated[
    tuple[FindingClass, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]


class Rule(Model):
    """The action for findings that match all given keys. A key that is left out matches anything.

    `*` matches any text; in `path`, `*` matches within one step and `**` any number of steps. A path matches the field
    and everything below it; an empty path matches whole objects only.
    """

    kind: str = "*"
    name: str = "*"
    path: str | None = None
    manager: str | None = None
    """The field manager that set the live value, as in `kubectl get --show-managed-fields`. A rule with a manager never
    matches a finding without one, such as a removed field."""
    cls: Annotated[Classes, Field(alias="class")] = ()
    when: Condition | None = None
    """`autoscaled`: the object has an autoscaler, and the live value is within its bounds. `controlled`: an owner
    reference that a controller set. `irreplaceable`: the field could only be set back by recreating an object that
    holds data. `reload`: nginx has not loaded a site of this project since its file changed. `repeated`: a program set
    the value again after an update had undone it."""
    action: Action
    why: str = ""

    def matches(self, finding: Finding) -> bool:
        """Return whether this rule matches a finding."""
        return (
            (not self.cls or finding.cls in self.cls)
            and fnmatchcase(finding.object.kind, self.kind)
            and fnmatchcase(finding.object.name, self.name)
            and (self.when is None or self.when in finding.conditions)
            and (self.manager is None or (finding.manager is not None and fnmatchcase(finding.manager, self.manager)))
            and (self.path is None or _path_matches(self.path, finding.path))
        )


def _path_matches(pattern: str, path: str) -> bool:
    return path == "" if pattern == "" else path != "" and covers(pattern, path)


def _ignore(why: str, **what: object) -> Rule:
    return Rule.model_validate({"action": Action.IGNORE, "why": why, **what})


CONTROLLERS = ("kube-controller-manager", "k3s", "cloud-controller-manager", "kube-scheduler", "kubelet")
"""Field managers of Kubernetes itself; in K3s they are one."""

DEFAULTS: tuple[Rule, ...] = (
    _ignore("an autoscaler sets the number of replicas", path="spec.replicas", when="autoscaled"),
    _ignore(
        "left by `kubectl rollout restart`",
        path="spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]",
    ),
    _ignore("numbers the revisions of a Deployment", path="metadata.annotations[deployment.kubernetes.io/*]"),
    _ignore("numbers the revisions of a DaemonSet", path="metadata.annotations[deprecated.daemonset.*]"),
    *(
        _ignore("set by Kubernetes itself", path=path, manager=manager, **{"class": "foreign"})
        for path in ("metadata.annotations", "metadata.labels")
        for manager in CONTROLLERS
    ),
    # without the finalizer, what a controller created for the object (a load balancer, a volume) would be orphaned
    _ignore("a controller cleans up before the object is deleted", path="metadata.finalizers", **{"class": "foreign"}),
    _ignore("a controller owns the object", path="metadata.ownerReferences", when="controlled"),
    _ignore("an autoscaler resizes pods", path="pods[*].containers[*].resources", manager="vpa-updater"),
    _ignore(
        "Kubernetes labels the pods of a Job",
        kind="Job",
        path="spec.template.metadata.labels",
        **{"class": "foreign"},
    ),
    Rule(when="irreplaceable", action=Action.REPORT, why="recreating it could lose its data"),
    Rule(when="repeated", action=Action.REPORT, why="whoever sets it would set it again: pods would roll without end"),
)
"""Built-in rules for changes that a healthy cluster makes itself. Rules of the stack take precedence."""


def default_action(finding: Finding) -> Action:
    """Return the action for findings that no rule matches."""
    match finding.cls:
        case FindingClass.DRIFT | FindingClass.CONFLICT | FindingClass.PENDING:
            return Action.HEAL
        case FindingClass.FOREIGN if finding.path:
            return Action.HEAL
        case FindingClass.STALE if RELOAD in finding.conditions:
            return Action.HEAL
        case _:
            return Action.REPORT


_CHANGEABLE = frozenset({FindingClass.DRIFT, FindingClass.CONFLICT, FindingClass.PENDING, FindingClass.FOREIGN})


def decide(finding: Finding, rules: Sequence[Rule] = ()) -> Action:
    """Return the action of the first matching rule: given rules first, then built-in ones, then the class's default.

    Only differences of what `up` writes, and what a reload fixes, can be healed. A rule that would heal another finding
    reports it.
    """
    action = next((rule.action for rule in (*rules, *DEFAULTS) if rule.matches(finding)), default_action(finding))
    written = finding.cls in _CHANGEABLE and LEFT not in finding.conditions
    can_heal = written or RELOAD in finding.conditions
    return Action.REPORT if action is Action.HEAL and not can_heal else action


def apply_rules(findings: Iterable[Finding], rules: Sequence[Rule] = ()) -> list[Finding]:
    """Return the findings with their actions."""
    return [finding.with_action(decide(finding, rules)) for finding in findings]
