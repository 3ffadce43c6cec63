"""Waiting for pods, with a clock of its own: what counts as running, what as failing, and what is said."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from config.errors import MAX_LINES
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.rollout import (
    FAILING_SECONDS,
    Rollout,
    RolloutError,
    daemon_set,
    rollout_of,
    stateful_set,
    wait_for,
    workload,
)
from flowmaster.compare.finding import ObjectRef

Json = dict[str, Any]
TIMEOUT = 120

WAITING: Json = {"state": {"waiting": {"reason": "ContainerCreating"}}}
RUNNING: Json = {"state": {"running": {"startedAt": "2026-02-08T07:00:00Z"}}}
CRASHED: Json = {
    "state": {"terminated": {"exitCode": 1, "reason": "Error"}},
    "restartCount": 1,
}
CRASH_LOOP: Json = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    "restartCount": 3,
}
NO_IMAGE: Json = {"state": {"waiting": {"reason": "ErrImagePull", "message": "ghcr.io/x:y: not found"}}}


def deployment(name: str = "frontend", ready: int = 0, replicas: int = 1, **status: Any) -> Json:
    return {
        "metadata": {"name": name, "generation": 2},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
        "status": {
            "observedGeneration": 2,
            "updatedReplicas": replicas,
            "replicas": replicas,
            "availableReplicas": ready,
            **status,
        },
    }


def pod(state: Json, name: str = "frontend", template: str = "new", made: str = "2026-02-08T07:00:00Z") -> Json:
    return {
        "metadata": {
            "name": f"{name}-{template}-1",
            "labels": {"app": name, "pod-template-hash": template},
            "creationTimestamp": made,
        },
        "status": {"containerStatuses": [{"name": name, "ready": False, "restartCount": 0, **copy.deepcopy(state)}]},
    }


@pytest.mark.parametrize(
    ("body", "done"),
    [
        (deployment(ready=1), True),
        (deployment(ready=0), False),
        (deployment(replicas=0), True),
        (deployment(ready=1, replicas=2), False),
        (deployment(ready=1, observedGeneration=1), False),
        (deployment(ready=1, updatedReplicas=0), False),
    ],
    ids=["ready", "none ready", "at 0", "one of two", "not seen yet", "only old pods"],
)
def test_done_is_what_kubectl_rollout_status_calls_done(body: Json, done: bool) -> None:
    assert rollout_of("frontend", body, []).done is done


@pytest.mark.parametrize(
    ("ready", "seen", "done"), [(1, 2, True), (0, 2, False), (1, 1, False)], ids=["ready", "none ready", "not seen yet"]
)
def test_a_paused_deployment_is_done_with_the_pods_that_it_has(ready: int, seen: int, done: bool) -> None:
    body = deployment(ready=ready, updatedReplicas=0, observedGeneration=seen)
    body["spec"]["paused"] = True
    assert rollout_of("frontend", body, []).done is done


def test_an_old_pod_that_has_not_gone_yet_is_waited_for() -> None:
    body = deployment(ready=1)
    body["status"]["replicas"] = 2
    assert not rollout_of("frontend", body, []).done


def test_a_deployment_that_is_not_there_is_no_failure() -> None:
    rollout = rollout_of("frontend", None, [])
    assert (rollout.done, rollout.failing, rollout.reason) == (False, False, "not there yet")


@pytest.mark.parametrize(
    ("state", "failing", "reason"),
    [
        (WAITING, False, "0 of 1 pods are ready"),
        (RUNNING, False, "container frontend runs, but is not ready"),
        (CRASHED, True, "container frontend crashes: exit code 1 (Error), started again 1 time"),
        (CRASH_LOOP, True, "container frontend crashes: exit code 137 (OOMKilled), started again 3 times"),
        (NO_IMAGE, True, "ErrImagePull: ghcr.io/x:y: not found"),
        ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, False, "0 of 1 pods are ready"),
    ],
)
def test_what_a_pod_says_is_the_reason(state: Json, failing: bool, reason: str) -> None:
    rollout = rollout_of("frontend", deployment(), [pod(state)])
    assert (rollout.failing, rollout.reason) == (failing, reason)


def test_an_init_container_counts_too() -> None:
    waiting = pod(WAITING)
    waiting["status"]["initContainerStatuses"] = [{"name": "migrate", "ready": False, **CRASH_LOOP}]
    rollout = rollout_of("frontend", deployment(), [waiting])
    assert (rollout.container, rollout.crashed) == ("migrate", True)


def test_a_pod_that_fits_nowhere_says_so() -> None:
    unscheduled = pod(WAITING)
    unscheduled["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient memory."}
    ]
    rollout = rollout_of("frontend", deployment(), [unscheduled])
    assert rollout.failing
    assert "Insufficient memory" in rollout.reason


def test_a_pod_that_may_not_be_made_says_so() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": 'pods "frontend-1" is forbidden: quota'}
    rollout = rollout_of("frontend", deployment(conditions=[failure]), [])
    assert (rollout.failing, rollout.reason) == (True, failure["message"])


def test_pods_of_older_templates_and_pods_on_their_way_out_are_no_concern() -> None:
    old = pod(CRASH_LOOP, template="old", made="2026-02-08T06:00:00Z")
    assert not rollout_of("frontend", deployment(), [old, pod(WAITING)]).failing
    leaving = pod(CRASH_LOOP)
    leaving["metadata"]["deletionTimestamp"] = "2026-02-08T07:01:00Z"
    assert not rollout_of("frontend", deployment(), [leaving]).failing


def test_pods_of_others_are_no_concern() -> None:
    assert not rollout_of("frontend", deployment(), [pod(CRASH_LOOP, name="api-gateway")]).failing


@dataclass
class Cluster:
    """Deployments and pods as a function of the seconds since the start; the clock moves when somebody sleeps."""

    at: Callable[[float], tuple[list[Json], list[Json]]]
    log: Mapping[str, str] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    unreachable: range = range(0)
    now: float = 0.0
    said: list[str] = field(default_factory=list)

    def get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        if int(self.now) in self.unreachable:
            raise UnreachableError("the API server does not answer: connection refused")
        deployments, pods = self.at(self.now)
        if path.endswith("/log"):
            if parameters["previous"] not in self.log:
                raise ApiError("no such log", status=400)
            return self.log[parameters["previous"]]
        if path.endswith("/events"):
            return {"items": self.events}
        return {"items": deployments if path.endswith("/deployments") else pods}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, *names: str, **before: Json) -> list[Rollout]:
        services = {**dict.fromkeys(names), **before}
        return wait_for(self.get, "flowmaster", services, TIMEOUT, self.said.append, lambda: self.now, self.sleep)


def constant(*found: list[Json]) -> Callable[[float], tuple[list[Json], list[Json]]]:
    return lambda _: (found[0], found[1])


def failure(cluster: Cluster, *names: str) -> RolloutError:
    with pytest.raises(RolloutError) as caught:
        cluster.wait(*names)
    assert len(str(caught.value).splitlines()) <= MAX_LINES
    return caught.value


def test_it_ends_as_soon_as_all_run_and_says_how_far_it_is() -> None:
    def at(now: float) -> tuple[list[Json], list[Json]]:
        return [deployment("a", ready=int(now >= 2)), deployment("b", ready=int(now >= 4))], []

    cluster = Cluster(at)
    cluster.wait("a", "b")
    assert cluster.now == 4
    assert cluster.said == ["0 of 2 services run", "1 of 2 services run"]


def test_what_is_only_slow_fails_at_the_timeout() -> None:
    unhealthy = {
        "reason": "Unhealthy",
        "message": "Readiness probe failed: 503",
        "lastTimestamp": "2026-02-08T07:00:09Z",
    }
    older = {"reason": "FailedMount", "message": "no such volume", "lastTimestamp": "2026-02-08T07:00:01Z"}
    cluster = Cluster(constant([deployment()], [pod(RUNNING)]), events=[unhealthy, older])
    message = str(failure(cluster, "frontend")).splitlines()
    assert cluster.now == TIMEOUT
    assert message[0] == "Deployment/frontend does not run after 120 s: container frontend runs, but is not ready"
    assert message[1] == "Unhealthy: Readiness probe failed: 503"
    assert "run `pulumi up` again" in message[2]


def test_what_fails_for_good_is_not_waited_for_till_the_timeout() -> None:
    cluster = Cluster(
        constant([deployment()], [pod(CRASH_LOOP)]), log={"false": "first\nno connection to the database\n"}
    )
    message = str(failure(cluster, "frontend"))
    assert cluster.now == FAILING_SECONDS
    assert "its last words: first | no connection to the database" in message


def test_the_log_of_the_run_before_is_read_where_this_one_has_said_nothing() -> None:
    cluster = Cluster(constant([deployment()], [pod(CRASH_LOOP)]), log={"false": "", "true": "panic: nil map"})
    assert "its last words: panic: nil map" in str(failure(cluster, "frontend"))


def test_a_log_that_cannot_be_read_is_no_error_of_its_own() -> None:
    assert "does not run" in str(failure(Cluster(constant([deployment()], [pod(CRASH_LOOP)])), "frontend"))


def test_as_long_as_something_makes_progress_the_failing_are_given_time() -> None:
    def at(now: float) -> tuple[list[Json], list[Json]]:
        slow = deployment("slow", ready=int(now >= 60))
        return [deployment(), slow], [pod(CRASH_LOOP), pod(WAITING, "slow")]

    cluster = Cluster(at)
    failure(cluster, "frontend", "slow")
    assert cluster.now == 60 + FAILING_SECONDS


def test_a_container_that_runs_for_a_moment_between_two_crashes_has_not_recovered() -> None:
    def at(now: float) -> tuple[list[Json], list[Json]]:
        return [deployment()], [pod(RUNNING if 10 <= now < 12 else CRASH_LOOP)]

    cluster = Cluster(at)
    failure(cluster, "frontend")
    assert cluster.now == FAILING_SECONDS


def test_a_container_that_recovers_is_given_its_time_again() -> None:
    def at(now: float) -> tuple[list[Json], list[Json]]:
        return [deployment(ready=int(now >= 50))], [pod(CRASH_LOOP if now < 20 else RUNNING)]

    cluster = Cluster(at)
    cluster.wait("frontend")
    assert cluster.now == 50


def test_several_failures_are_all_named_with_their_reasons() -> None:
    names = [f"s{n}" for n in range(8)]
    pods = [pod(RUNNING, "s0"), pod(NO_IMAGE, "s1"), *(pod(CRASH_LOOP, name) for name in names[2:])]
    cluster = Cluster(constant([deployment(name) for name in names], pods), log={"false": "killed"})
    error = failure(cluster, *names)
    first = str(error).splitlines()[0]
    assert first.startswith(
        "Deployment/s1 does not run after 120 s (and 7 more: s2, s3, s4, s5, s6, ...): ErrImagePull"
    )
    assert list(error.others) == ["s2", "s3", "s4", "s5", "s6"]
    assert "exit code 137 (OOMKilled)" in error.others["s2"]
    assert "its last words: killed" in error.others["s2"]
    assert all(len(text.splitlines()) <= MAX_LINES for text in error.others.values())


def test_an_api_server_that_is_away_for_a_while_is_waited_for() -> None:
    cluster = Cluster(constant([deployment(ready=1)], []), unreachable=range(30))
    cluster.wait("frontend")
    assert cluster.now == 30


def test_an_api_server_that_stays_away_is_an_error_at_the_timeout() -> None:
    cluster = Cluster(constant([], []), unreachable=range(TIMEOUT + 1))
    with pytest.raises(UnreachableError, match="connection refused"):
        cluster.wait("frontend")
    assert cluster.now == TIMEOUT


def ill(**spec: Any) -> Json:
    body = deployment("worker")
    body["metadata"]["uid"] = "w"
    body["spec"] |= spec
    return body


def test_what_was_ill_before_and_is_untouched_is_told_and_not_waited_for() -> None:
    cluster = Cluster(constant([deployment(ready=1), ill()], [pod(CRASH_LOOP, "worker")]))
    (left,) = cluster.wait("frontend", worker=ill())
    assert (left.name, left.failing, cluster.now) == ("worker", True, 0.0)
    assert cluster.said == []


def test_what_was_ill_before_and_was_changed_is_the_updates_failure() -> None:
    cluster = Cluster(constant([deployment(ready=1), ill(replicas=2)], [pod(CRASH_LOOP, "worker")]))
    with pytest.raises(RolloutError, match="Deployment/worker"):
        cluster.wait("frontend", worker=ill())


def test_what_was_ill_before_and_got_well_is_not_told() -> None:
    well = ill()
    well["status"]["availableReplicas"] = 1
    assert Cluster(constant([deployment(ready=1), well], [])).wait("frontend", worker=ill()) == []


def other(kind: str, strategy: Json, **status: Any) -> Json:
    """A workload of two pods, of the second generation."""
    return {
        "kind": kind,
        "metadata": {"name": "db", "uid": "1", "generation": 2},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "updateStrategy": strategy},
        "status": {"observedGeneration": 2, **status},
    }


ROLLING, BY_HAND = {"type": "RollingUpdate"}, {"type": "OnDelete"}
PARTLY = {**ROLLING, "rollingUpdate": {"partition": 1}}


@pytest.mark.parametrize(
    ("body", "done"),
    [
        (other("StatefulSet", ROLLING, updatedReplicas=2, availableReplicas=2), True),
        (other("StatefulSet", ROLLING, updatedReplicas=1, availableReplicas=2), False),
        (other("StatefulSet", ROLLING, updatedReplicas=2, availableReplicas=1), False),
        (
            other(
                "StatefulSet", {**ROLLING, "rollingUpdate": {"partition": 1}}, updatedReplicas=1, availableReplicas=2
            ),
            True,
        ),
        (other("StatefulSet", BY_HAND, availableReplicas=2), True),
        (other("StatefulSet", ROLLING, updatedReplicas=2, availableReplicas=2, observedGeneration=1), False),
        (other("DaemonSet", ROLLING, desiredNumberScheduled=1, updatedNumberScheduled=1, numberAvailable=1), True),
        (other("DaemonSet", ROLLING, desiredNumberScheduled=1, updatedNumberScheduled=0, numberAvailable=1), False),
        (other("DaemonSet", ROLLING, desiredNumberScheduled=1, updatedNumberScheduled=1, numberAvailable=0), False),
        (other("DaemonSet", BY_HAND, desiredNumberScheduled=1, numberAvailable=1), True),
        (other("DaemonSet", ROLLING), True),
    ],
)
def test_other_workloads_are_done_when_kubectl_rollout_status_says_so(body: Json, done: bool) -> None:
    judge = stateful_set if body["kind"] == "StatefulSet" else daemon_set
    assert judge(f"{body['kind']}/db", body, []).done is done


def test_other_workloads_are_waited_for_beside_deployments() -> None:
    asked: list[str] = []
    late = other("StatefulSet", ROLLING, updatedReplicas=2, availableReplicas=1)

    def get(path: str, _: Mapping[str, Any]) -> Any:
        asked.append(path.rpartition("/")[2])
        found = {"deployments": [deployment("db", ready=1)], "statefulsets": [late]}
        return {"items": found.get(asked[-1], [])}

    services = {workload(ObjectRef(kind, "n", "db")): None for kind in ("Deployment", "StatefulSet")}
    with pytest.raises(RolloutError, match=r"^StatefulSet/db does not run after .* 1 of 2 pods are ready"):
        wait_for(get, "n", services, 1, lambda _: None, clock=iter([0.0, 0.0, 2.0, 2.0]).__next__, sleep=lambda _: None)
    assert {"deployments", "statefulsets", "pods"} <= set(asked)
