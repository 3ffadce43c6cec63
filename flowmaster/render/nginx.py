"""Renders nginx sites from the configuration and the addresses of Services. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from config import site_template
from config.reverse_proxy import Location, Site, SiteTemplate, example
from flowmaster.render import template_routes
from flowmaster.render.template_routes import Check

__all__ = ["Check"]

HEAD = "# Written by `pulumi up` of FlowMaster; what is changed here by hand, the next update takes back.\n"
_INDENT = "    "
_WEBSOCKET = {"Upgrade": "$http_upgrade", "Connection": '"upgrade"'}


def site_text(site: Site | SiteTemplate, addresses: Mapping[str, str]) -> str:
    """Render the file of a site.

    :param addresses: ``CLUSTERIP`` or ``CLUSTERIP:PORT`` by service, at least for the services behind the site.
    """
    if isinstance(site, SiteTemplate):
        return site_template.rendered(site.text, addresses)
    tls = site.tls
    blocks = []
    if tls and tls.redirect:
        blocks.append([*_listen(site.listen, site, ""), *_names(site), *_redirect(tls.port)])
    listening = [] if tls and tls.redirect else _listen(site.listen, site, "")
    if tls:
        listening += _listen(tls.port, site, " ssl")
    blocks.append([*listening, *_names(site), *_body(site, addresses)])
    return HEAD + "\n".join("\n".join(["server {", *_indented(block), "}", ""]) for block in blocks)


def services(site: Site | SiteTemplate) -> list[str]:
    """Return the services behind a site."""
    if isinstance(site, SiteTemplate):
        return sorted({placeholder.service for placeholder in site_template.placeholders(site.text)})
    return sorted({entry.service for entry in site.locations.values() if entry.service})


def paths(site: Site | SiteTemplate) -> list[tuple[str, str]]:
    """Return the services that locations lead to, each with the location's path."""
    if isinstance(site, SiteTemplate):
        return [(name, route.path) for route in template_routes.routes(site.text) for name in route.services]
    return [(entry.service, path) for path, entry in site.locations.items() if entry.service]


def site_checks(site: Site | SiteTemplate, asleep: Collection[str] = ()) -> list[Check]:
    """Return a check for every location, except for services with 0 replicas (`asleep`)."""
    return [check for check, services in location_checks(site) if not services or not set(services) <= set(asleep)]


def location_checks(site: Site | SiteTemplate) -> list[tuple[Check, tuple[str, ...]]]:
    """Return a check for each location, and the services behind it. Locations with a pattern have no path to request.

    Of a template these are the locations that pass requests on, to whichever address; none where its text cannot be
    read by directives.
    """
    if isinstance(site, SiteTemplate):
        return [(route.check, route.services) for route in template_routes.routes(site.text) if route.check]
    # names without a wildcard come first
    names = sorted(filter(example, site.server_names), key=lambda name: "*" in name)
    host = example(names[0]) if names else "localhost"
    tls = site.tls is not None
    port = site.tls.port if site.tls else site.listen
    paths = {path.partition(" ")[2] or path: location for path, location in site.locations.items() if path[0] != "~"}
    return [
        (Check(path, host, port, tls), (location.service,) if location.service else ())
        for path, location in paths.items()
        if path.startswith("/")
    ]


def _listen(port: int, site: Site, how: str) -> list[str]:
    default = " default_server" if site.default else ""
    return [f"listen {port}{how}{default};"]


def _names(site: Site) -> list[str]:
    return [f"server_name {' '.join(site.server_names)};"] if site.server_names else []


def _redirect(port: int) -> list[str]:
    return ["", f"return 301 https://$host{'' if port == 443 else f':{port}'}$request_uri;"]


def _body(site: Site, addresses: Mapping[str, str]) -> Iterator[str]:
    yield ""
    if site.max_body_size:
        yield f"client_max_body_size {site.max_body_size};"
    if site.tls:
        yield f"ssl_certificate {site.tls.certificate};"
        yield f"ssl_certificate_key {site.tls.key};"
        yield "ssl_protocols TLSv1.2 TLSv1.3;"
    yield from _lines(site.extra)
    for path, location in site.ordered:
        yield ""
        yield f"location {path} {{"
        yield from _indented(list(_location(location, addresses)))
        yield "}"


def _location(location: Location, addresses: Mapping[str, str]) -> Iterator[str]:
    yield f"proxy_pass http://{target(location, addresses)}{location.path or ''};"
    if location.http_version:
        yield f"proxy_http_version {location.http_version};"
    for name, value in ({**_WEBSOCKET, **location.headers} if location.websocket else location.headers).items():
        yield f"proxy_set_header {name} {_quoted(value)};"
    if location.connect_timeout:
        yield f"proxy_connect_timeout {location.connect_timeout}s;"
    if location.timeout:
        yield f"proxy_send_timeout {location.timeout}s;"
        yield f"proxy_read_timeout {location.timeout}s;"
    if location.streaming:
        yield "proxy_buffering off;"
    if location.max_body_size:
        yield f"client_max_body_size {location.max_body_size};"
    yield from _lines(location.extra)


def target(location: Location, addresses: Mapping[str, str]) -> str:
    """Return the ``HOST:PORT`` behind a location."""
    if location.upstream is not None or location.service is None:
        return location.upstream or ""
    address = addresses[location.service]
    return f"{address.partition(':')[0]}:{location.port}" if location.port else address


def _quoted(value: str) -> str:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if not value or any(c in value for c in " \t;{}'\"\\#") else value


def _lines(directives: tuple[str, ...]) -> Iterator[str]:
    for directive in directives:
        yield from directive.splitlines()


def _indented(lines: list[str]) -> list[str]:
    return [f"{_INDENT}{line}" if line else "" for line in lines]
