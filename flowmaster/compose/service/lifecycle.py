"""Health check, restart policy, replicas, start order and shutdown."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import ServiceBuilder, is_sealed
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.units import UnitError, seconds, whole_seconds

DOCKER_GRACE = 10
"""Seconds that docker gives a container to stop by default."""
INTERVAL, TIMEOUT, RETRIES = "30s", "30s", 3
"""Docker's defaults for a health check."""
SECONDS_PER_DAY = 86400


@key(
    "healthcheck",
    "`readinessProbe`, and a `startupProbe` that runs every second (or `start_interval`) until the first success; no "
    "`livenessProbe`, since docker does not restart unhealthy containers either",
    "secrets in the test",
)
def healthcheck(builder: ServiceBuilder, value: Any) -> None:
    """The check decides whether the pod gets requests. As with docker, it never ends a container."""
    keys = Keys(builder.coverage, builder.keys.path_of("healthcheck"), value)
    test, disabled = keys.get("test"), bool(keys.get("disable"))
    words = [] if disabled else _test(builder, test)
    if words:
        keys.pop("disable", "nothing: the check is enabled")
        keys.pop("test", "readinessProbe and startupProbe, exec")
        _probes(builder, keys, words)
    else:
        off = "no probe: the check is disabled" if words == [] else "no probe: the test is refused"
        for name in ("disable", "test", "interval", "timeout", "retries", "start_period", "start_interval"):
            keys.pop(name, off)
    keys.refuse_remaining()


def _test(builder: ServiceBuilder, test: Any) -> list[str] | None:
    """Return the command of the check; empty if there is none, None if it is refused."""
    if test is None:
        return []
    words = test if isinstance(test, list) else ["CMD-SHELL", test]
    if any(is_sealed(word) for word in words):
        builder.refuse(
            "healthcheck.test",
            "holds a secret, and probes are stored in the clear",
            "let a shell read it from a variable: [CMD-SHELL, 'check --password $$PASSWORD']",
        )
        return None
    kind, *rest = [str(word) for word in words] or ["NONE"]
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", *rest]
    if kind == "CMD":
        return rest
    if kind != "NONE":
        builder.refuse("healthcheck.test", f"begins with {kind!r}", "begin it with CMD, CMD-SHELL or NONE")
        return None
    return []


