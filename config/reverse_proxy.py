"""The reverse proxy: which sites nginx on the server has, and where their locations lead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, model_validator

from config import site_template
from config.base import Model
from config.errors import ConfigError
from config.types import Name, Port

Seconds = Annotated[int, Field(ge=1)]
_SIZE = re.compile(r"\d+[kKmMgG]?")
_WORD = re.compile(r"[^\s;{}\"'\\#]+")
_ABSOLUTE = re.compile(r"/[^\s;{}\"'\\#]+")
_SITE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FILE = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*")

FORWARDED = {
    "Host": "$host",
    "X-Real-IP": "$remote_addr",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    "X-Forwarded-Proto": "$scheme",
}
"""What a service is told about the request, unless a location says otherwise."""


def _size(value: str) -> str:
    if not _SIZE.fullmatch(value):
        raise ConfigError(f"{value!r} is not a size for nginx", "expected a number with k, m or g, such as 100m")
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ConfigError(f"{value!r} cannot stand in nginx's configuration", "no spaces, quotes, braces or ';'")
    return value


def _absolute(value: str) -> str:
    if not _ABSOLUTE.fullmatch(value):
        raise ConfigError(f"{value!r} is not an absolute path", "such as /etc/letsencrypt/live/NAME/fullchain.pem")
    return value


def _directive(value: str) -> str:
    if not value.rstrip().endswith((";", "}")):
        raise ConfigError(f"{value!r} is not a whole directive of nginx", "one ends with ';', or is a block in braces")
    return value


def _site_name(value: str) -> str:
    if not _SITE_NAME.fullmatch(value):
        raise ConfigError(
            f"{value!r} is no name of a site's file", "letters, digits, '.', '_' and '-', such as shop.conf"
        )
    return value


def _file(value: str) -> str:
    if not _FILE.fullmatch(value):
        raise ConfigError(
            f"{value!r} is no file below the folder of the stack's file",
            "a template lies beside the stack's file or in a folder there, such as nginx/shop.conf",
        )
    return value


Size = Annotated[str, AfterValidator(_size)]
"""A size as nginx writes it."""
Word = Annotated[str, AfterValidator(_word)]
"""One word of nginx's configuration."""
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
"""A file on the server."""
Directive = Annotated[str, AfterValidator(_directive)]
"""A whole directive of nginx, for what the model has no field for."""
SiteName = Annotated[str, AfterValidator(_site_name)]
"""The name of a file in sites-enabled."""


class Location(Model):
    """Where requests below one path go: to a service's ClusterIP, or to another address."""

    service: Name | None = None
    """A service of the catalogue: its live ClusterIP, and its port."""
    upstream: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:\d+$")] | None = None
    """Another address than a service's: ``HOST:PORT``, such as a container's published port."""
    port: Port | None = None
    """Another port of the service than its first."""
    path: Annotated[str, Field(pattern=r"^/[^\s;{}\"'\\#]*$")] | None = None
    """What takes the place of the location's own path; left out, the path goes on as it came."""
    websocket: bool = False
    """Connections may be upgraded to WebSockets."""
    http_version: Literal["1.0", "1.1"] | None = "1.1"
    """How the service is spoken to; ``null`` leaves it to nginx."""
    streaming: bool = False
    """Answers are passed on as they come, not gathered first."""
    timeout: Seconds | None = None
    """Seconds that the service may take to read and to answer; nginx's own 60 where left out."""
    connect_timeout: Seconds | None = None
    max_body_size: Size | None = None
    """The site's where left out."""
    headers: Mapping[Word, str] = FORWARDED
    """Headers of the request to the service."""
    order: Annotated[int, Field(ge=1)] | None = None
    """Of several patterns (``~``), which is tried first: nginx takes the first that matches."""
    extra: tuple[Directive, ...] = ()
    """Directives that there is no field for, as they stand in the file."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.service is None) == (self.upstream is None):
            raise ConfigError(
                "a location leads to one place",
                "found both or neither of service and upstream",
                "write either service: NAME or upstream: HOST:PORT",
            )
        if self.port is not None and self.service is None:
            raise ConfigError("port belongs to a service", "an upstream has its port in its address")
        return self


class Tls(Model):
    """HTTPS, by certificate files on the server."""

    certificate: AbsolutePath
    key: AbsolutePath
    """The private key's file; the key itself never leaves the server."""
    port: Port = 443
    redirect: bool = True
    """Requests to the plain port are sent to this one; else both ports serve the site."""


