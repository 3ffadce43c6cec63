"""Taking over a site that somebody wrote by hand: into configuration that says the very same.

What the configuration has no field for is carried as it stands, under `extra`, and told. The proof is in the end: the
site is rendered from the new configuration and must mean what the file means, or it is refused. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from components.bodies import nginx as body
from config.errors import UserError, from_validation
from config.reverse_proxy import FORWARDED, Site
from drift.host import meaning
from drift.kubernetes.secrets import telling
from host.nginx import HostState

Directive = Mapping[str, Any]
Data = dict[str, Any]
_UPGRADE = {"Upgrade": "$http_upgrade", "Connection": "upgrade"}
_CREDENTIALS = ("authorization", "cookie")


class AdoptError(UserError):
    """A site that cannot be taken over as it is."""


@dataclass
class AdoptedSite:
    """A site as configuration, and what of it is carried as it stands."""

    data: Data
    """For ``flowmaster:reverseProxy.sites.NAME``."""
    extras: list[str] = field(default_factory=list)
    """Directives without a field of their own, each with where it stands."""
    comments: list[str] = field(default_factory=list)
    """Comments of the file; they stay in it until the next change, and in its backup after that."""


def site(name: str, text: str, addresses: Mapping[str, str]) -> AdoptedSite:
    """The configuration of a site from its file.

    :param addresses: ``CLUSTERIP:PORT`` by service: these become locations of the service, others stay addresses.
    :raises AdoptError: where the file is no valid site, or says something that cannot be carried over.
    """
    try:
        directives = meaning.parse(text)
    except meaning.SyntaxProblem as err:
        raise AdoptError(f"site {name}: {err}", "", "correct the file on the server (nginx -t)") from err
    adopted = AdoptedSite({})
    _comments(directives, adopted)
    servers = [d for d in directives if d["directive"] == "server"]
    strange = [d["directive"] for d in directives if d["directive"] not in ("server", "#")]
    if strange or not 1 <= len(servers) <= 2:
        found = f"directive {strange[0]!r} beside the server" if strange else f"{len(servers)} server blocks"
        raise AdoptError(
            f"site {name}: {found} cannot be taken over",
            "a site is one server, or two of which one sends to HTTPS",
            "put it into a file of its own in conf.d or sites-enabled: files that are not declared are left alone",
        )
    _Reader(name, addresses, adopted).read([s["block"] for s in servers])
    _prove(name, text, adopted, addresses)
    return adopted


def sites(names: Iterable[str], host: HostState, addresses: Mapping[str, str]) -> dict[str, AdoptedSite]:
    """Those of the named sites that the server has, each as its configuration.

    :raises AdoptError: where one cannot be taken over.
    """
    found = {name: host.site(name) for name in names}
    return {name: site(name, file.content, addresses) for name, file in found.items() if file and file.content}


def _comments(directives: Iterable[Directive], adopted: AdoptedSite) -> None:
    for directive in directives:
        if directive["directive"] == "#":
            adopted.comments.append(str(directive["comment"]).strip())
        _comments(directive.get("block", ()), adopted)


def _prove(name: str, text: str, adopted: AdoptedSite, addresses: Mapping[str, str]) -> None:
    from drift.compare import compare
    from drift.path import render

    try:
        # as Pulumi hands it over: keys sorted
        known = json.loads(json.dumps(adopted.data, sort_keys=True))
        rendered = body.site(Site.model_validate(known), addresses)
    except ValidationError as err:
        found = from_validation(err, Site, f"site {name}")
        raise AdoptError(
            found.found,
            "configuration has no field for that",
            "put it into a file of its own in conf.d or sites-enabled: files that are not declared are left alone",
        ) from err
    differing = compare(meaning.meaning(rendered), meaning.meaning(text))
    if differing:
        first = differing[0]
        raise AdoptError(
            f"site {name}: {render(first.path)} is {first.live!r}, and configuration would make it {first.declared!r}",
            "what nginx serves would change",
            "write this in the usual way on the server, reload nginx, and adopt again",
        )


class _Reader:
    def __init__(self, name: str, addresses: Mapping[str, str], adopted: AdoptedSite) -> None:
        self.name, self.adopted, self.data = name, adopted, adopted.data
        self.services = {address: service for service, address in addresses.items()}

    def read(self, servers: list[list[Directive]]) -> None:
        """The blocks of one or two servers."""
        redirect = next((s for s in servers if len(servers) == 2 and _sends_on(s)), None)
        main = next(s for s in servers if s is not redirect)
        if len(servers) == 2 and redirect is None:
            raise AdoptError(
                f"site {self.name}: two server blocks, neither of which only sends to HTTPS",
                "a site is one server",
                "put one of them into a file of its own on the server, reload nginx, and adopt again",
            )
        tls: Data = {}
        extra: list[str] = []
        locations: Data = {}
        for directive in main:
            self._server(directive, tls, extra, locations)
        if redirect is not None:
            self.data["listen"] = _port(redirect) or 80
        elif tls:
            tls["redirect"] = False
        if tls:
            self.data["tls"] = {k: v for k, v in tls.items() if k != "protocols"}
        self.data.setdefault("maxBodySize", None)
        self.data.setdefault("serverNames", [])
        patterns = [path for path in locations if path[0] == "~"]
        for order, path in enumerate(patterns if len(patterns) > 1 else [], 1):
            locations[path]["order"] = order
        self.data["locations"] = locations
        if extra:
            self.data["extra"] = extra

    def _server(self, directive: Directive, tls: Data, extra: list[str], locations: Data) -> None:
        name, words = directive["directive"], list(directive["args"])
        if name == "#":
            return
        if name == "listen" and words[0].rpartition(":")[2].isdigit():
            self._listen(words, tls)
        elif name == "server_name":
            self.data["serverNames"] = words
        elif name == "client_max_body_size":
            self.data["maxBodySize"] = words[0]
        elif name == "ssl_certificate":
            tls["certificate"] = words[0]
        elif name == "ssl_certificate_key":
            tls["key"] = words[0]
        elif name == "ssl_protocols" and words == ["TLSv1.2", "TLSv1.3"]:
            tls["protocols"] = words
        elif name == "location":
            locations[" ".join(words)] = self._location(" ".join(words), directive["block"])
        else:
            self._carry(directive, "", extra)

    def _listen(self, words: list[str], tls: Data) -> None:
        port = int(words[0].rpartition(":")[2])
        if "default_server" in words or "default" in words:
            self.data["default"] = True
        if "ssl" in words:
            tls["port"] = port
        else:
            self.data["listen"] = port

    def _location(self, path: str, block: list[Directive]) -> Data:
        data: Data = {}
        headers: dict[str, str] = {}
        version: str | None = None
        timeouts: dict[str, str] = {}
        extra: list[str] = []
        for directive in block:
            name, words = directive["directive"], list(directive["args"])
            if name == "proxy_pass":
                self._target(words[0], data)
            elif name == "proxy_set_header":
                self._header(path, words, headers)
            elif name in ("proxy_send_timeout", "proxy_read_timeout", "proxy_connect_timeout"):
                timeouts[name] = _seconds(words[0])
            elif name == "proxy_http_version":
                version = words[0]
            elif (own := _location_field(name, words)) is not None:
                data.update(own)
            elif name != "#":
                self._carry(directive, f"location {path}: ", extra)
        if "service" not in data and "upstream" not in data:
            raise AdoptError(
                f"site {self.name}: location {path} does not pass requests on with proxy_pass",
                "configuration has no field for that",
                "put this location into a file under /etc/nginx/snippets, include it, and adopt again",
            )
        if version != "1.1":
            data["httpVersion"] = version
        self._timeouts(timeouts, data, extra)
        if all(headers.get(key) == value for key, value in _UPGRADE.items()):
            data["websocket"] = True
            headers = {key: value for key, value in headers.items() if key not in _UPGRADE}
        if headers != FORWARDED:
            data["headers"] = headers
        if extra:
            data["extra"] = extra
        return data

    def _target(self, target: str, data: Data) -> None:
        scheme, _, rest = target.partition("://")
        address, slash, path = rest.partition("/")
        if scheme != "http":
            raise AdoptError(f"site {self.name}: proxy_pass {target}", "only http:// is known", "serve it by http")
        service = self.services.get(address)
        if service:
            data["service"] = service
        else:
            data["upstream"] = address
        if slash:
            data["path"] = f"/{path}"

    def _header(self, path: str, words: list[str], headers: dict[str, str]) -> None:
        name, value = words[0], " ".join(words[1:])
        secret = any(word in name.lower() for word in _CREDENTIALS) or telling(name)
        if secret and not value.startswith("$"):
            raise AdoptError(
                f"site {self.name}: location {path} sets {name} to a credential in the clear",
                "it would get into the stack's configuration and state",
                "put that line into a file of its own under /etc/nginx/snippets, include it, and adopt again",
            )
        headers[name] = value

    def _timeouts(self, found: dict[str, str], data: Data, extra: list[str]) -> None:
        connect = found.pop("proxy_connect_timeout", None)
        if connect:
            data["connectTimeout"] = int(connect)
        if len(set(found.values())) == 1 and len(found) == 2:
            data["timeout"] = int(next(iter(found.values())))
        else:
            for name, value in found.items():
                extra.append(f"{name} {value}s;")
                self.adopted.extras.append(f"{name} {value}s;")

    def _carry(self, directive: Directive, where: str, extra: list[str]) -> None:
        import crossplane

        text = crossplane.build([directive], indent=4)
        extra.append(text)
        self.adopted.extras.append(f"{where}{text}")


def _location_field(name: str, words: list[str]) -> Data | None:
    """The field for a directive that has one of its own."""
    if (name, words) == ("proxy_buffering", ["off"]):
        return {"streaming": True}
    return {"maxBodySize": words[0]} if name == "client_max_body_size" else None


def _sends_on(block: Iterable[Directive]) -> bool:
    names = {d["directive"] for d in block if d["directive"] != "#"}
    return "return" in names and names <= {"listen", "server_name", "return"}


def _port(block: Iterable[Directive]) -> int | None:
    ports = [d["args"][0].rpartition(":")[2] for d in block if d["directive"] == "listen"]
    return int(ports[0]) if ports and ports[0].isdigit() else None


def _seconds(text: str) -> str:
    canonical = meaning.seconds(text)
    number = canonical.removesuffix("s")
    if not number.isdigit():
        raise AdoptError(f"the time {text} is no whole number of seconds", "", "write it in seconds on the server")
    return number
