"""Copying volumes: everything is carried over, nothing of the source is changed, and what differs is seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flowmaster.host.remote import docker_volumes as volumes
from flowmaster.host.remote.common import Refused


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one of everything that a volume may hold."""
    root = tmp_path / "source"
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/text").write_text("some text")
    (root / "empty").mkdir(mode=0o700)
    (root / "binary").write_bytes(bytes(range(256)) * 9)
    with (root / "sparse").open("wb") as stream:
        stream.truncate(5 << 20)
        stream.seek(3 << 20)
        stream.write(b"x")
    (root / "link").symlink_to("deep/er/text")
    (root / "broken").symlink_to("/nowhere")
    os.link(root / "binary", root / "same")
    os.mkfifo(root / "fifo")
    (root / "binary").chmod(0o4750)
    os.utime(root / "deep/er/text", ns=(1, 1_000_000_007))
    os.utime(root / "deep", ns=(1, 2_000_000_009))
    if os.geteuid() == 0:
        os.chown(root / "deep/er/text", 10001, 10002)
        os.chown(root / "link", 10003, 10003, follow_symlinks=False)
    return root


def volume(source: Path, target: Path, **more: Any) -> dict[str, Any]:
    return {"name": "data", "source": str(source), "target": str(target), **more}


def test_a_copy_is_the_same_and_its_source_is_as_it_was(source: Path, tmp_path: Path) -> None:
    before = volumes.entries(str(source))
    target = tmp_path / "target"
    answer = volumes.copy({"volumes": [volume(source, target)], "prove": True})
    assert volumes.entries(f"{target}.incoming") == before == volumes.entries(str(source))
    assert answer["volumes"]["data"]["files"] == 4
    assert (tmp_path / "target.incoming/same").stat().st_nlink == 2
    assert (tmp_path / "target.incoming/sparse").stat().st_blocks < (5 << 20) / 512
    assert not target.exists()


def test_only_what_differs_is_copied_again(source: Path, tmp_path: Path) -> None:
    request = {"volumes": [volume(source, tmp_path / "target")], "prove": True}
    volumes.copy(request)
    (source / "new").write_text("new")
    (source / "deep/er/text").unlink()
    (source / "empty").rmdir()
    (source / "empty").write_text("now a file")
    (source / "link").unlink()
    (source / "link").mkdir()
    assert volumes.copy(request)["volumes"]["data"]["copied"] == 2
    assert volumes.entries(str(tmp_path / "target.incoming")) == volumes.entries(str(source))


def test_what_only_looks_the_same_is_found_by_its_checksum(source: Path, tmp_path: Path) -> None:
    request = {"volumes": [volume(source, tmp_path / "target")], "prove": True}
    volumes.copy(request)
    copied = tmp_path / "target.incoming/deep/er/text"
    info = copied.stat()
    copied.write_text("SOME TEXT")
    os.utime(copied, ns=(info.st_atime_ns, info.st_mtime_ns))
    volumes.copy(request)
    assert copied.read_text() == "some text"


def test_a_source_that_goes_on_changing_is_refused(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    honest, count = volumes.grow, iter(range(100))

    def written_to(one: str, other: str) -> Any:
        done = honest(one, other)
        (source / "log").write_text("line\n" * next(count))
        return done

    monkeypatch.setattr(volumes, "grow", written_to)
    with pytest.raises(Refused, match=r"data: the copy is not the same as .*: .*log"):
        volumes.copy({"volumes": [volume(source, tmp_path / "target")], "prove": True})


def test_a_source_that_was_changed_since_is_named(source: Path, tmp_path: Path) -> None:
    done = volumes.copy({"volumes": [volume(source, tmp_path / "t")], "prove": True})["volumes"]["data"]
    request = {"volumes": [volume(source, tmp_path / "t", sha256=done["sha256"])]}
    assert volumes.compare(request) == {"changed": []}
    (source / "binary").chmod(0o640)
    assert volumes.compare(request) == {"changed": ["data"]}


def test_a_swap_keeps_what_was_there_and_may_be_asked_for_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    for number in range(4):
        (source / "number").write_text(str(number))
        request = {"volumes": [volume(source, target)], "keep": 2}
        volumes.copy({**request, "prove": True})
        assert volumes.swap(request) == {"swapped": ["data"]}
        assert volumes.swap(request) == {"swapped": []}
        assert (target / "number").read_text() == str(number)
    kept = sorted(tmp_path.glob("target.before-*"))
    assert [(each / "number").read_text() for each in kept] == ["1", "2"]


def test_a_swap_that_was_cut_off_between_its_two_renames_is_finished(source: Path, tmp_path: Path) -> None:
    request = {"volumes": [volume(source, tmp_path / "target")]}
    with pytest.raises(Refused, match=r"neither .* nor a copy"):
        volumes.swap(request)
    volumes.copy(request)
    volumes.swap(request)
    assert (tmp_path / "target/deep/er/text").read_text() == "some text"


def test_what_is_there_is_not_prepared_again(source: Path, tmp_path: Path) -> None:
    request = {"volumes": [volume(source, tmp_path / "deeper/target")]}
    assert volumes.prepare(request) == {"made": ["data"]}
    (tmp_path / "deeper/target/own").write_text("of the cluster's copy")
    assert volumes.prepare(request) == {"made": []}
    assert (tmp_path / "deeper/target/own").exists()


def test_too_little_room_is_refused_before_anything_is_copied(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    real = os.statvfs(tmp_path)
    small = os.statvfs_result((real.f_bsize, real.f_frsize, 9, 9, 2, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    with pytest.raises(Refused, match="free disk"):
        volumes.room({"volumes": [volume(source, tmp_path / "target")]})
    with pytest.raises(Refused, match="there is no "):
        volumes.room({"volumes": [volume(tmp_path / "gone", tmp_path / "target")]})


def test_a_single_file_is_copied_too(source: Path, tmp_path: Path) -> None:
    request = {"volumes": [volume(source / "binary", tmp_path / "file")], "prove": True}
    volumes.copy(request)
    volumes.swap(request)
    assert (tmp_path / "file").read_bytes() == (source / "binary").read_bytes()
