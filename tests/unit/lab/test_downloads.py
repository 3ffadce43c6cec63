"""Published programs: taken from a server of files on loopback, with their checksums; built where that does not go."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import tools
from lab.tools import cache, downloads, ensure, manifest
from lab.tools.manifest import PROGRAMS, Program
from lab.tools.progress import Progress
from lab.tools.releases import Release, releases

KUBERNETES, COREDNS, COMPOSE, CLI, PLUGIN, KAPP = (
    manifest.program_of(name)
    for name in ("kubernetes", "coredns", "docker-compose", "pulumi", "pulumi-resource-kubernetes", "kapp")
)
PUBLISHED = [program for program in PROGRAMS if releases(program, "Linux", "x86_64")]
COMPILER = """#!/bin/sh
case "$1" in
    version) echo "go version go1.99.0 linux/amd64" ;;
    env) echo /nowhere ;;
    build)
        while [ "$1" != -o ]; do shift; done
        echo built >"$2" ;;
esac
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is asked for is no output of a test."""


@dataclass
class Server:
    """A server that has what the projects publish, by host and path."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def put(self, url: str, content: bytes) -> None:
        path = self.folder / url.removeprefix("https://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def publish(self, program: Program) -> None:
        """Each file, with its checksum in the way that its project has it."""
        for file in releases(program):
            content = archive(file) if file.members else f"the {file.name} of its project".encode()
            self.put(file.url, content)
            name = file.url.rpartition("/")[2]
            if file.sums.endswith("SHA512SUMS"):
                text = f"{'0' * 128}  another-{name}\n{hashlib.sha512(content).hexdigest()}  ./{name}\n"
            elif file.sums.startswith("https://dl.k8s.io/"):
                text = hashlib.sha256(content).hexdigest()
            else:
                text = f"{'0' * 64}  another-{name}\n{hashlib.sha256(content).hexdigest()} *{name}\n"
            self.put(file.sums, text.encode())

    def remove(self, url: str) -> None:
        (self.folder / url.removeprefix("https://")).unlink()


def archive(file: Release) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        names = [pattern.replace("*", end) for pattern in file.members for end in ("", "-exec")]
        for name in dict.fromkeys([*names, "README.md", "../../escaped"]):
            content = f"{name} of its project".encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of files, and a machine that has nothing but a compiler that does not compile."""
    served = Server(tmp_path / "www")
    served.folder.mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served.folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(COMPILER)
    go.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("FLOWMASTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLOWMASTER_DOWNLOADS", f"http://127.0.0.1:{http.server_address[1]}/")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield served
    http.shutdown()
    http.server_close()


def provide(*programs: Program) -> None:
    with Progress() as progress:
        ensure.provide(programs, progress)


def test_what_the_main_job_needs_is_published_for_both_architectures() -> None:
    assert {program.name for program in PUBLISHED} >= {
        program.name for program in PROGRAMS if program.group in manifest.DEFAULT_GROUPS
    }
    for program in PUBLISHED:
        for machine in ("x86_64", "aarch64"):
            files = releases(program, "Linux", machine)
            assert files
            assert all(file.url.startswith("https://") and program.version in file.url for file in files if file.name)
            assert all(file.url != file.sums and bool(file.name) != bool(file.members) for file in files)


def test_nothing_is_published_for_a_machine_that_nobody_publishes_for() -> None:
    assert not any(releases(program, "Plan9", "x86_64") or releases(program, "Linux", "s390") for program in PROGRAMS)


@pytest.mark.parametrize("program", PUBLISHED, ids=lambda program: program.name)
def test_a_published_program_is_taken_whole_and_nothing_is_built(program: Program, server: Server) -> None:
    server.publish(program)
    provide(program)
    assert cache.is_official(program)
    place = cache.folder(program)
    for name in program.binaries:
        if (place / name).exists() or name != program.builds[0].output:
            assert (place / name).read_text().endswith("of its project"), name
            assert (place / name).stat().st_mode & 0o777 == 0o755
    assert not [path.name for path in place.iterdir() if path.name.startswith(".") or path.name == "README.md"]
    assert not (cache.place(program).parent.parent / "escaped").exists()


def test_a_downloaded_program_is_found_under_each_of_its_names(server: Server) -> None:
    server.publish(KUBERNETES)
    server.publish(COMPOSE)
    provide(KUBERNETES, COMPOSE)
    assert "kubelet" in tools.binary("kubelet").read_text()
    assert "etcd" in tools.binary("etcd").read_text()
    plugin = cache.folder(COMPOSE) / "cli-plugins" / "docker-compose"
    assert plugin.read_text() == "the docker-compose of its project"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("content", "do not have the published checksum"),
        ("gone", "the server answers 404"),
        ("archive", "has no coredns"),
    ],
)
def test_what_is_not_what_was_published_is_said_and_built(
    spoil: str, said: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.publish(COREDNS)
    file = releases(COREDNS)[0]
    if spoil == "content":
        server.put(file.url, b"something else")
    elif spoil == "gone":
        server.remove(file.url)
    else:
        content = archive(Release(url="", sums="", members=("dnsmasq",)))
        server.put(file.url, content)
        server.put(file.sums, hashlib.sha256(content).hexdigest().encode())
    provide(COREDNS)
    assert not cache.is_official(COREDNS)
    assert tools.binary("coredns").read_text() == "built\n"
    err = capsys.readouterr().err
    assert f"coredns {COREDNS.version} is built, for it cannot be downloaded: " in err
    assert said in err


@pytest.mark.parametrize("sums", ["", "d41d8cd98f00b204e9800998ecf8427e", "<html>sign in</html>"])
def test_a_program_without_a_published_checksum_is_built(sums: str, server: Server) -> None:
    server.publish(COREDNS)
    server.put(releases(COREDNS)[0].sums, sums.encode())
    provide(COREDNS)
    assert not cache.is_official(COREDNS)
    assert tools.binary("coredns").read_text() == "built\n"


def test_one_may_be_offered_and_the_other_not(server: Server) -> None:
    server.publish(COMPOSE)
    assert set(downloads.offers((COMPOSE, COREDNS, KAPP))) == {COMPOSE}
    provide(COMPOSE, COREDNS)
    assert cache.is_official(COMPOSE)
    assert not cache.is_official(COREDNS)


def test_downloads_can_be_forbidden(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(COMPOSE)
    monkeypatch.setenv("FLOWMASTER_DOWNLOADS", "off")
    assert downloads.offers((COMPOSE,)) == {}


def test_without_a_mirror_the_projects_own_servers_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWMASTER_DOWNLOADS", raising=False)
    url = releases(CLI)[0].url
    assert downloads.address(url) == url
    monkeypatch.setenv("FLOWMASTER_DOWNLOADS", "https://mirror.example/files/")
    assert downloads.address(url) == f"https://mirror.example/files/{url.removeprefix('https://')}"


def test_a_server_that_never_answers_costs_only_seconds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("FLOWMASTER_DOWNLOADS", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setattr(downloads, "PATIENCE", 0.3)
        begun = time.monotonic()
        assert downloads.offers(PUBLISHED) == {}
        assert time.monotonic() - begun < 2


def test_a_downloaded_plugin_needs_no_compiler(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    server.publish(PLUGIN)
    provide(PLUGIN)
    assert tools.binary(PLUGIN.name).parent == cache.official_folder(PLUGIN)
