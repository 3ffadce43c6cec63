"""The stack: where the services run, at which tags, with which secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from config.base import Model
from config.compose import ComposeProject
from config.errors import ConfigError
from config.reverse_proxy import ReverseProxy
from config.rules import Rule
from config.types import Digest, DnsName, IPv4, Name, Port, SshHost, TagOrNone, tag_candidates


class Cluster(Model):
    """Which cluster the stack is for. Another one is refused before anything is read from it or changed."""

    context: str
    """The context of the kubeconfig; the kubeconfig is ``KUBECONFIG`` or ``~/.kube/config``, as for kubectl."""
    namespace: Name
    uid: str | None = None
    """The UID of the cluster's kube-system namespace; where given, a cluster of any other identity is refused."""
    request_timeout: Annotated[int, Field(ge=1)] = 10
    """Seconds for one request to the API server."""
    rollout_timeout: Annotated[int, Field(ge=1)] = 120
    """Seconds after which an update fails whose pods are not ready."""


class Host(Model):
    """The server itself: how it is reached, and which of its ports are spoken for."""

    address: SshHost
    """A name or an address, or an alias of ssh_config."""
    user: str | None = None
    """Who logs in over SSH: root, or somebody whom sudo asks for no password. Left out, ssh_config decides."""
    port: Port | None = None
    """Where sshd listens. Left out, ssh_config decides."""
    host_key: str | None = None
    """The server's public key, as in known_hosts: type and key. Left out, the user's known_hosts has to have it: it is
    always verified, never taken on trust."""
    private_key: SecretStr | None = None
    """The user's private key, encrypted; better is an SSH agent, or a file that ``FLOWMASTER_HOST_KEY_FILE`` names."""
    ports: Mapping[Port, str] = {}
    """Ports of the host that something else listens on, and what: no nodePort may take one."""


class Adopted(Model):
    """When, and from which cluster, the running services were taken over."""

    at: str
    uid: str
    """The UID of the cluster's kube-system namespace."""


class Release(Model):
    """One service on this server."""

    tag: TagOrNone
    """Which image runs; ``""`` where it is referred to without a tag, which is ``latest`` or what ``digest`` says."""
    assumed: str | None = None
    """The snapshot's words where it names no single tag: ``tag`` is then a guess until ``adopt`` reads it."""
    digest: Digest | None = None
    """The image is pinned to this digest, whatever the tag stands for."""
    seen: Digest | None = None
    """What a tag that can move stood for when the service was taken over: for the record, since pinning a running
    service to it would restart its pods."""
    replicas: Annotated[int, Field(ge=0)] = 1
    cluster_ip: Annotated[IPv4 | None, Field(alias="clusterIP")] = None
    """A fixed address for the Service, so that one made again keeps it."""

    @model_validator(mode="after")
    def _within_assumption(self) -> Self:
        candidates = tag_candidates(self.assumed) if self.assumed else []
        if candidates and self.tag not in candidates:
            raise ConfigError(
                f"tag {self.tag!r} is not within what the snapshot says, {self.assumed}",
                f"candidates: {', '.join(candidates)}",
                "choose one of them, or remove `assumed` once the tag is known",
            )
        return self


class Stack(Model):
    """Everything under ``flowmaster:`` in ``Pulumi.STACK.yaml``."""

    cluster: Cluster
    host: Host
    services: Mapping[Name, Release]
    secrets_key: SecretStr | None = None
    """What the file of secret values beside the stack's is encrypted with. Written by `flowmaster secret`."""
    secrets: Mapping[DnsName, Mapping[str, SecretStr]] = {}
    """Values of the catalogue's secrets, encrypted; what is left out comes from ``FLOWMASTER_SECRET_KEY``."""
    sealed: Mapping[Name, Mapping[str, SecretStr]] = {}
    """Values, encrypted, of the variables that the catalogue calls ``sealed``, by service."""
    adopted: Adopted | None = None
    """Written by ``flowmaster adopt``: what was taken over is protected against deletion."""
    rules: tuple[Rule, ...] = ()
    """What is done about which drift, before the rules that hold everywhere (docs/drift.md)."""
    reverse_proxy: ReverseProxy | None = None
    """The sites of nginx on the server; left out, nginx is none of this project's business."""
    compose: Mapping[Name, ComposeProject] = {}
    """Projects of docker compose on the server that move into the cluster."""
    catalogue: str = "config/catalogue.yaml"
    """The catalogue's file, relative to the project."""

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        owners: dict[str, str] = {}
        for name, release in self.services.items():
            if release.cluster_ip is None:
                continue
            if release.cluster_ip in owners:
                raise ConfigError(
                    f"clusterIP {release.cluster_ip} is given to both {owners[release.cluster_ip]} and {name}",
                    "an address belongs to one Service: Kubernetes refuses the second",
                    "correct one of them, or leave it out and let Kubernetes choose",
                )
            owners[release.cluster_ip] = name
        return self
