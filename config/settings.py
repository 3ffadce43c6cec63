"""Settings: stack and catalogue, checked against each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config import site_template
from config.catalogue import Catalogue, Conventions, Service
from config.errors import ConfigError, closest
from config.reverse_proxy import Site, SiteTemplate, check_names, ports
from config.stack import Release, Stack

SECRET_VARIABLE = "FLOWMASTER_SECRET_"  # noqa: S105  the prefix of a name, not a secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The validated configuration, from which components and the desired state are built."""

    name: str
    """The stack's name."""
    stack: Stack
    catalogue: Catalogue
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further objects of the namespace, by file: manifests of any kind (:mod:`config.objects`)."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def __post_init__(self) -> None:
        self._check_same_services()
        self._check_secrets_known()
        self._check_host_ports()
        self._check_reverse_proxy()
        self._check_objects()

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return self.stack.cluster.namespace

    @property
    def services(self) -> Mapping[str, Service]:
        """The catalogue's services by name."""
        return self.catalogue.services

    def release(self, name: str) -> Release:
        """Return tag and replicas of a service in this stack."""
        return self.stack.services[name]

    def conventions(self, name: str) -> Conventions:
        """Return the conventions that apply to a service."""
        return self.services[name].conventions_over(self.catalogue.conventions)

    def image(self, name: str) -> str:
        """Return the image reference of a service: repository and tag, with the digest if there is one."""
        release = self.release(name)
        pin = f"@{release.digest}" if release.digest else ""
        tag = f":{release.tag}" if release.tag else ""
        return f"{self.catalogue.image_of(name)}{tag}{pin}"

    def secret_values(self, name: str) -> dict[str, str]:
        """Return the values of a Secret, by key, in the clear.

        :raises ConfigError: where a key has a value neither in the stack nor in the environment.
        """
        given = self.stack.secrets.get(name, {})
        values: dict[str, str] = {}
        for key in (*self.catalogue.secrets[name].keys, *self.catalogue.secrets[name].binary_keys):
            variable = secret_variable(key)
            if key in given:
                values[key] = given[key].get_secret_value()
            elif self.environ.get(variable):
                values[key] = self.environ[variable]
            else:
                raise ConfigError(
                    f"secret {key} of Secret/{name} has no value",
                    "the services that read it could not start",
                    f"flowmaster secret set {name}/{key}, or export {variable}",
                )
        return values

    def sealed_value(self, service: str, variable: str) -> str:
        """Return the value of a sealed variable, in the clear.

        :raises ConfigError: where the stack does not have it.
        """
        value = self.stack.sealed.get(service, {}).get(variable)
        if value is None:
            raise ConfigError(
                f"variable {variable} of {service} is sealed, and the stack has no value for it",
                "its pods would restart without it",
                f"flowmaster secret set sealed/{service}/{variable}",
            )
        return value.get_secret_value()

    def gaps(self) -> Iterable[tuple[str, str]]:
        """Yield open questions about the server: (where, what)."""
        for text in self.catalogue.gaps:
            yield "catalogue", text
        for name, service in self.services.items():
            assumed = self.release(name).assumed
            if assumed:
                yield name, f"tag {self.release(name).tag} is assumed: the snapshot says {assumed}"
            for text in service.gaps:
                yield name, text

    def _check_same_services(self) -> None:
        stack, catalogue = set(self.stack.services), set(self.catalogue.services)
        for name in sorted(stack - catalogue):
            raise ConfigError(
                f"flowmaster:services.{name}: no such service in the catalogue{closest(name, catalogue)}",
                "there is nothing to say what it is: no image, no port",
                f"add {name} to {self.stack.catalogue}, or remove it from the stack",
            )
        for name in sorted(catalogue - stack):
            raise ConfigError(
                f"flowmaster:services: {name} is in the catalogue, but the stack does not say at which tag it runs",
                "an update would delete it",
                f"add `{name}: {{tag: ...}}` to the stack, or remove it from {self.stack.catalogue}",
            )

    def _check_secrets_known(self) -> None:
        for name, values in self.stack.secrets.items():
            known = self.catalogue.secrets.get(name)
            for key in values:
                if known is None or key not in (*known.keys, *known.binary_keys):
                    keys = sorted(known.keys) if known else sorted(self.catalogue.secrets)
                    raise ConfigError(
                        f"flowmaster:secrets.{name}.{key}: not among the catalogue's secrets{closest(key, keys)}",
                        f"known: {', '.join(keys) or 'none'}",
                        f"add it to secrets in {self.stack.catalogue}, or `flowmaster secret remove {name}/{key}`",
                    )

    def _check_reverse_proxy(self) -> None:
        proxy = self.stack.reverse_proxy
        if proxy is None:
            return
        check_names(proxy.sites)
        known = [service for service, entry in self.services.items() if entry.port is not None]
        for file, site in proxy.sites.items():
            where = f"reverseProxy.sites.{file}"
            for place, name in _targets(site):
                if name not in known:
                    raise ConfigError(
                        f"{where}: {place} leads to {name}, which is no service that listens{closest(name, known)}",
                        "nginx would have nowhere to send its requests",
                        "correct the name, or write upstream: HOST:PORT"
                        if isinstance(site, Site)
                        else f"correct the name; services that listen: {', '.join(known)}",
                    )
            for port in sorted(ports(site)):
                owner = self.stack.host.ports.get(port)
                if owner not in (None, "nginx"):
                    raise ConfigError(
                        f"{where}: port {port} of the host is taken by {owner}",
                        "nginx could not listen there, and would not start again",
                        "give the site another port",
                    )

    def _check_objects(self) -> None:
        """No object of a folder is one that the catalogue declares already."""
        services = set(self.services)
        exposed = {name for name, service in self.services.items() if service.expose}
        declared = {
            "Namespace": {self.namespace},
            "Deployment": services,
            "Service": exposed | set(self.catalogue.external_services) | set(self.catalogue.raw_services),
            "ConfigMap": set(self.catalogue.config_maps),
            "Secret": set(self.catalogue.secrets),
        }
        for where, body in self.objects.items():
            name, kind = body["metadata"]["name"], body["kind"]
            if "." not in str(body["apiVersion"]).partition("/")[0] and name in declared.get(kind, ()):
                raise ConfigError(
                    f"objects: {where} declares {kind}/{name}, which the catalogue declares already",
                    "one object can be declared only once",
                    "remove the file, or take the entry out of the catalogue",
                )

    def _check_host_ports(self) -> None:
        owners = dict(self.stack.host.ports)
        for name, service in self.services.items():
            ports = [service.node_port, *(p.node_port for p in service.extra_ports)]
            for port in (p for p in ports if p is not None):
                if port in owners:
                    raise ConfigError(
                        f"services.{name}: port {port} of the host is taken by {owners[port]}",
                        "only one of the two would get the connections",
                        f"give {name} another nodePort; taken: {', '.join(map(str, sorted(owners)))}",
                    )
                owners[port] = f"service {name}"


def _targets(site: Site | SiteTemplate) -> Iterable[tuple[str, str]]:
    """Yield where a site leads to services, and their names."""
    if isinstance(site, SiteTemplate):
        for placeholder in site_template.placeholders(site.text):
            yield f"{site.template}, line {placeholder.line}", placeholder.service
        return
    for path, location in site.locations.items():
        if location.service is not None:
            yield f"location {path}", location.service


def secret_variable(key: str) -> str:
    """Return the environment variable for a secret's value: ``FLOWMASTER_SECRET_`` and the key in capitals."""
    return SECRET_VARIABLE + "".join(c if c.isalnum() else "_" for c in key).upper()
