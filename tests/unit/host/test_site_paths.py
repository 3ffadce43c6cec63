"""Where a site is written: at its entry, where that leads to, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowmaster.host.remote import effective_config, site_paths
from flowmaster.host.remote.site_paths import Place

NAME = "flowmaster"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nginx without a site."""
    config = tmp_path / "nginx"
    for name in ("sites-enabled", "sites-available", "conf.d"):
        (config / name).mkdir(parents=True)
    (config / "nginx.conf").write_text("http { include conf.d/*.conf; include sites-enabled/*; }")
    for module in (effective_config, site_paths):
        monkeypatch.setattr(module, "CONFIG", str(config))
    monkeypatch.setattr(site_paths, "ENABLED", str(config / "sites-enabled"))
    monkeypatch.setattr(site_paths, "AVAILABLE", str(config / "sites-available"))
    return config


def entry(config: Path) -> Path:
    return config / "sites-enabled" / NAME


def file(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("server { }")
    return path


def test_a_file_is_written_where_it_is(config: Path) -> None:
    for _ in range(2):
        found = Place(NAME)
        assert (found.path, found.link, found.target, found.problem) == (str(entry(config)), None, None, "")
        file(entry(config))


@pytest.mark.parametrize("name", ["sites-available/flowmaster", "sites-available/flowmaster.conf", "ours/fm.conf"])
def test_a_link_below_the_configuration_is_followed(config: Path, name: str) -> None:
    real = file(config / name)
    entry(config).symlink_to(f"../{name}")
    found = Place(NAME)
    assert (found.path, found.target, found.problem) == (str(real), f"../{name}", "")


def test_a_site_that_is_only_kept_is_written_there_and_linked(config: Path) -> None:
    kept = file(config / "sites-available" / NAME)
    found = Place(NAME)
    assert (found.path, found.link, found.problem) == (str(kept), str(kept), "")


def test_a_site_that_is_only_kept_elsewhere_is_left_there(config: Path, tmp_path: Path) -> None:
    (config / "sites-available" / NAME).symlink_to(file(tmp_path / "checkout/fm.conf"))
    found = Place(NAME)
    assert (found.path, found.link, found.problem) == (str(entry(config)), None, "")


@pytest.mark.parametrize("through", [False, True])
def test_a_link_out_of_the_configuration_is_not_written(config: Path, tmp_path: Path, through: bool) -> None:
    real = file(tmp_path / "checkout/fm.conf")
    if through:
        (config / "sites-available" / NAME).symlink_to(real)
        real = config / "sites-available" / NAME
    entry(config).symlink_to(real)
    assert Place(NAME).problem == f"leads to {tmp_path}/checkout/fm.conf, which is not below {config}"


def test_a_link_that_leads_nowhere_is_replaced(config: Path) -> None:
    entry(config).symlink_to("/nowhere/x")
    found = Place(NAME)
    assert (found.path, found.target, found.problem) == (str(entry(config)), "/nowhere/x", "")


def test_a_link_to_a_kept_site_that_is_gone_stays(config: Path) -> None:
    entry(config).symlink_to(config / "sites-available" / NAME)
    assert Place(NAME).path == str(config / "sites-available" / NAME)


def test_a_link_to_a_file_that_nginx_reads_by_itself_is_not_written(config: Path) -> None:
    entry(config).symlink_to(file(config / "conf.d/all.conf"))
    assert Place(NAME).problem.endswith(f"which is read by nginx as {config}/conf.d/all.conf, too")


def test_what_is_planes_is_not_written(config: Path) -> None:
    entry(config).symlink_to(file(config / "sites-available/plane"))
    assert Place(NAME).problem.endswith("which is Plane's")


def test_what_is_no_file_is_not_written(config: Path, tmp_path: Path) -> None:
    entry(config).mkdir()
    assert Place(NAME).problem == "is a directory"
    entry(config).rmdir()
    os.mkfifo(entry(config))
    assert Place(NAME).problem == "is a named pipe"
    entry(config).unlink()
    entry(config).symlink_to(tmp_path)
    assert Place(NAME).problem == f"leads to {tmp_path}, which is a directory"
