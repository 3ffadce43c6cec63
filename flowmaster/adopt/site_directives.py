"""Describes an nginx site, directive by directive, as configuration; the rest goes under `extra`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.errors import UserError
from config.reverse_proxy import FORWARDED
from flowmaster.host import nginx_tree

Directive = Mapping[str, Any]
Data = dict[str, Any]
AGAIN = "and adopt again"
LEAVE = "put it into a file of its own in conf.d or sites-enabled: files that are not declared are left alone"
_UPGRADE = {"Upgrade": "$http_upgrade", "Connection": "upgrade"}
_PROTOCOLS = ["TLSv1.2", "TLSv1.3"]
_ADDRESS = re.compile(r"[A-Za-z0-9.-]+:\d+")


class SiteAdoptionError(UserError):
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
    template: str | None = None
    """The text of its template, where it is adopted as one."""
    reason: str = ""
    """Why it is adopted as a template although it was declared by keys."""
    depends: list[str] = field(default_factory=list)
    """Files that the site needs, which are not adopted."""


@dataclass(frozen=True)
class _Listen:
    """A `listen` as it is understood: every IPv4 or every IPv6 address, one port, perhaps with TLS."""

    directive: Directive
    port: int
    six: bool
    tls: bool
    default: bool


def refused(site: str, directive: Directive, what: str, why: str, remedy: str) -> SiteAdoptionError:
    """That one directive cannot be taken over, by its line."""
    return SiteAdoptionError(f"site {site}, line {directive['line']}: {what}", why, remedy)


def proxies(block: Iterable[Directive]) -> bool:
    """Whether a server does nothing but send requests elsewhere."""
    names = {d["directive"] for d in block if d["directive"] != "#"}
    return "return" in names and names <= {"listen", "server_name", "return"}


class SiteReader:
    """Fills an :class:`AdoptedSite`.

    :raises SiteAdoptionError: from :meth:`read`, naming the line of what is not understood and what to do about it.
    """

    def __init__(self, name: str, addresses: Mapping[str, str], adopted: AdoptedSite) -> None:
        """`addresses` are ``CLUSTERIP:PORT`` by service."""
        self.name, self.adopted, self.data = name, adopted, adopted.data
        self.services = {address: service for service, address in addresses.items()}
        self.owners = {address.partition(":")[0]: service for service, address in addresses.items()}

    def read(self, main: Directive, redirect: Directive | None) -> None:
        """The server, and the one before it that only sends to HTTPS."""
        tls: Data = {}
        extra: list[str] = []
        locations: Data = {}
        self._listens(main, redirect, tls, extra)
        for directive in main["block"]:
            self._server(directive, tls, extra, locations)
        if tls:
            if tls.pop("protocols", None) is None:
                raise refused(
                    self.name,
                    main,
                    "this server has TLS without `ssl_protocols TLSv1.2 TLSv1.3;`",
                    "configuration always says which versions are spoken, so what nginx serves would change",
                    f"add that line on the server, reload nginx, {AGAIN}",
                )
            self.data["tls"] = tls
        self.data.setdefault("maxBodySize", None)
        self.data.setdefault("serverNames", [])
        if redirect is not None:
            self._redirect(redirect, tls)
        patterns = [path for path in locations if path[0] == "~"]
        for order, path in enumerate(patterns if len(patterns) > 1 else [], 1):
            locations[path]["order"] = order
        self.data["locations"] = locations
        if extra:
            self.data["extra"] = extra

    def _server(self, directive: Directive, tls: Data, extra: list[str], locations: Data) -> None:
        name, words = directive["directive"], list(directive["args"])
        if name in ("#", "listen"):
            return
        if name == "server_name":
            self.data["serverNames"] = words
        elif name == "client_max_body_size":
            self.data["maxBodySize"] = words[0]
        elif name == "ssl_certificate":
            tls["certificate"] = words[0]
        elif name == "ssl_certificate_key":
            tls["key"] = words[0]
        elif name == "ssl_protocols" and "port" in tls:
            if sorted(words) != _PROTOCOLS:
                raise self._rewrite(directive, "other versions of TLS", "ssl_protocols TLSv1.2 TLSv1.3;")
            tls["protocols"] = words
        elif name == "location":
            locations[" ".join(words)] = self._location(" ".join(words), directive)
        else:
            self._carry(directive, "", extra)

    def _listens(self, main: Directive, redirect: Directive | None, tls: Data, extra: list[str]) -> None:
        listens = [d for d in main["block"] if d["directive"] == "listen"]
        for directive in (d for d in listens if d["args"][0].startswith("unix:")):
            self._carry(directive, "", extra)
        found = [self._listen(d) for d in listens if not d["args"][0].startswith("unix:")]
        plain, secure = (self._one([e for e in found if not e.six and e.tls is with_tls]) for with_tls in (False, True))
        for entry in found:
            beside = secure if entry.tls else plain
            if entry.six and (beside is None or beside.port != entry.port):
                raise self._rewrite(
                    entry.directive, f"no `listen {entry.port}` stands beside it", f"listen {entry.port};"
                )
            if entry.six:
                self._carry(entry.directive, "", extra)
        if secure is not None and plain is None and redirect is None:
            raise self._rewrite(
                secure.directive, "there is no plain port beside it", f"listen 80; listen {secure.port} ssl;"
            )
        if redirect is not None and plain is not None:
            raise self._rewrite(plain.directive, "the other server has the plain port", f"listen {plain.port} ssl;")
        if plain is not None and secure is not None and plain.default is not secure.default:
            odd = secure if plain.default else plain
            ending = " ssl" if odd.tls else ""
            raise self._rewrite(
                odd.directive, "only the other port is `default_server`", f"listen {odd.port}{ending} default_server;"
            )
        if plain is not None:
            self.data["listen"] = plain.port
        if secure is not None:
            tls.update({"port": secure.port} if redirect else {"port": secure.port, "redirect": False})
        if (plain or secure) and all(entry.default for entry in (plain, secure) if entry):
            self.data["default"] = True

    def _listen(self, directive: Directive) -> _Listen:
        address, *options = nginx_tree.listen(list(directive["args"])).split()
        host, _, port = address.rpartition(":")
        six = host == "[::]"
        known = {"default_server", "ssl"}
        unknown = [o for o in options if o not in known and not (six and o.startswith("ipv6only="))]
        kept = "".join(f" {option}" for option in ("ssl", "default_server") if option in options)
        usual = f"listen {port if port.isdigit() else 80}{kept};"
        if not port.isdigit() or (host and not six):
            raise self._rewrite(directive, "it names an address", usual)
        if unknown:
            raise self._rewrite(directive, f"`{unknown[0]}`", usual)
        return _Listen(directive, int(port), six, "ssl" in options, "default_server" in options)

    def _one(self, found: list[_Listen]) -> _Listen | None:
        if len(found) > 1:
            raise refused(
                self.name,
                found[1].directive,
                f"`{_text(found[1].directive)}` is not understood: a second port",
                "a site listens on one port, and on one more with TLS",
                f"take that line out on the server, reload nginx, {AGAIN}; or {LEAVE}",
            )
        return found[0] if found else None

    def _rewrite(self, directive: Directive, what: str, usual: str) -> SiteAdoptionError:
        return refused(
            self.name,
            directive,
            f"`{_text(directive)}` is not understood: {what}",
            "configuration has no field for that",
            f"write `{usual}` on the server, reload nginx, {AGAIN}; or {LEAVE}",
        )

    def _redirect(self, redirect: Directive, tls: Data) -> None:
        block = [d for d in redirect["block"] if d["directive"] != "#"]
        listens = [d for d in block if d["directive"] == "listen"]
        entries = [self._listen(d) for d in listens]
        for odd in (e for e in entries if e.six or e.tls):
            raise self._rewrite(odd.directive, "more than the one plain port of a redirect", "listen 80;")
        entry = self._one(entries)
        if entry is not None and entry.default is not self.data.get("default", False):
            ending = "" if entry.default else " default_server"
            raise self._rewrite(entry.directive, "`default_server` on one port alone", f"listen {entry.port}{ending};")
        self.data["listen"] = entry.port if entry else 80
        names = [word for d in block if d["directive"] == "server_name" for word in d["args"]]
        if sorted(names) != sorted(self.data["serverNames"]):
            usual = f"server_name {' '.join(self.data['serverNames'])};"
            raise self._rewrite(redirect, "it has other names than the server with TLS", usual)
        port = tls.get("port", 443)
        target = f"https://$host{'' if port == 443 else f':{port}'}$request_uri"
        for directive in block:
            if directive["directive"] == "return" and list(directive["args"]) != ["301", target]:
                raise self._rewrite(directive, "another redirect", f"return 301 {target};")

    def _location(self, path: str, location: Directive) -> Data:
        data: Data = {}
        headers: dict[str, str] = {}
        version: str | None = None
        timeouts: dict[str, str] = {}
        extra: list[str] = []
        for directive in location["block"]:
            name, words = directive["directive"], list(directive["args"])
            if name == "proxy_pass":
                self._target(directive, data)
            elif name == "proxy_set_header":
                headers[words[0]] = " ".join(words[1:])
            elif name in ("proxy_send_timeout", "proxy_read_timeout", "proxy_connect_timeout"):
                timeouts[name] = self._seconds(directive)
            elif name == "proxy_http_version":
                version = words[0]
            elif (own := _location_field(name, words)) is not None:
                data.update(own)
            elif name != "#":
                self._carry(directive, f"location {path}: ", extra)
        if "service" not in data and "upstream" not in data:
            raise refused(
                self.name,
                location,
                f"location {path} does not pass requests on with proxy_pass",
                "configuration has no field for that",
                f"put this location into a file under /etc/nginx/snippets, include it, {AGAIN}",
            )
        if version != "1.1":
            data["httpVersion"] = version
        self._timeouts(timeouts, data, extra)
        self._headers(headers, data)
        if extra:
            data["extra"] = extra
        return data

    def _target(self, directive: Directive, data: Data) -> None:
        target = directive["args"][0]
        scheme, _, rest = target.partition("://")
        address, slash, path = rest.partition("/")
        if scheme != "http" or not _ADDRESS.fullmatch(address):
            raise self._rewrite(directive, "no http:// address with its port", "proxy_pass http://ADDRESS:PORT;")
        host, _, port = address.partition(":")
        if service := self.services.get(address):
            data["service"] = service
        elif service := self.owners.get(host):
            data.update(service=service, port=int(port))
        else:
            data["upstream"] = address
        if slash:
            data["path"] = f"/{path}"

    def _headers(self, found: dict[str, str], data: Data) -> None:
        same = {nginx_tree.header(name): value for name, value in found.items()}
        if all(same.get(key) == value for key, value in _UPGRADE.items()):
            data["websocket"] = True
            found = {name: value for name, value in found.items() if nginx_tree.header(name) not in _UPGRADE}
        if {nginx_tree.header(name): value for name, value in found.items()} != FORWARDED:
            data["headers"] = found

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

    def _seconds(self, directive: Directive) -> str:
        number = nginx_tree.seconds(directive["args"][0]).removesuffix("s")
        if not number.isdigit():
            raise self._rewrite(directive, "no whole number of seconds", f"{directive['directive']} 60s;")
        return number

    def _carry(self, directive: Directive, where: str, extra: list[str]) -> None:
        text = nginx_tree.build([directive])
        extra.append(text)
        self.adopted.extras.append(f"{where}{text}")


def _text(directive: Directive) -> str:
    return nginx_tree.joined([directive["directive"], *directive["args"]])


def _location_field(name: str, words: list[str]) -> Data | None:
    """The field for a directive that has one of its own."""
    if (name, words) == ("proxy_buffering", ["off"]):
        return {"streaming": True}
    return {"maxBodySize": words[0]} if name == "client_max_body_size" else None
