"""What it may do: privileges, capabilities, kernel settings, namespaces of the node."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import Work
from flowmaster.compose.key_registry import key

SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""What a kubelet allows every pod, as of Kubernetes 1.34."""


@key("read_only", "`readOnlyRootFilesystem`")
def read_only(work: Work, value: Any) -> None:
    """The same."""
    work.security["readOnlyRootFilesystem"] = bool(value)
    work.become("read_only", "securityContext.readOnlyRootFilesystem")


@key("cap_add", "`capabilities.add`")
def cap_add(work: Work, value: Any) -> None:
    """Kubernetes calls them without CAP_; containerd's own set is docker's."""
    work.security.setdefault("capabilities", {})["add"] = _capabilities(value)
    work.become("cap_add", "securityContext.capabilities.add")


@key("cap_drop", "`capabilities.drop`")
def cap_drop(work: Work, value: Any) -> None:
    """The same the other way."""
    work.security.setdefault("capabilities", {})["drop"] = _capabilities(value)
    work.become("cap_drop", "securityContext.capabilities.drop")


def _capabilities(value: Any) -> list[str]:
    return sorted({str(name).upper().removeprefix("CAP_") for name in value})


@key("privileged", "`privileged`, and told: it may do to the node whatever root may")
def privileged(work: Work, value: Any) -> None:
    """The same, word for word."""
    if value:
        work.security["privileged"] = True
        work.tell("is privileged: it may do to the node whatever root may, as with docker")
    work.become("privileged", "securityContext.privileged")


@key(
    "security_opt",
    "`no-new-privileges`: `allowPrivilegeEscalation: false`; `seccomp` and `apparmor` `unconfined`: profiles of that "
    "type",
    "profiles of one's own, SELinux labels, `systempaths`",
)
def security_opt(work: Work, value: Any) -> None:
    """Each option by itself."""
    for number, option in enumerate(value):
        path = f"security_opt[{number}]"
        name, _, setting = str(option).replace("=", ":", 1).partition(":")
        if name == "no-new-privileges":
            work.security["allowPrivilegeEscalation"] = setting.lower() == "false"
            work.become(path, "securityContext.allowPrivilegeEscalation")
        elif name == "seccomp" and setting == "unconfined":
            work.security["seccompProfile"] = {"type": "Unconfined"}
            work.become(path, "securityContext.seccompProfile")
        elif name == "apparmor" and setting in ("unconfined", "docker-default"):
            kind = "Unconfined" if setting == "unconfined" else "RuntimeDefault"
            work.security["appArmorProfile"] = {"type": kind}
            work.become(path, "securityContext.appArmorProfile")
        else:
            work.refuse(path, f"{option}: pods know it not", "take it out; a profile must be on the node already")
    work.become("security_opt", "securityContext")


@key("sysctls", "the pod's `securityContext.sysctls`: " + ", ".join(f"`{n}`" for n in sorted(SAFE_SYSCTLS)), "others")
def sysctls(work: Work, value: Any) -> None:
    """Those that a kubelet allows every pod."""
    given = value if isinstance(value, dict) else dict(str(entry).partition("=")[::2] for entry in value)
    for name, setting in sorted(given.items()):
        path = f"sysctls.{name}"
        if name in SAFE_SYSCTLS:
            work.pod_security.setdefault("sysctls", []).append({"name": name, "value": str(setting)})
            work.become(path, "securityContext.sysctls")
        else:
            work.refuse(
                path,
                "the kubelet allows pods no such kernel setting",
                "set it for the whole node, or allow it (allowedUnsafeSysctls) and write a Deployment by hand",
            )
    work.become("sysctls", "securityContext.sysctls")


@key("pid", "`host`: `hostPID`", "another container's")
def pid(work: Work, value: Any) -> None:
    """The node's processes."""
    if value == "host":
        work.pod["hostPID"] = True
        work.tell("sees the node's processes, as with docker")
        work.become("pid", "hostPID")
    else:
        work.refuse("pid", f"{value}: pods do not share processes with others", "take it out")


@key("ipc", "`host`: `hostIPC`; `private` and `shareable`: as a pod has it", "another container's")
def ipc(work: Work, value: Any) -> None:
    """The node's shared memory."""
    if value == "host":
        work.pod["hostIPC"] = True
        work.become("ipc", "hostIPC")
    elif value in ("private", "shareable"):
        work.become("ipc", "nothing: each pod has its own")
    else:
        work.refuse("ipc", f"{value}: pods do not share memory with others", "take it out")
