"""Where a site is kept on the server, and what is kept of it: links, backups, and what is no file at all."""

from __future__ import annotations

import threading

import pytest

from flowmaster.host import nginx
from flowmaster.host.connection import RefusedError
from lab.twin import Twin
from tests.lab.server import (
    DEAD,
    ENABLED,
    FILL,
    FULL_DISK,
    NEW,
    OLD,
    SITE,
    Server,
    refusal,
    small_site,
    then_finishes,
    unharmed,
    until,
)


@pytest.fixture
def server(empty_twin: Twin) -> Server:
    """A server whose nginx serves the old site."""
    return Server.with_old_site(empty_twin)


def test_a_site_kept_in_sites_available_stays_there(server: Server) -> None:
    available = f"/etc/nginx/sites-available/{SITE}"
    server.sh(f"mv {ENABLED} {available}; ln -s {available} {ENABLED}; systemctl reload nginx")
    assert server.write(NEW).changed
    assert server.sh(f"readlink {ENABLED}").strip() == available
    server.sh(f"rm {ENABLED}")
    assert server.state().disabled(SITE) is not None
    assert server.write(NEW).changed
    assert server.sh(f"readlink {ENABLED}").strip() == available
    with pytest.raises(RefusedError, match="502"):
        server.write(small_site(DEAD), patience=1)
    assert server.answers()
    nginx.remove_site(server.access, SITE)
    assert server.sh(f"ls {available} {ENABLED} 2>/dev/null || true") == ""


def test_failed_updates_and_edits_in_place_cost_no_backup(server: Server) -> None:
    for size in range(2, 8):
        server.write(small_site(max_body_size=f"{size}m"))
    kept = "sha256sum /etc/nginx/.flowmaster/*"
    before = server.sh(kept)
    for _ in range(3):
        with pytest.raises(RefusedError):
            server.write(small_site(DEAD), patience=0.2)
    assert server.sh(kept) == before
    assert len(before.splitlines()) == 5
    server.sh(f": >{ENABLED}")
    assert server.sh(kept) == before
    assert server.write(NEW).changed
    sizes = server.sh("grep -ho 'max_body_size .m' /etc/nginx/.flowmaster/* | sort").split()[1::2]
    assert sizes == ["3m", "4m", "5m", "6m"]


def test_a_full_disk_while_the_new_site_is_asked_lets_the_old_one_back(server: Server) -> None:
    failed: list[RefusedError] = []

    def change() -> None:
        with pytest.raises(RefusedError) as refused:
            server.write(small_site(DEAD), patience=4)
        failed.append(refused.value)

    with server.while_(FULL_DISK, "umount /etc/nginx; rm -rf /run/nginx-copy"):
        server.sh("rm /etc/nginx/filler")
        thread = threading.Thread(target=change)
        thread.start()
        until(lambda: DEAD in server.text())
        server.sh(FILL)
        thread.join()
        assert failed[0].stage == "answer"
        assert "client_max_body_size 1m" in server.text()
        assert server.answers()
    unharmed(server)


@pytest.mark.parametrize("real", ["/etc/nginx/sites-available/flowmaster.conf", "/etc/nginx/ours/fm.conf"])
def test_a_link_below_the_configuration_is_written_through(server: Server, real: str) -> None:
    server.sh(f"mkdir -p $(dirname {real}); mv {ENABLED} {real}; ln -s {real} {ENABLED}; systemctl reload nginx")
    assert server.state().problems == {}
    assert server.write(NEW).changed
    assert server.sh(f"readlink {ENABLED}; grep -c 2m {real}").split() == [real, "1"]
    with pytest.raises(RefusedError, match="502"):
        server.write(small_site(DEAD), patience=0.2)
    assert server.sh(f"readlink {ENABLED}; grep -c 2m {real}").split() == [real, "1"]
    assert server.answers()
    nginx.remove_site(server.access, SITE)
    assert server.sh(f"ls {real} {ENABLED} 2>/dev/null || true") == ""


def test_a_link_out_of_the_configuration_is_told_and_left_alone(server: Server) -> None:
    server.sh(f"mkdir -p /srv/n; mv {ENABLED} /srv/n/fm.conf; ln -s /srv/n/fm.conf {ENABLED}; systemctl reload nginx")
    words = "leads to /srv/n/fm.conf, which is not below /etc/nginx"
    assert server.state().problems == {SITE: words}
    refused = refusal(server)
    assert (refused.stage, refused.words) == ("place", f"{ENABLED} {words}")
    assert not server.write(OLD).changed
    assert server.answers()
    nginx.remove_site(server.access, SITE)
    assert server.sh(f"ls /srv/n/fm.conf {ENABLED} 2>/dev/null || true").split() == ["/srv/n/fm.conf"]
    server.sh("rm -r /srv/n")
    then_finishes(server)


def test_a_link_that_leads_nowhere_is_replaced_and_comes_back_where_that_fails(server: Server) -> None:
    server.sh(f"rm {ENABLED}; ln -s /nowhere/x {ENABLED}")
    with pytest.raises(RefusedError, match="502"):
        server.write(small_site(DEAD), patience=0.2)
    assert server.sh(f"readlink {ENABLED}").strip() == "/nowhere/x"
    then_finishes(server)
    assert server.sh(f"stat -c %F {ENABLED}").strip() == "regular file"


@pytest.mark.parametrize(("make", "kind"), [("mkdir", "a directory"), ("mkfifo", "a named pipe")])
def test_what_is_no_file_is_told_at_once_and_left_alone(server: Server, make: str, kind: str) -> None:
    with server.while_(f"rm {ENABLED}; {make} {ENABLED}", f"rm -d {ENABLED}"):
        assert server.state().problems == {SITE: f"is {kind}"}
        refused = refusal(server)
        assert (refused.stage, refused.words) == ("place", f"{ENABLED} is {kind}")
        assert server.sh(f"ls -d {ENABLED}").strip() == ENABLED
    then_finishes(server)


def test_a_directory_of_somebody_else_is_refused_before_anything_is_written(server: Server) -> None:
    with server.while_("mkdir /etc/nginx/sites-enabled/old", "rmdir /etc/nginx/sites-enabled/old"):
        refused = refusal(server)
        assert refused.stage == "foreign"
        assert '[crit] pread() "/etc/nginx/sites-enabled/old" failed (21: Is a directory)' in refused.words
    unharmed(server)
    then_finishes(server)
