"""The server as the host module sees it: access, a small site, and what it answers from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from config.reverse_proxy import Location, Site
from flowmaster.host import nginx
from flowmaster.host.access import Access
from flowmaster.host.connection import RefusedError
from flowmaster.render.nginx import site_checks, site_text
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.clients import get

SITE = "flowmaster"
REGISTRY = "127.0.0.1:30500"
"""Something on the server that answers, in a state with no services: its image registry."""
DEAD = "127.0.0.1:9"
ENABLED = f"/etc/nginx/sites-enabled/{SITE}"


@dataclass(frozen=True)
class Server:
    """A twin, and the way to it."""

    twin: Twin
    access: Access

    @classmethod
    def of(cls, twin: Twin) -> Server:
        """As root, with the twin's own host key."""
        known = twin.environment()
        return cls(
            twin,
            Access(
                address=known["FLOWMASTER_HOST_ADDRESS"],
                user="root",
                host_key=known["FLOWMASTER_HOST_PUBLIC_KEY"],
                key_file=known["FLOWMASTER_HOST_KEY_FILE"],
                timeout=patience(5.0),
            ),
        )

    @classmethod
    def with_old_site(cls, twin: Twin) -> Server:
        """One whose nginx serves the old site."""
        server = cls.of(twin)
        server.sh("systemctl start nginx")
        server.write(OLD)
        assert server.answers()
        return server

    def reached(self, **how: Any) -> Server:
        """The same server, reached in another way."""
        return Server(self.twin, replace(self.access, **how))

    def sh(self, script: str) -> str:
        """Run a script on the server, as somebody at its console."""
        return self.twin.exec(["sh", "-ec", script]).stdout

    def write(self, site: Site, name: str = SITE, **how: Any) -> nginx.Outcome:
        """Make a site be so."""
        return nginx.write_site(self.access, name, site_text(site, {}), site_checks(site), **how)

    def text(self, name: str = SITE) -> str:
        """The site's file, or nothing."""
        return self.sh(f"cat /etc/nginx/sites-enabled/{name} 2>/dev/null || true")

    def state(self) -> nginx.HostState:
        """Everything that the host module reads."""
        return nginx.read(self.access, [SITE])

    def answers(self, path: str = "/v2/", port: int = 80) -> bool:
        """Whether the old site still answers, asked from outside."""
        try:
            return get(self.access.address, port, path)[0] == 200
        except OSError:
            return False

    def left_over(self) -> list[str]:
        """What an update leaves besides backups; nothing, if all is well."""
        found = self.sh("ls -A /etc/nginx/.flowmaster /run/flowmaster 2>/dev/null || true").split()
        return [name for name in found if ".new" in name or ".old" in name or name.startswith("sites-")]

    @contextmanager
    def while_(self, begin: str, end: str) -> Iterator[None]:
        """Spoil something on the server for a while."""
        self.sh(begin)
        try:
            yield
        finally:
            self.sh(end)


def small_site(upstream: str = REGISTRY, **how: Any) -> Site:
    """A site with one location."""
    return Site(locations={"/": Location(upstream=upstream)}, default=True, **how)


def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true, for at most so many seconds of a machine with two idle cores."""
    deadline = time.monotonic() + patience(seconds)
    while not what():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


OLD = small_site(max_body_size="1m")
NEW = small_site(max_body_size="2m")
FILL = "dd if=/dev/zero of=/etc/nginx/filler bs=4k 2>/dev/null || true"
FULL_DISK = (
    "cp -a /etc/nginx /run/nginx-copy; mount -t tmpfs -o size=1m tmpfs /etc/nginx; cp -a /run/nginx-copy/. /etc/nginx;"
    f" mkdir -p /etc/nginx/.flowmaster; {FILL}"
)


def unharmed(server: Server) -> None:
    """The old site is there, served, and nothing else was left behind."""
    assert "client_max_body_size 1m" in server.text()
    assert server.answers()
    assert server.left_over() == []
    assert server.state().nginx.newer == ()


def then_finishes(server: Server) -> None:
    """The next run does what this one could not."""
    assert server.write(NEW).changed
    assert "client_max_body_size 2m" in server.text()
    assert server.answers()


def refusal(server: Server, **how: Any) -> RefusedError:
    """What the server says to an update of the site that it refuses."""
    with pytest.raises(RefusedError) as refused:
        server.write(NEW, **how)
    assert len(str(refused.value).splitlines()) <= 3
    return refused.value
