"""Where the projects themselves publish the programs, and the checksums beside them.

Each address is as its project documents it; a file of checksums is in the format of `sha256sum` or `sha512sum`, or
holds one checksum alone.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from lab.tools.manifest import ETCD, Program


@dataclass(frozen=True, kw_only=True)
class Release:
    """One published file."""

    url: str
    sums: str
    """The address of the file that has its checksum."""
    name: str = ""
    """What it is called here; an archive has `members` instead."""
    members: tuple[str, ...] = ()
    """Of an archive: which files are taken out, as patterns of their paths in it."""


_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_GITHUB = "https://github.com"


def releases(program: Program, system: str | None = None, machine: str | None = None) -> tuple[Release, ...]:
    """Return the files that PROGRAM is made of on this machine; none where its project publishes none for it."""
    os = _SYSTEMS.get(system or platform.system())
    arch = _ARCHITECTURES.get(machine or platform.machine())
    if os is None or arch is None:
        return ()
    if program.plugin:
        return (_plugin(program, os, arch),)
    make = {"pulumi": _pulumi, "kubernetes": _kubernetes, "coredns": _coredns, "docker-compose": _docker_compose}
    return make[program.name](program.version, os, arch) if program.name in make else ()


def _pulumi(version: str, os: str, arch: str) -> tuple[Release, ...]:
    place = f"{_GITHUB}/pulumi/pulumi/releases/download/v{version}"
    return (
        Release(
            url=f"{place}/pulumi-v{version}-{os}-{'x64' if arch == 'amd64' else arch}.tar.gz",
            sums=f"{place}/SHA512SUMS",
            members=("pulumi/pulumi", "pulumi/pulumi-language-python*", "pulumi/pulumi-resource-pulumi-python"),
        ),
    )


def _plugin(program: Program, os: str, arch: str) -> Release:
    place = f"{_GITHUB}/pulumi/pulumi-{program.plugin}/releases/download/v{program.version}"
    return Release(
        url=f"{place}/{program.name}-v{program.version}-{os}-{arch}.tar.gz",
        sums=f"{place}/pulumi-{program.plugin}_{program.version}_checksums.txt",
        members=(program.name,),
    )


def _kubernetes(version: str, os: str, arch: str) -> tuple[Release, ...]:
    if os != "linux":
        return ()
    place = f"https://dl.k8s.io/release/v{version}/bin/{os}/{arch}"
    etcd = f"{_GITHUB}/etcd-io/etcd/releases/download/v{ETCD}"
    folder = f"etcd-v{ETCD}-{os}-{arch}"
    return (
        *(Release(url=f"{place}/{name}", sums=f"{place}/{name}.sha256", name=name) for name in _KUBERNETES),
        Release(url=f"{etcd}/{folder}.tar.gz", sums=f"{etcd}/SHA256SUMS", members=(f"{folder}/etcd",)),
    )


def _coredns(version: str, os: str, arch: str) -> tuple[Release, ...]:
    url = f"{_GITHUB}/coredns/coredns/releases/download/v{version}/coredns_{version}_{os}_{arch}.tgz"
    return (Release(url=url, sums=f"{url}.sha256", members=("coredns",)),)


def _docker_compose(version: str, os: str, arch: str) -> tuple[Release, ...]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[arch]
    url = f"{_GITHUB}/docker/compose/releases/download/v{version}/docker-compose-{os}-{machine}"
    return (Release(url=url, sums=f"{url}.sha256", name="docker-compose"),)
