"""How long it runs and who asks whether it is well: health check, restarts, replicas, order, the end."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import Work, is_sealed
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.units import WordError, seconds, whole_seconds

DOCKER_GRACE = 10
"""Seconds that docker gives a container to end, where nothing else is said."""
INTERVAL, TIMEOUT, RETRIES = "30s", "30s", 3
"""Docker's own, where the check does not say."""
A_DAY = 86400


@key(
    "healthcheck",
    "`readinessProbe`, and a `startupProbe` that asks every second (or `start_interval`) until the first success; no "
    "`livenessProbe`, for docker restarts nobody who is unwell either",
    "secrets in the test",
)
def healthcheck(work: Work, value: Any) -> None:
    """The check decides who gets requests; as with docker, it never ends a container."""
    keys = Keys(work.account, work.keys.at("healthcheck"), value)
    test, disabled = keys.peek("test"), bool(keys.peek("disable"))
    words = [] if disabled else _test(work, test)
    if words:
        keys.take("disable", "nothing: the check is on")
        keys.take("test", "readinessProbe and startupProbe, exec")
        _probes(work, keys, words)
    else:
        off = "no probe: the check is switched off" if words == [] else "no probe: the test is refused"
        for name in ("disable", "test", "interval", "timeout", "retries", "start_period", "start_interval"):
            keys.take(name, off)
    keys.close()


def _test(work: Work, test: Any) -> list[str] | None:
    """The words to run; empty where there is no check; None where it is refused."""
    if test is None:
        return []
    words = test if isinstance(test, list) else ["CMD-SHELL", test]
    if any(is_sealed(word) for word in words):
        work.refuse(
            "healthcheck.test",
            "has a secret in it, and a probe can be read",
            "let a shell take it from a variable: [CMD-SHELL, 'check --password $$PASSWORD']",
        )
        return None
    kind, *rest = [str(word) for word in words] or ["NONE"]
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", *rest]
    if kind == "CMD":
        return rest
    if kind != "NONE":
        work.refuse("healthcheck.test", f"begins with {kind!r}", "begin it with CMD, CMD-SHELL or NONE")
        return None
    return []


