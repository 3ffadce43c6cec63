"""Memory and processors."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import ServiceBuilder
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.units import UnitError, cores, quantity, size

_PERIOD = 100_000
"""Microseconds: the kernel's default period."""


@key("mem_limit", "`limits.memory`")
def mem_limit(builder: ServiceBuilder, value: Any) -> None:
    """The most it gets."""
    _memory(builder, builder.limits, "mem_limit", value, "limits.memory")


@key("mem_reservation", "`requests.memory`; 0 by default, since docker reserves nothing either")
def mem_reservation(builder: ServiceBuilder, value: Any) -> None:
    """Reserved memory."""
    _memory(builder, builder.requests, "mem_reservation", value, "requests.memory")


@key("cpus", "`limits.cpu`, with `requests.cpu` 0, since docker reserves nothing either")
def cpus(builder: ServiceBuilder, value: Any) -> None:
    """The most it gets."""
    _cpu(builder, builder.limits, "cpus", value, "limits.cpu")


@key("cpu_quota", "`limits.cpu`: quota divided by period")
def cpu_quota(builder: ServiceBuilder, value: Any) -> None:
    """Microseconds of processor time in each period."""
    period = int(builder.keys.pop("cpu_period", "limits.cpu, with cpu_quota") or _PERIOD)
    if int(value) > 0:
        _cpu(builder, builder.limits, "cpu_quota", int(value) / period, "limits.cpu")
    else:
        builder.record("cpu_quota", "nothing: there is no limit")


@key("cpu_period", "`limits.cpu`, with `cpu_quota`")
def cpu_period(builder: ServiceBuilder, value: Any) -> None:
    """Without a quota it limits nothing."""
    del value
    builder.record("cpu_period", "nothing: without cpu_quota it limits nothing")


@key("memswap_limit", "nothing if it equals `mem_limit`, or without `mem_limit`", "swap in addition to memory")
def memswap_limit(builder: ServiceBuilder, value: Any) -> None:
    """Pods do not swap."""
    memory = builder.limits.get("memory")
    if str(value) not in ("0", "-1") and (memory is None or quantity(size(value)) == memory):
        builder.record("memswap_limit", "nothing: pods do not swap")
    elif str(value) == "0":
        builder.record("memswap_limit", "nothing: 0 is not set")
    else:
        builder.refuse("memswap_limit", "allows swap, which pods do not have", "set it to the value of mem_limit")


@key("mem_swappiness", "0: pods do not swap", "anything but 0")
def mem_swappiness(builder: ServiceBuilder, value: Any) -> None:
    """Pods do not swap."""
    if str(value) == "0":
        builder.record("mem_swappiness", "nothing: pods do not swap")
    else:
        builder.refuse("mem_swappiness", f"is {value}, but pods do not swap", "remove it, or write 0")


@key("pids_limit", "-1, no limit, as for a pod", "a number")
def pids_limit(builder: ServiceBuilder, value: Any) -> None:
    """The limit of processes is a setting of the node."""
    limit_pids(builder, "pids_limit", value)


def limit_pids(builder: ServiceBuilder, where: str, value: Any) -> None:
    """Refuse a limit of processes."""
    if str(value) in ("-1", "0"):
        builder.record(where, "nothing: there is no limit")
    else:
        builder.refuse(
            where,
            "is a setting of the whole node (podPidsLimit of the kubelet), not of a pod",
            "remove it, and set podPidsLimit on the node if needed",
        )


def deploy_resources(builder: ServiceBuilder, keys: Keys) -> None:
    """Translate the resources of ``deploy``. Docker compose checks that they agree with `cpus` and `mem_limit`."""
    for name, into in (("limits", builder.limits), ("reservations", builder.requests)):
        called = "limits" if name == "limits" else "requests"
        inner = keys.pop_mapping(name)
        if (memory := inner.pop("memory")) is not None:
            _memory(builder, into, f"deploy.resources.{name}.memory", memory, f"{called}.memory")
        if (processors := inner.pop("cpus")) is not None:
            _cpu(builder, into, f"deploy.resources.{name}.cpus", processors, f"{called}.cpu")
        if (most := inner.pop("pids")) is not None:
            limit_pids(builder, f"deploy.resources.{name}.pids", most)
        for device in ("devices", "generic_resources"):
            if device in inner:
                inner.refuse(device, "needs a device plugin in the cluster", "write your own Deployment")
        inner.refuse_remaining()
    keys.refuse_remaining()


def _memory(builder: ServiceBuilder, into: dict[str, str], where: str, value: Any, what: str) -> None:
    try:
        bytes_ = size(value)
    except UnitError as err:
        builder.refuse(where, str(err), "write a size such as 256m")
        return
    if bytes_ > 0:
        into["memory"] = quantity(bytes_)
    builder.record(where, what if bytes_ else "nothing: there is no limit")


def _cpu(builder: ServiceBuilder, into: dict[str, str], where: str, value: Any, what: str) -> None:
    try:
        number = cores(value)
    except UnitError as err:
        builder.refuse(where, str(err), "write a number such as 0.5")
        return
    if number != "0":
        into["cpu"] = number
    builder.record(where, what if number != "0" else "nothing: there is no limit")


def container_resources(builder: ServiceBuilder) -> dict[str, Any]:
    """Return the container's resources. Each limit gets a request of 0, else the limit would be the request."""
    found: dict[str, Any] = {}
    if builder.limits:
        found["limits"] = dict(sorted(builder.limits.items()))
    requests = {**dict.fromkeys(builder.limits, "0"), **builder.requests}
    if requests:
        found["requests"] = dict(sorted(requests.items()))
    return found
