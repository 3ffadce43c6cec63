"""What it may use: memory, processors."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import Work
from flowmaster.compose.coverage import Keys
from flowmaster.compose.key_registry import key
from flowmaster.compose.units import WordError, cores, quantity, size

_PERIOD = 100_000
"""Microseconds: the kernel's own, where none is given."""


@key("mem_limit", "`limits.memory`")
def mem_limit(work: Work, value: Any) -> None:
    """The most it gets."""
    _memory(work, work.limits, "mem_limit", value, "limits.memory")


@key("mem_reservation", "`requests.memory`; 0 where it is not given: docker keeps nothing for it either")
def mem_reservation(work: Work, value: Any) -> None:
    """What is kept for it."""
    _memory(work, work.requests, "mem_reservation", value, "requests.memory")


@key("cpus", "`limits.cpu`; with `requests.cpu` 0, for docker keeps nothing for it either")
def cpus(work: Work, value: Any) -> None:
    """The most it gets."""
    _cpu(work, work.limits, "cpus", value, "limits.cpu")


@key("cpu_quota", "`limits.cpu`: quota by period")
def cpu_quota(work: Work, value: Any) -> None:
    """Microseconds in each period."""
    period = int(work.keys.take("cpu_period", "limits.cpu, with cpu_quota") or _PERIOD)
    if int(value) > 0:
        _cpu(work, work.limits, "cpu_quota", int(value) / period, "limits.cpu")
    else:
        work.become("cpu_quota", "nothing: there is no limit")


@key("cpu_period", "`limits.cpu`, with `cpu_quota`")
def cpu_period(work: Work, value: Any) -> None:
    """Without a quota it limits nothing."""
    del value
    work.become("cpu_period", "nothing: without cpu_quota it limits nothing")


@key("memswap_limit", "nothing where it is `mem_limit`, or where `mem_limit` is not given", "swap besides the memory")
def memswap_limit(work: Work, value: Any) -> None:
    """Pods do not swap."""
    memory = work.limits.get("memory")
    if str(value) not in ("0", "-1") and (memory is None or quantity(size(value)) == memory):
        work.become("memswap_limit", "nothing: pods do not swap")
    elif str(value) == "0":
        work.become("memswap_limit", "nothing: 0 is not set")
    else:
        work.refuse("memswap_limit", "allows it to swap, which pods do not", "make it the same as mem_limit")


@key("mem_swappiness", "0: pods do not swap", "anything but 0")
def mem_swappiness(work: Work, value: Any) -> None:
    """Pods do not swap."""
    if str(value) == "0":
        work.become("mem_swappiness", "nothing: pods do not swap")
    else:
        work.refuse("mem_swappiness", f"is {value}, and pods do not swap", "take it out, or write 0")


@key("pids_limit", "-1, no limit: as a pod has it", "a number")
def pids_limit(work: Work, value: Any) -> None:
    """A setting of the node, not of a pod."""
    pids(work, "pids_limit", value)


def pids(work: Work, where: str, value: Any) -> None:
    """How many processes."""
    if str(value) in ("-1", "0"):
        work.become(where, "nothing: there is no limit")
    else:
        work.refuse(
            where,
            "is a setting of the whole node (podPidsLimit of the kubelet), not of a pod",
            "take it out, and set podPidsLimit if it matters",
        )


def deployed(work: Work, keys: Keys) -> None:
    """The resources under ``deploy``; where both are given, docker compose sees to it that they agree."""
    for name, into in (("limits", work.limits), ("reservations", work.requests)):
        called = "limits" if name == "limits" else "requests"
        inner = keys.below(name)
        if (memory := inner.take("memory")) is not None:
            _memory(work, into, f"deploy.resources.{name}.memory", memory, f"{called}.memory")
        if (processors := inner.take("cpus")) is not None:
            _cpu(work, into, f"deploy.resources.{name}.cpus", processors, f"{called}.cpu")
        if (most := inner.take("pids")) is not None:
            pids(work, f"deploy.resources.{name}.pids", most)
        for device in ("devices", "generic_resources"):
            if device in inner:
                inner.refuse(device, "needs a device plugin in the cluster", "write a Deployment by hand")
        inner.close()
    keys.close()


def _memory(work: Work, into: dict[str, str], where: str, value: Any, what: str) -> None:
    try:
        bytes_ = size(value)
    except WordError as err:
        work.refuse(where, str(err), "write a size such as 256m")
        return
    if bytes_ > 0:
        into["memory"] = quantity(bytes_)
    work.become(where, what if bytes_ else "nothing: there is no limit")


def _cpu(work: Work, into: dict[str, str], where: str, value: Any, what: str) -> None:
    try:
        number = cores(value)
    except WordError as err:
        work.refuse(where, str(err), "write a number such as 0.5")
        return
    if number != "0":
        into["cpu"] = number
    work.become(where, what if number != "0" else "nothing: there is no limit")


def resources(work: Work) -> dict[str, Any]:
    """The container's resources. A limit alone would be a request, too, and might find no room on the node."""
    found: dict[str, Any] = {}
    if work.limits:
        found["limits"] = dict(sorted(work.limits.items()))
    requests = {**dict.fromkeys(work.limits, "0"), **work.requests}
    if requests:
        found["requests"] = dict(sorted(requests.items()))
    return found