def _probes(work: Work, keys: Keys, words: list[str]) -> None:
    period = _duration(work, keys, "interval", INTERVAL, "periodSeconds")
    timeout = _duration(work, keys, "timeout", TIMEOUT, "timeoutSeconds")
    retries = keys.take("retries", "failureThreshold of the readinessProbe")
    often = _duration(work, keys, "start_interval", "1s", "periodSeconds of the startupProbe")
    if keys.take("start_period", "startupProbe: no failure counts until the first success") is not None:
        work.tell("until its health check succeeds once, it is asked again and again and no failure counts")
    probe = {"exec": {"command": words}, "timeoutSeconds": timeout}
    work.container["readinessProbe"] = {**probe, "periodSeconds": period, "failureThreshold": int(retries or RETRIES)}
    # A day of patience: docker would call it unhealthy and let it run, and to end it in the middle of its start
    # (a database that recovers) would make things worse.
    work.container["startupProbe"] = {**probe, "periodSeconds": often, "failureThreshold": A_DAY // often}


def _duration(work: Work, keys: Keys, name: str, default: str, what: str) -> int:
    given = keys.take(name, what)
    try:
        whole = whole_seconds(given or default)
        if given is not None and whole != seconds(given):
            work.tell(f"healthcheck.{name} {given} is rounded up to {whole} s: Kubernetes counts whole seconds")
    except WordError as err:
        work.account.refuse(keys.at(name), str(err), "write a duration such as 30s")
        return whole_seconds(default)
    return whole


@key(
    "restart",
    "a Deployment's container is always started again, with growing pauses; so `always`, `unless-stopped` and "
    "`on-failure` of what runs, and `no` of what runs, which is told",
    "`no` and `on-failure` of a container that had ended: that is a task, which a Deployment would repeat for ever",
)
def restart(work: Work, value: Any) -> None:
    """Which policy docker has."""
    restarts(work, "restart", str(value))


def restarts(work: Work, where: str, policy: str) -> None:
    """Kubernetes' one policy for docker's four."""
    name, _, most = policy.partition(":")
    if name in ("no", "none", "on-failure") and not work.entry.running:
        work.refuse(
            where,
            f"{policy!r}, and it had ended when it was read: a Deployment would run it again and again",
            "make it a Job of its own, or take the service out of the file once it has done its work",
        )
        return
    if name in ("no", "none"):
        work.tell("docker would not start it again once it ends; Kubernetes does")
    elif name == "on-failure":
        limit = f", and not more than {most} times" if most else ""
        work.tell(f"docker would start it again only after a failure{limit}; Kubernetes always does")
    elif name == "unless-stopped":
        work.tell("what is stopped by hand stays so only as `replicas: 0` in the cluster")
    elif name not in ("always", "any"):
        work.refuse(where, f"{policy!r} is no restart policy", "no, always, on-failure or unless-stopped")
        return
    work.become(where, "a Deployment: its container is always started again")


@key("scale", "`replicas`")
def scale(work: Work, value: Any) -> None:
    """How many."""
    work.replicas = int(value)
    work.become("scale", "replicas")


@key(
    "deploy",
    "`replicas`, `resources` (limits and reservations) and `restart_policy.condition` as the keys of the same meaning; "
    "`labels`, `update_config`, `rollback_config`, `placement` mean nothing to docker compose either",
    "mode other than replicated, endpoint_mode dnsrr, limits.pids, reservations.devices and generic_resources, "
    "max_attempts and window of restart_policy",
)
def deploy(work: Work, value: Any) -> None:
    """What compose takes of it; the rest is for swarms."""
    keys = Keys(work.account, work.keys.at("deploy"), value)
    mode = keys.take("mode", "replicas of the Deployment")
    if mode not in (None, "replicated"):
        work.refuse("deploy.mode", f"{mode}: a Deployment has a number of pods", "write mode: replicated")
    endpoint = keys.take("endpoint_mode", "a Service with an address of its own")
    if endpoint not in (None, "vip"):
        work.refuse("deploy.endpoint_mode", f"{endpoint}: the name leads to the Service's one address", "write vip")
    replicas = keys.take("replicas", "replicas")
    if replicas is not None:
        work.replicas = int(replicas)
    _restart_policy(work, keys.below("restart_policy"))
    from flowmaster.compose.service.resources import deployed

    deployed(work, keys.below("resources"))
    for name in ("labels", "update_config", "rollback_config", "placement"):
        keys.take(name, "nothing: docker compose takes no notice of it either")
    keys.close()


def _restart_policy(work: Work, keys: Keys) -> None:
    condition = keys.take("condition")
    if condition is not None and "restart" not in work.keys:
        restarts(work, "deploy.restart_policy.condition", str(condition))
    elif condition is not None:
        work.become("deploy.restart_policy.condition", "nothing: restart goes first, as with docker")
    if keys.take("delay", "nothing: Kubernetes has pauses of its own") is not None:
        work.tell("restart_policy.delay: Kubernetes waits 10 s, then twice as long each time, up to five minutes")
    for name in ("max_attempts", "window"):
        if name in keys:
            keys.refuse(name, "Kubernetes never gives up on a container", "take it out")
    keys.close()


@key(
    "depends_on",
    "nothing but a word: pods start all at once, and one that cannot do without another yet ends and is started again",
    "condition `service_completed_successfully`",
)
def depends_on(work: Work, value: Any) -> None:
    """There is no order in a cluster: whoever is not ready gets no requests, who fails is started again."""
    conditions = value if isinstance(value, dict) else {name: {"condition": "service_started"} for name in value}
    for name, details in sorted(conditions.items()):
        keys = Keys(work.account, work.keys.at(f"depends_on.{name}"), details)
        condition = keys.take("condition") or "service_started"
        path = f"depends_on.{name}.condition"
        if condition == "service_completed_successfully":
            work.refuse(
                path,
                f"waits for the end of {name}, and a Deployment never ends",
                f"run {name} as a Job before, and take the condition out",
            )
        else:
            work.become(path, "nothing: it starts at once, and again if it fails")
            until = f" is healthy (docker waits until {name} is)" if condition == "service_healthy" else " runs"
            work.tell(f"starts without waiting until {name}{until}; it is started again while it fails without it")
        keys.take("required", "nothing: every service is there")
        if keys.take("restart", "nothing: pods are restarted by themselves alone"):
            work.tell(f"is not restarted together with {name}; it must connect again by itself")
        keys.close()
    work.become("depends_on", "nothing: there is no order")


@key("stop_grace_period", f"`terminationGracePeriodSeconds`; {DOCKER_GRACE} where it is not given, as docker has it")
def stop_grace_period(work: Work, value: Any) -> None:
    """Between the request to end and the end."""
    try:
        work.pod["terminationGracePeriodSeconds"] = whole_seconds(value)
    except WordError as err:
        work.refuse("stop_grace_period", str(err), "write a duration such as 30s")
        return
    work.become("stop_grace_period", "terminationGracePeriodSeconds")


@key("stop_signal", "SIGTERM is what Kubernetes sends", "any other signal: only an image can ask for it")
def stop_signal(work: Work, value: Any) -> None:
    """Kubernetes sends what the image says, else SIGTERM."""
    if str(value).upper().removeprefix("SIG") in ("TERM", "15"):
        work.become("stop_signal", "SIGTERM, as ever")
        return
    work.refuse(
        "stop_signal",
        f"{value}: Kubernetes sends SIGTERM, or what the image says",
        "put STOPSIGNAL into the image's Dockerfile and take the key out",
    )


@key("pre_stop", "`lifecycle.preStop`", "more than one; user, privileged, working_dir and environment of it")
def pre_stop(work: Work, value: Any) -> None:
    """Run in the container before it is asked to end."""
    _hook(work, "pre_stop", "preStop", value)


@key("post_start", "`lifecycle.postStart`", "more than one; user, privileged, working_dir and environment of it")
def post_start(work: Work, value: Any) -> None:
    """Run in the container once it has started."""
    _hook(work, "post_start", "postStart", value)


def _hook(work: Work, name: str, called: str, value: Any) -> None:
    if len(value) != 1:
        work.refuse(name, f"has {len(value)} commands, and a pod takes one", "join them in a script")
        return
    keys = Keys(work.account, work.keys.at(f"{name}[0]"), value[0])
    words = keys.take("command", f"lifecycle.{called}")
    keys.take("per_replica", "nothing: each pod has its own")
    for option in ("user", "privileged", "working_dir", "environment"):
        given = keys.take(option)
        if given:
            keys.refuse(option, "it runs as the container itself does", "take it out")
        elif given is not None:
            work.become(f"{name}[0].{option}", "nothing: as the container")
    keys.close()
    words = words if isinstance(words, list) else ["/bin/sh", "-c", str(words)]
    work.container.setdefault("lifecycle", {})[called] = {"exec": {"command": [str(word) for word in words]}}
    work.become(name, f"lifecycle.{called}")
