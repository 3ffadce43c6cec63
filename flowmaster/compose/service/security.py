"""Privileges, capabilities, sysctls and namespaces of the node."""

from __future__ import annotations

from typing import Any

from flowmaster.compose.context import ServiceBuilder
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
"""The sysctls that a kubelet allows every pod (Kubernetes 1.34)."""


@key("read_only", "`readOnlyRootFilesystem`")
def read_only(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    builder.security["readOnlyRootFilesystem"] = bool(value)
    builder.record("read_only", "securityContext.readOnlyRootFilesystem")


@key("cap_add", "`capabilities.add`")
def cap_add(builder: ServiceBuilder, value: Any) -> None:
    """Kubernetes omits the prefix CAP_. containerd's default set is that of docker."""
    builder.security.setdefault("capabilities", {})["add"] = _capabilities(value)
    builder.record("cap_add", "securityContext.capabilities.add")


@key("cap_drop", "`capabilities.drop`")
def cap_drop(builder: ServiceBuilder, value: Any) -> None:
    """As `cap_add`."""
    builder.security.setdefault("capabilities", {})["drop"] = _capabilities(value)
    builder.record("cap_drop", "securityContext.capabilities.drop")


def _capabilities(value: Any) -> list[str]:
    return sorted({str(name).upper().removeprefix("CAP_") for name in value})


@key("privileged", "`privileged`, with a note: the container has root's rights on the node")
def privileged(builder: ServiceBuilder, value: Any) -> None:
    """The same."""
    if value:
        builder.security["privileged"] = True
        builder.note("is privileged: it has root's rights on the node, as in docker")
    builder.record("privileged", "securityContext.privileged")


@key(
    "security_opt",
    "`no-new-privileges`: `allowPrivilegeEscalation: false`; `seccomp` and `apparmor` `unconfined`: profiles of that "
    "type",
    "custom profiles, SELinux labels, `systempaths`",
)
def security_opt(builder: ServiceBuilder, value: Any) -> None:
    """Security options, one by one."""
    for number, option in enumerate(value):
        path = f"security_opt[{number}]"
        name, _, setting = str(option).replace("=", ":", 1).partition(":")
        if name == "no-new-privileges":
            builder.security["allowPrivilegeEscalation"] = setting.lower() == "false"
            builder.record(path, "securityContext.allowPrivilegeEscalation")
        elif name == "seccomp" and setting == "unconfined":
            builder.security["seccompProfile"] = {"type": "Unconfined"}
            builder.record(path, "securityContext.seccompProfile")
        elif name == "apparmor" and setting in ("unconfined", "docker-default"):
            kind = "Unconfined" if setting == "unconfined" else "RuntimeDefault"
            builder.security["appArmorProfile"] = {"type": kind}
            builder.record(path, "securityContext.appArmorProfile")
        else:
            builder.refuse(
                path, f"{option}: pods have no such option", "remove it; a profile must be installed on the node"
            )
    builder.record("security_opt", "securityContext")


@key("sysctls", "the pod's `securityContext.sysctls`: " + ", ".join(f"`{n}`" for n in sorted(SAFE_SYSCTLS)), "others")
def sysctls(builder: ServiceBuilder, value: Any) -> None:
    """The sysctls that a kubelet allows every pod."""
    given = value if isinstance(value, dict) else dict(str(entry).partition("=")[::2] for entry in value)
    for name, setting in sorted(given.items()):
        path = f"sysctls.{name}"
        if name in SAFE_SYSCTLS:
            builder.pod_security.setdefault("sysctls", []).append({"name": name, "value": str(setting)})
            builder.record(path, "securityContext.sysctls")
        else:
            builder.refuse(
                path,
                "the kubelet does not allow pods this sysctl",
                "set it on the node, or allow it (allowedUnsafeSysctls) and write your own Deployment",
            )
    builder.record("sysctls", "securityContext.sysctls")


@key("pid", "`host`: `hostPID`", "another container's")
def pid(builder: ServiceBuilder, value: Any) -> None:
    """Access to the node's processes."""
    if value == "host":
        builder.pod["hostPID"] = True
        builder.note("sees the node's processes, as in docker")
        builder.record("pid", "hostPID")
    else:
        builder.refuse("pid", f"{value}: pods do not share processes with others", "remove it")


@key("ipc", "`host`: `hostIPC`; `private` and `shareable`: the default of a pod", "another container's")
def ipc(builder: ServiceBuilder, value: Any) -> None:
    """Access to the node's shared memory."""
    if value == "host":
        builder.pod["hostIPC"] = True
        builder.record("ipc", "hostIPC")
    elif value in ("private", "shareable"):
        builder.record("ipc", "nothing: a pod has its own")
    else:
        builder.refuse("ipc", f"{value}: pods do not share memory with others", "remove it")
