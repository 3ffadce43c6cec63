"""Rules: which findings are ignored, only reported, or healed by the next `up`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from config.base import Model
from flowmaster.compare.finding import Action, Finding, FindingClass
from flowmaster.compare.path import covers

RELOAD = "reload"
"""A finding's condition: what runs is older than the file it was read from, and reading that anew is all it takes."""
Condition = Literal["autoscaled", "irreplaceable", "reload"]
Classes = Annotated[
    tuple[FindingClass, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]


class Rule(Model):
    """Findings that match everything given here get this action. What is left out matches anything.

    `*` stands for any text, in `path` for anything within one step and `**` for any number of steps. A path means
    the field and all that is within it; an empty path means whole objects alone.
    """

    kind: str = "*"
    name: str = "*"
    path: str | None = None
    manager: str | None = None
    """Who set the live value, as `kubectl get --show-managed-fields` names it. A rule that names one never matches
    where nobody is known, which is so for whatever was removed."""
    cls: Annotated[Classes, Field(alias="class")] = ()
    when: Condition | None = None
    """`autoscaled`: an autoscaler aims at the object, and the live value lies within its bounds. `irreplaceable`: the
    field could only be set back by making an object again that holds data. `reload`: nginx has not read a site of this
    project since it was changed."""
    action: Action
    why: str = ""

    def matches(self, finding: Finding) -> bool:
        """Whether this rule is about the finding."""
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
"""The managers that are Kubernetes itself; K3s is all of them in one."""

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
    # taken away, what its controller made for the object elsewhere (a load balancer, a volume) would be left behind
    _ignore("a controller tidies up before the object goes", path="metadata.finalizers", **{"class": "foreign"}),
    _ignore("who owns an object is between controllers", path="metadata.ownerReferences", **{"class": "foreign"}),
    _ignore(
        "Kubernetes labels the pods of a Job",
        kind="Job",
        path="spec.template.metadata.labels",
        **{"class": "foreign"},
    ),
    Rule(when="irreplaceable", action=Action.REPORT, why="made again, what it holds could be lost"),
)
"""What a healthy server does by itself; a rule of the stack comes before these."""


def default_action(finding: Finding) -> Action:
    """What is done about findings that no rule is about."""
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
    """The action of the first rule that matches: those given, then the defaults, then by class.

    Only differences can be healed, and what a reload settles: a rule that would heal ill health reports it.
    """
    action = next((rule.action for rule in (*rules, *DEFAULTS) if rule.matches(finding)), default_action(finding))
    can_heal = finding.cls in _CHANGEABLE or RELOAD in finding.conditions
    return Action.REPORT if action is Action.HEAL and not can_heal else action


def apply_rules(findings: Iterable[Finding], rules: Sequence[Rule] = ()) -> list[Finding]:
    """All findings with what is to be done about them."""
    return [finding.with_action(decide(finding, rules)) for finding in findings]
