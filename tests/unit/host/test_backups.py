"""What a site said before: no edit in place and no failed update costs any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmaster.host.remote import backups
from flowmaster.host.remote.backups import BACKUPS, Held


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site that says `first`."""
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr(backups, "KEEP", str(tmp_path / "kept"))
    site = tmp_path / "site"
    site.write_text("first")
    return site


def kept(site: Path) -> list[str]:
    """What the backups say, the oldest first."""
    return [path.read_text() for path in sorted((site.parent / "kept").iterdir())]


def held(site: Path) -> Held:
    """An update has begun."""
    found = Held("site", str(site))
    found.hold()
    return found


def update(site: Path, text: str) -> None:
    """An update that ends well: the new file is moved into its place."""
    old = held(site)
    moved(site, text)
    old.keep()


def moved(site: Path, text: str) -> None:
    candidate = site.parent / "candidate"
    candidate.write_text(text)
    candidate.rename(site)


def test_an_edit_in_place_changes_no_backup(site: Path) -> None:
    for text in ("second", "third"):
        update(site, text)
    failed = held(site)
    moved(site, "fourth")
    failed.put_back()
    site.write_text("")
    assert kept(site) == ["first", "second"]


def test_an_update_that_was_taken_back_costs_no_backup(site: Path) -> None:
    for number in range(BACKUPS + 1):
        update(site, f"update {number}")
    before = kept(site)
    for _ in range(BACKUPS + 1):
        failed = held(site)
        moved(site, "another")
        failed.put_back()
    assert site.read_text() == f"update {BACKUPS}"
    assert site.stat().st_nlink == 1
    assert kept(site) == before == [f"update {number}" for number in range(BACKUPS)]


def test_nothing_is_left_where_nothing_could_be_moved(site: Path) -> None:
    held(site).put_back()
    assert (site.read_text(), site.stat().st_nlink, kept(site)) == ("first", 1, [])


def test_where_nothing_was_there_is_nothing_again(site: Path) -> None:
    site.unlink()
    old = held(site)
    moved(site, "new")
    old.put_back()
    assert not site.exists()
    assert old.keep() is None


def test_of_one_content_the_last_backup_is_kept(site: Path) -> None:
    for text in ("second", "first", "second", "first"):
        update(site, text)
    assert kept(site) == ["first", "second"]


def test_what_an_update_left_that_was_cut_off_becomes_a_backup(site: Path) -> None:
    held(site)
    moved(site, "second")
    update(site, "third")
    assert kept(site) == ["first", "second"]


def test_backups_that_are_the_site_itself_are_no_backups(site: Path) -> None:
    (site.parent / "kept/site.20260101T000000.1").hardlink_to(site)
    update(site, "second")
    assert kept(site) == ["first"]