class Site(Model):
    """One file of nginx's sites-enabled."""

    listen: Port = 80
    default: bool = False
    """Also answers requests for names that no site has."""
    server_names: tuple[Word, ...] = ("_",)
    max_body_size: Size | None = "100m"
    """The largest request; ``null`` leaves it to nginx.conf."""
    tls: Tls | None = None
    locations: Mapping[Annotated[str, Field(pattern=r"^((=|~|~\*|\^~) )?[^\s;{}]+$")], Location]
    extra: tuple[Directive, ...] = ()
    """Directives of the server block that there is no field for."""

    @model_validator(mode="after")
    def _patterns_are_in_order(self) -> Self:
        orders = {path: location.order for path, location in self.locations.items() if path[0] == "~"}
        if len(orders) > 1 and (None in orders.values() or len(set(orders.values())) < len(orders)):
            raise ConfigError(
                f"locations {', '.join(orders)} are patterns without an order",
                "nginx takes the first that matches, and keys of a mapping have no order",
                "give each its own `order`: 1 is tried first",
            )
        return self

    @property
    def ordered(self) -> list[tuple[str, Location]]:
        """The locations as they stand in the file: those by patterns in their order, the others by their paths."""
        return sorted(self.locations.items(), key=lambda entry: (entry[1].order or 0, entry[0]))


class SiteTemplate(Model):
    """One file of nginx's sites-enabled as a template: its text, with placeholders for the addresses of Services."""

    template: Annotated[str, AfterValidator(_file)]
    """The template, relative to the folder of the stack's file."""
    _text: str = PrivateAttr("")

    @property
    def text(self) -> str:
        """What the template's file holds, once the settings were loaded."""
        return self._text

    def with_text(self, text: str) -> Self:
        """Return a copy with the text of the template's file."""
        copy = self.model_copy()
        copy._text = text
        return copy


TYPED, TEMPLATE = "(typed site)", "(site template)"
"""The two ways to declare a site, as pydantic names them in errors."""


def _form(value: Any) -> str:
    given = "template" in value if isinstance(value, Mapping) else isinstance(value, SiteTemplate)
    return TEMPLATE if given else TYPED


AnySite = Annotated[Annotated[Site, Tag(TYPED)] | Annotated[SiteTemplate, Tag(TEMPLATE)], Discriminator(_form)]


class Recorded(Model):
    """What stood around the sites when somebody last looked at it and accepted it: the base for telling a change.

    Written by ``flowmaster adopt``, and read in reviews: values as they stand, credentials and long texts as hashes.
    """

    at: str
    configuration: AbsolutePath
    """The file that nginx was started with."""
    program: AbsolutePath | None = None
    """The file of nginx itself."""
    inherited: Mapping[str, str] = {}
    """Directives from outside of the sites' files that act on them, by name: of http, of the outermost level, and of
    snippets (``included[FILE].NAME``)."""
    files: Mapping[AbsolutePath, Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]] = {}
    """The other files of nginx's configuration, with the beginning of the SHA-256 of each."""


class ReverseProxy(Model):
    """All sites of this project, by the name of their file."""

    sites: Mapping[SiteName, AnySite]
    recorded: Recorded | None = None
    """What the sites inherit, to tell a change of it; left out, that is not compared."""

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if not self.sites:
            raise ConfigError("reverseProxy has no sites", "", "name one, or leave reverseProxy out")
        check_names(self.sites)
        return self


def check_names(sites: Mapping[str, Site | SiteTemplate]) -> None:
    """Refuse two sites that answer for the same name on the same port.

    :raises ConfigError: naming both.
    """
    owners: dict[tuple[int, str], str] = {}
    for file, site in sites.items():
        for port, name in served(site):
            taken = owners.setdefault((port, name), file)
            if taken != file:
                raise ConfigError(
                    f"sites {taken} and {file} both serve {name} on port {port}",
                    "nginx would give all requests to one of them",
                    "give them different serverNames",
                )


def served(site: Site | SiteTemplate) -> list[tuple[int, str]]:
    """The ports and names that a site answers for; of a template those on all IPv4 addresses."""
    if isinstance(site, SiteTemplate):
        return site_template.served(site.text)
    ports = [site.listen] + ([site.tls.port] if site.tls else [])
    names = [*(site.server_names or ("",)), *(["_"] if site.default else [])]
    return [(port, name) for port in ports for name in dict.fromkeys(names)]


def ports(site: Site | SiteTemplate) -> set[int]:
    """The ports that a site listens on."""
    own = {port for port, _ in served(site)}
    return own | set(site_template.ports(site.text)) if isinstance(site, SiteTemplate) else own


def example(name: str) -> str:
    """A name that a request may ask for to reach a server of this `server_name`; nothing for patterns and `_`."""
    if name.startswith("~") or name in ("", "_"):
        return ""
    if name.startswith("*."):
        return f"flowmaster-check{name[1:]}"
    return name.removeprefix(".").replace(".*", ".test")