def _probes(builder: ServiceBuilder, keys: Keys, words: list[str]) -> None:
    period = _duration(builder, keys, "interval", INTERVAL, "periodSeconds")
    timeout = _duration(builder, keys, "timeout", TIMEOUT, "timeoutSeconds")
    retries = keys.pop("retries", "failureThreshold of the readinessProbe")
    often = _duration(builder, keys, "start_interval", "1s", "periodSeconds of the startupProbe")
    if keys.pop("start_period", "startupProbe: no failure counts until the first success") is not None:
        builder.note("no failure of its health check counts until the first success")
    probe = {"exec": {"command": words}, "timeoutSeconds": timeout}
    builder.container["readinessProbe"] = {
        **probe,
        "periodSeconds": period,
        "failureThreshold": int(retries or RETRIES),
    }
    # A day: docker only marks a slow container unhealthy. Ending it during its start (a database in recovery) would
    # make things worse.
    builder.container["startupProbe"] = {**probe, "periodSeconds": often, "failureThreshold": SECONDS_PER_DAY // often}


def _duration(builder: ServiceBuilder, keys: Keys, name: str, default: str, what: str) -> int:
    given = keys.pop(name, what)
    try:
        whole = whole_seconds(given or default)
        if given is not None and whole != seconds(given):
            builder.note(f"healthcheck.{name} {given} is rounded up to {whole} s: Kubernetes counts whole seconds")
    except UnitError as err:
        builder.coverage.refuse(keys.path_of(name), str(err), "write a duration such as 30s")
        return whole_seconds(default)
    return whole


@key(
    "restart",
    "a Deployment always restarts its container, with growing pauses; so `always`, `unless-stopped` and "
    "`on-failure` if the service runs, and `no` if it runs, with a note",
    "`no` and `on-failure` of a container that had exited: a task, which a Deployment would repeat for ever",
)
def restart(builder: ServiceBuilder, value: Any) -> None:
    """Docker's restart policy."""
    translate_restart_policy(builder, "restart", str(value))


def translate_restart_policy(builder: ServiceBuilder, where: str, policy: str) -> None:
    """Map docker's four policies to the one of a Deployment."""
    name, _, most = policy.partition(":")
    if name in ("no", "none", "on-failure") and not builder.entry.running:
        builder.refuse(
            where,
            f"{policy!r}, and it had exited when it was read: a Deployment would run it again and again",
            "make it a Job, or remove the service from the file once it has done its work",
        )
        return
    if name in ("no", "none"):
        builder.note("docker does not restart it after it exits; Kubernetes does")
    elif name == "on-failure":
        limit = f", at most {most} times" if most else ""
        builder.note(f"docker restarts it only after a failure{limit}; Kubernetes always does")
    elif name == "unless-stopped":
        builder.note("to keep it stopped in the cluster, set `replicas: 0`")
    elif name not in ("always", "any"):
        builder.refuse(where, f"{policy!r} is not a restart policy", "write no, always, on-failure or unless-stopped")
        return
    builder.record(where, "a Deployment, which always restarts its container")


@key("scale", "`replicas`")
def scale(builder: ServiceBuilder, value: Any) -> None:
    """Number of containers."""
    builder.replicas = int(value)
    builder.record("scale", "replicas")


@key(
    "deploy",
    "`replicas`, `resources` (limits and reservations) and `restart_policy.condition` as the keys of the same meaning; "
    "`labels`, `update_config`, `rollback_config` and `placement` have no effect, as with docker compose",
    "mode other than replicated, endpoint_mode dnsrr, limits.pids, reservations.devices and generic_resources, "
    "max_attempts and window of restart_policy",
)
def deploy(builder: ServiceBuilder, value: Any) -> None:
    """The parts that docker compose honours; the rest is for swarms."""
    keys = Keys(builder.coverage, builder.keys.path_of("deploy"), value)
    mode = keys.pop("mode", "replicas of the Deployment")
    if mode not in (None, "replicated"):
        builder.refuse("deploy.mode", f"{mode}: a Deployment has a number of pods", "write mode: replicated")
    endpoint = keys.pop("endpoint_mode", "a Service with an address of its own")
    if endpoint not in (None, "vip"):
        builder.refuse(
            "deploy.endpoint_mode", f"{endpoint}: the name resolves to the Service's single address", "write vip"
        )
    replicas = keys.pop("replicas", "replicas")
    if replicas is not None:
        builder.replicas = int(replicas)
    _restart_policy(builder, keys.pop_mapping("restart_policy"))
    from flowmaster.compose.service.resources import deploy_resources

    deploy_resources(builder, keys.pop_mapping("resources"))
    for name in ("labels", "update_config", "rollback_config", "placement"):
        keys.pop(name, "nothing: docker compose ignores it too")
    keys.refuse_remaining()


def _restart_policy(builder: ServiceBuilder, keys: Keys) -> None:
    condition = keys.pop("condition")
    if condition is not None and "restart" not in builder.keys:
        translate_restart_policy(builder, "deploy.restart_policy.condition", str(condition))
    elif condition is not None:
        builder.record("deploy.restart_policy.condition", "nothing: restart takes precedence, as with docker")
    if keys.pop("delay", "nothing: Kubernetes has its own pauses") is not None:
        builder.note("restart_policy.delay: Kubernetes waits 10 s, then twice as long each time, up to five minutes")
    for name in ("max_attempts", "window"):
        if name in keys:
            keys.refuse(name, "Kubernetes restarts a container without limit", "remove it")
    keys.refuse_remaining()


@key(
    "depends_on",
    "nothing, with a note: all pods start at once, and one that exits because another is missing is restarted",
    "condition `service_completed_successfully`",
)
def depends_on(builder: ServiceBuilder, value: Any) -> None:
    """Pods start in no order. A pod that is not ready gets no requests; one that fails is restarted."""
    conditions = value if isinstance(value, dict) else {name: {"condition": "service_started"} for name in value}
    for name, details in sorted(conditions.items()):
        keys = Keys(builder.coverage, builder.keys.path_of(f"depends_on.{name}"), details)
        condition = keys.pop("condition") or "service_started"
        path = f"depends_on.{name}.condition"
        if condition == "service_completed_successfully":
            builder.refuse(
                path,
                f"waits for {name} to complete, and a Deployment never does",
                f"run {name} as a Job first, and remove the condition",
            )
        else:
            builder.record(path, "nothing: it starts at once, and is restarted if it fails")
            until = f" is healthy (docker waits until {name} is)" if condition == "service_healthy" else " runs"
            builder.note(f"starts without waiting until {name}{until}; it is restarted as long as it fails without it")
        keys.pop("required", "nothing: every service is created")
        if keys.pop("restart", "nothing: pods restart independently"):
            builder.note(f"is not restarted together with {name}; it must reconnect by itself")
        keys.refuse_remaining()
    builder.record("depends_on", "nothing: there is no order")


@key("stop_grace_period", f"`terminationGracePeriodSeconds`; {DOCKER_GRACE} by default, as in docker")
def stop_grace_period(builder: ServiceBuilder, value: Any) -> None:
    """Seconds between the stop signal and the kill."""
    try:
        builder.pod["terminationGracePeriodSeconds"] = whole_seconds(value)
    except UnitError as err:
        builder.refuse("stop_grace_period", str(err), "write a duration such as 30s")
        return
    builder.record("stop_grace_period", "terminationGracePeriodSeconds")


@key("stop_signal", "SIGTERM is what Kubernetes sends", "any other signal: only an image can ask for it")
def stop_signal(builder: ServiceBuilder, value: Any) -> None:
    """Kubernetes sends what the image says, else SIGTERM."""
    if str(value).upper().removeprefix("SIG") in ("TERM", "15"):
        builder.record("stop_signal", "SIGTERM, as ever")
        return
    builder.refuse(
        "stop_signal",
        f"{value}: Kubernetes sends SIGTERM, or what the image says",
        "put STOPSIGNAL into the image's Dockerfile and take the key out",
    )


@key("pre_stop", "`lifecycle.preStop`", "more than one; user, privileged, working_dir and environment of it")
def pre_stop(builder: ServiceBuilder, value: Any) -> None:
    """A command run in the container before the stop signal."""
    _hook(builder, "pre_stop", "preStop", value)


@key("post_start", "`lifecycle.postStart`", "more than one; user, privileged, working_dir and environment of it")
def post_start(builder: ServiceBuilder, value: Any) -> None:
    """A command run in the container after its start."""
    _hook(builder, "post_start", "postStart", value)


def _hook(builder: ServiceBuilder, name: str, called: str, value: Any) -> None:
    if len(value) != 1:
        builder.refuse(name, f"has {len(value)} commands, and a pod takes one", "join them in a script")
        return
    keys = Keys(builder.coverage, builder.keys.path_of(f"{name}[0]"), value[0])
    words = keys.pop("command", f"lifecycle.{called}")
    keys.pop("per_replica", "nothing: each pod has its own")
    for option in ("user", "privileged", "working_dir", "environment"):
        given = keys.pop(option)
        if given:
            keys.refuse(option, "the hook runs as the container does", "remove it")
        elif given is not None:
            builder.record(f"{name}[0].{option}", "nothing: same as the container")
    keys.refuse_remaining()
    words = words if isinstance(words, list) else ["/bin/sh", "-c", str(words)]
    builder.container.setdefault("lifecycle", {})[called] = {"exec": {"command": [str(word) for word in words]}}
    builder.record(name, f"lifecycle.{called}")
