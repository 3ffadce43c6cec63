"""What nginx has read: which files its configuration is, and when what runs is older than they are."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from flowmaster.host.remote import effective_config
from flowmaster.host.remote.common import regular

MASTER, FIRST, SECOND, THIRD = 7, 71, 72, 73


class Nginx:
    """A folder of configuration, and workers as /proc would have them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[int, float] = {}
        for name in ("conf.d", "sites-enabled", "snippets"):
            (folder / name).mkdir(parents=True)
        self.write("nginx.conf", f"http {{ include {folder}/conf.d/*.conf; include sites-enabled/*; }}")

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def reloaded(self, *workers: int) -> None:
        """Somebody has reloaded nginx: these workers take new connections from now on."""
        time.sleep(0.02)
        self.workers = dict.fromkeys(workers, time.time())
        time.sleep(0.06)

    def newer(self) -> list[str]:
        return effective_config.newer(MASTER, effective_config.config_files())


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nginx:
    """An nginx with one site that includes a snippet, just started."""
    nginx = Nginx(tmp_path / "nginx")
    monkeypatch.setattr(effective_config, "CONFIG", str(nginx.folder))
    monkeypatch.setattr(effective_config, "RUN", str(tmp_path))
    monkeypatch.setattr(effective_config, "LOADED", str(tmp_path / "loaded.json"))
    monkeypatch.setattr(effective_config, "serving", lambda _: dict(nginx.workers))
    nginx.write("snippets/s.conf", "deny 192.0.2.1;")
    nginx.write("sites-enabled/ours", "server { include snippets/s.conf; }")
    nginx.reloaded(FIRST, SECOND)
    return nginx


def test_the_files_are_those_that_nginx_includes_in_its_order(nginx: Nginx) -> None:
    nginx.write("conf.d/a.conf", "# include snippets/not.conf;\nadd_header X 'include snippets/not.conf;';")
    nginx.write("conf.d/b.disabled", "")
    nginx.write("snippets/not.conf", "")
    nginx.write("sites-enabled/.hidden", "")
    names = [path.removeprefix(f"{nginx.folder}/") for path in effective_config.config_files()]
    assert names == ["nginx.conf", "conf.d/a.conf", "sites-enabled/ours", "snippets/s.conf"]


def test_files_that_include_one_another_are_read_once(nginx: Nginx) -> None:
    nginx.write("snippets/s.conf", "include sites-enabled/ours;")
    assert len(effective_config.config_files()) == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('include "a b.conf";', ["a b.conf"]),
        ("if ($x) { include a; }include b;", ["a", "b"]),
        ('set $y "${z}include c;"; include d;', ["d"]),
        ("proxy_pass http://${host}/; include e;", ["e"]),
        ("#{\ninclude f;", ["f"]),
        ("fastcgi_param include g;", []),
    ],
)
def test_what_an_include_names(text: str, named: list[str]) -> None:
    assert list(effective_config.includes(text)) == named


def test_a_snippet_that_was_edited_is_newer_until_nginx_reads_it(nginx: Nginx) -> None:
    assert nginx.newer() == []
    path = nginx.write("snippets/s.conf", "deny 192.0.2.2;")
    assert nginx.newer() == [path]
    nginx.reloaded(THIRD)
    assert nginx.newer() == []


def test_a_worker_that_died_does_not_hide_what_nginx_has_not_read(nginx: Nginx) -> None:
    effective_config.remember_loaded(MASTER)
    before = (nginx.folder / "sites-enabled/ours").read_text()
    nginx.write("sites-enabled/ours", "server { }")
    nginx.reloaded(THIRD, FIRST + 100)
    path = nginx.write("sites-enabled/ours", before)
    assert nginx.newer() == [path]
    del nginx.workers[THIRD]
    nginx.workers[THIRD + 1] = time.time()
    assert nginx.newer() == [path]


def test_what_was_remembered_counts_before_any_time(nginx: Nginx) -> None:
    effective_config.remember_loaded(MASTER)
    path = nginx.write("sites-enabled/ours", "server { listen 81; }")
    # a clock that was set back, and a worker that was made again
    nginx.workers = {FIRST: time.time() + 60, THIRD: time.time() + 60}
    assert nginx.newer() == [path]


def test_a_file_that_nginx_has_seen_go_is_not_missed_for_an_old_connection(nginx: Nginx) -> None:
    path = nginx.write("conf.d/x.conf", "server { listen 8081; }")
    nginx.reloaded(FIRST, SECOND)
    effective_config.remember_loaded(MASTER)
    Path(path).unlink()
    assert nginx.newer() == [path]
    # the old worker still runs, and takes nothing new: it is none of those that serve
    nginx.reloaded(THIRD)
    assert nginx.newer() == []


def test_only_workers_that_serve_are_remembered(nginx: Nginx) -> None:
    effective_config.remember_loaded(MASTER)
    assert json.loads(Path(effective_config.LOADED).read_text())["workers"] == [FIRST, SECOND]


def test_a_pipe_is_never_opened(nginx: Nginx) -> None:
    path = str(nginx.folder / "sites-enabled/pipe")
    os.mkfifo(path)
    assert effective_config.hashes(effective_config.config_files())[path] == "unreadable"
    assert effective_config.tested(effective_config.config_files(), "-q") == (
        1,
        f"{path} is no regular file: nginx would wait for somebody to write to it",
    )
    with pytest.raises(OSError, match="no regular file"):
        regular(path)
