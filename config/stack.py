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
    """The cluster of the stack. Any other cluster is refused before anything is read from it or changed."""

    context: str
    """The kubeconfig context. The kubeconfig is found as kubectl finds it: ``KUBECONFIG`` or ``~/.kube/config``."""
    namespace: Name
    uid: str | None = None
    """The UID of the kube-system namespace. If set, a cluster with another UID is refused."""
    request_timeout: Annotated[int, Field(ge=1)] = 10
    """Timeout of one request to the API server, in seconds."""
    rollout_timeout: Annotated[int, Field(ge=1)] = 120
    """Seconds that an update waits for pods to become ready before it fails."""


class Host(Model):
    """The server: how to reach it over SSH, and which of its ports are in use."""

    address: SshHost
    """A host name, an address, or an alias from ssh_config."""
    user: str | None = None
    """The SSH user: root, or a user with passwordless sudo. Default: what ssh_config says."""
    port: Port | None = None
    """The port of sshd. Default: what ssh_config says."""
    host_key: str | None = None
    """The server's public key as in known_hosts: type and key. Default: the entry in the user's known_hosts. The key
    is always verified, never trusted on first use."""
    private_key: SecretStr | None = None
    """The user's private key, encrypted. Prefer an SSH agent, or a key file named by ``FLOWMASTER_HOST_KEY_FILE``."""
    ports: Mapping[Port, str] = {}
    """Ports of the host that other programs listen on, with the program. No nodePort may use them."""


class Adopted(Model):
    """When the running services were adopted, and from which cluster."""

    at: str
    uid: str
    """The UID of the cluster's kube-system namespace."""


class Release(Model):
    """One service on this server."""

    tag: TagOrNone
    """The image tag. ``""`` is a reference without a tag: ``latest``, or the image that ``digest`` pins."""
    assumed: str | None = None
    """The server snapshot's wording where it names no single tag. ``tag`` is then a guess until ``adopt`` reads it."""
    digest: Digest | None = None
    """Pins the image to this digest, whatever the tag refers to."""
    seen: Digest | None = None
    """The digest that a mutable tag referred to at adoption. For the record only: pinning a running service would
    restart its pods."""
    replicas: Annotated[int, Field(ge=0)] = 1
    cluster_ip: Annotated[IPv4 | None, Field(alias="clusterIP")] = None
    """A fixed ClusterIP for the Service, which it keeps when it is recreated."""

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
    """The data key of the secrets file beside the stack file. Written by `flowmaster secret`."""
    secrets: Mapping[DnsName, Mapping[str, SecretStr]] = {}
    """Values of the catalogue's secrets, encrypted. A missing value is read from ``FLOWMASTER_SECRET_KEY``."""
    sealed: Mapping[Name, Mapping[str, SecretStr]] = {}
    """By service, the encrypted values of the variables that the catalogue marks as ``sealed``."""
    adopted: Adopted | None = None
    """Written by ``flowmaster adopt``. Adopted objects are protected against deletion."""
    rules: tuple[Rule, ...] = ()
    """Rules for drift, which take precedence over the built-in rules (docs/drift.md)."""
    reverse_proxy: ReverseProxy | None = None
    """The nginx sites on the server. Without it, nginx is left alone."""
    compose: Mapping[Name, ComposeProject] = {}
    """Docker Compose projects on the server that move into the cluster."""
    catalogue: str = "config/catalogue.yaml"
    """Path of the catalogue file, relative to the project."""

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
