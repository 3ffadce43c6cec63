"""The tools: cache keys, official builds first, and what is said when something is missing; no real build."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab import tools
from lab.tools import cache, ensure, golang, manifest, official, places, plugins
from lab.tools.__main__ import main
from lab.tools.manifest import PROGRAMS, Group, Program
from lab.tools.progress import Progress

PULUMI, PLUGIN, COMMAND, KAPP, COREDNS = (
    manifest.program_of(name)
    for name in ("pulumi", "pulumi-resource-kubernetes", "pulumi-resource-command", "kapp", "coredns")
)
COMPILER = r"""#!/bin/sh
# Stands for go: counts its builds, fails where FAKE_GO_FAILS is set.
case "$1" in
    version) echo "go version go${FAKE_GO:-1.99.0} linux/amd64" ;;
    env) echo "${FAKE_GOENV:-/nowhere}" ;;
    build)
        while [ "$1" != -o ]; do shift; done
        echo "go: downloading example.com/x v1.0.0" >&2
        [ -z "${FAKE_GO_FAILS:-}" ] || { echo "boom: $FAKE_GO_FAILS" >&2; exit 1; }
        echo built >>"$FAKE_GO_LOG"
        echo program >"$2" ;;
esac
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty home and cache, and nothing on PATH but the system."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FLOWMASTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_GO_LOG", str(tmp_path / "go.log"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.delenv("GOTOOLCHAIN", raising=False)
    monkeypatch.setenv("FLOWMASTER_DOWNLOADS", "off")
    # A developer's machine may have these in /usr/bin.
    monkeypatch.setattr(official, "_foreign_path", lambda: str(tmp_path / "bin"))
    monkeypatch.setattr(official, "COMPOSE_PLACES", (tmp_path / "lib" / "docker-compose",))
    official.compose.cache_clear()
    return tmp_path


def install_pulumi(machine: Path, version: str, *, language: bool = True) -> Path:
    if language:
        script(machine / "bin" / "pulumi-language-python", "#!/bin/sh\n")
    official._judge.cache_clear()
    return script(machine / "bin" / "pulumi", f"#!/bin/sh\necho v{version}\n")


def install_plugin(home: Path, version: str, name: str = "kubernetes") -> Path:
    return script(home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}", "#!/bin/sh\n")


def pretend_built(program: Program) -> Path:
    place = cache.folder(program)
    for name in program.binaries:
        script(place / name, "#!/bin/sh\n")
    return place


# The manifest and the cache


def test_every_program_has_its_pinned_modules() -> None:
    for program in PROGRAMS:
        for build in program.builds:
            folder = cache.SOURCES / build.folder
            assert (folder / "go.mod").is_file()
            assert all((folder / name).is_file() for name in build.sources), build
            assert bool(build.sources) == bool(list(folder.rglob("main.go"))), build
            sums = (folder / "go.sum").read_text()
            modules = [file.module for file in (*build.embed, *build.beside)]
            assert all(f"{module} v" in sums for module in modules), "a file would come out of an unverified module"
            for line in (folder / "go.mod").read_text().splitlines():
                assert "=> ." not in line, "a module of a folder that only one machine has"


def test_the_key_follows_every_input(tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / "coredns").mkdir(exist_ok=True)
        (tmp_path / "coredns" / name).write_text("one\n")
    keys = [cache.key(COREDNS, tmp_path), cache.key(COREDNS, tmp_path)]
    assert keys[0] == keys[1]
    for name in ("go.mod", "go.sum", "main.go"):
        (tmp_path / "coredns" / name).write_text("two\n")
        keys.append(cache.key(COREDNS, tmp_path))
    keys.append(cache.key(replace(COREDNS, builds=(replace(COREDNS.builds[0], stamps=(("x.y", "z"),)),)), tmp_path))
    assert len(set(keys)) == 5
    assert all(key.startswith(f"{COREDNS.version}-") for key in keys)


def test_a_clone_without_go_sum_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kapp").mkdir()
    (tmp_path / "kapp" / "go.mod").write_text("module x\n")
    with pytest.raises(tools.ToolError, match=r"kapp/go\.sum is missing: this clone is not complete"):
        cache.key(KAPP, tmp_path)


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWMASTER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.cache_root() == Path("/somewhere/flowmaster")


def test_a_name_that_no_tool_has_lists_the_tools() -> None:
    with pytest.raises(tools.ToolError, match=r"no tool is called 'kubectll'; the tools are .*kubectl, kubelet"):
        tools.binary("kubectll")


def test_a_tool_that_is_not_built_names_the_command() -> None:
    with pytest.raises(tools.ToolError, match=r"kubelet 1.34.2 is not built yet: run `lab/bootstrap`"):
        tools.binary("kubelet")
    with pytest.raises(tools.ToolError, match=r"run `uv run python -m lab.tools ensure --group bench`"):
        tools.binary("kapp")


# Official builds first


def test_a_suitable_pulumi_on_path_is_used(machine: Path) -> None:
    cli = install_pulumi(machine, "3.227.0")
    assert tools.binary("pulumi") == cli
    assert tools.binary("pulumi-language-python") == machine / "bin" / "pulumi-language-python"
    assert PULUMI not in places.wanted((Group.PULUMI,))


@pytest.mark.parametrize(
    ("version", "language", "reason"),
    [
        ("3.226.9", True, "3.226.9, older than 3.227.0; install Pulumi 3.274.1"),
        ("4.0.0", True, "4.0.0, but the project needs 3.x; install Pulumi 3.274.1"),
        ("3.274.1", False, "no pulumi-language-python beside it; install Pulumi 3.274.1"),
    ],
)
def test_an_unsuitable_pulumi_is_passed_over_and_the_remedy_named(
    machine: Path, version: str, language: bool, reason: str
) -> None:
    install_pulumi(machine, version, language=language)
    found = official.pulumi()
    assert found.path is None
    assert reason in found.refusal
    assert PULUMI in places.wanted((Group.PULUMI,))


def test_a_pulumi_that_does_not_run_is_passed_over(machine: Path) -> None:
    install_pulumi(machine, "3.274.1")
    script(machine / "bin" / "pulumi", "#!/bin/sh\nexit 1\n")
    assert "does not answer" in official.pulumi().refusal


def test_the_newest_suitable_plugin_is_found_and_a_partial_one_is_not(machine: Path) -> None:
    home = machine / "home" / ".pulumi"
    for version in ("4.24.1", "4.25.0", "4.26.0", "4.34.2", "5.0.0"):
        install_plugin(home, version)
    (home / "plugins" / "resource-kubernetes-v4.34.2.partial").touch()
    found = official.plugin(PLUGIN)
    assert found is not None
    assert found.parent.name == "resource-kubernetes-v4.26.0"


@pytest.mark.parametrize(
    ("answer", "serves"), [("echo 2.26.1-4", True), ("echo v2.24.0", True), ("echo 2.23.3", False), ("exit 1", False)]
)
def test_the_machines_own_compose_is_used_where_it_is_new_enough(machine: Path, answer: str, serves: bool) -> None:
    path = script(machine / "lib" / "docker-compose", f"#!/bin/sh\n{answer}\n")
    assert (tools.binary("docker-compose") == path) if serves else (official.compose() is None)
    assert (manifest.program_of("docker-compose") in places.wanted((Group.TWIN,))) is not serves


def test_all_official_means_the_users_own_home(machine: Path) -> None:
    install_pulumi(machine, "3.274.1")
    install_plugin(machine / "home" / ".pulumi", "4.25.0")
    install_plugin(machine / "home" / ".pulumi", "1.2.1", "command")
    assert plugins.missing() == ()
    assert "PULUMI_HOME" not in tools.environment()


def test_a_built_plugin_never_goes_to_the_users_home(machine: Path) -> None:
    install_pulumi(machine, "3.274.1")
    assert plugins.missing() == (PLUGIN, COMMAND)
    assert tools.environment()["PULUMI_HOME"] == str(plugins.project_home())
    assert plugins.project_home().parent == machine / "cache" / "pulumi-home"


def test_clones_that_build_other_plugins_have_other_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    home = plugins.project_home()
    assert plugins.project_home() == home
    other = replace(PLUGIN, version="4.25.1")
    monkeypatch.setattr(plugins, "_plugin_programs", lambda: (other, COMMAND))
    assert plugins.project_home() != home


def test_a_plugin_built_from_other_sources_is_put_in_place_again(machine: Path) -> None:
    binary = install_plugin(plugins.project_home(), "4.25.0")
    origin = binary.parent / "flowmaster-origin"
    missing = []
    for text in ("4.25.0-0123456789", cache.key(PLUGIN), "official"):
        origin.write_text(text + "\n")
        missing.append(plugins.missing())
    assert missing == [(PLUGIN, COMMAND), (COMMAND,), (COMMAND,)]


def test_the_projects_own_home_keeps_no_logs_and_the_users_is_left_alone(machine: Path) -> None:
    (plugins.project_home() / "logs").mkdir(parents=True)
    (plugins.project_home() / "logs" / "pulumi-20261124T183309-1-preview.log").write_text("of before")
    for program in (PLUGIN, COMMAND):
        assert program.plugin
        binary = install_plugin(plugins.project_home(), program.version, program.plugin)
        (binary.parent / "flowmaster-origin").write_text(cache.key(program) + "\n")
    for _ in range(2):
        plugins.install(Path("pulumi"), Progress())
        assert (plugins.project_home() / "logs").is_file()
    assert not (machine / "home" / ".pulumi" / "logs").exists()


# Go


@pytest.mark.parametrize(
    ("found", "environment", "settings", "passes"),
    [
        ("1.26.6", "local", "", True),
        ("1.24.0", "", "", True),
        ("1.24.0", "auto", "GOTOOLCHAIN=local\n", True),
        ("1.24.0", "local", "", False),
        ("1.24.0", "", "GOFLAGS=-p=1\nGOTOOLCHAIN=local\n", False),
        ("1.19.8", "auto", "", False),
    ],
)
def test_go_must_be_new_enough_or_free_to_fetch_a_newer_one(
    machine: Path, monkeypatch: pytest.MonkeyPatch, found: str, environment: str, settings: str, passes: bool
) -> None:
    go = script(machine / "bin" / "go", COMPILER)
    (machine / "go.env").write_text(settings)
    monkeypatch.setenv("FAKE_GO", found)
    monkeypatch.setenv("FAKE_GOENV", str(machine / "go.env"))
    if environment:
        monkeypatch.setenv("GOTOOLCHAIN", environment)
    if passes:
        golang.check_go((PULUMI,))
        return
    with pytest.raises(tools.ToolError) as caught:
        golang.check_go((PULUMI,))
    assert f"go is {found} ({go}), but pulumi need" in str(caught.value)
    assert "install Go 1.26.6 or newer (https://go.dev/doc/install)" in str(caught.value)


def test_a_missing_go_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        Progress() as progress,
        pytest.raises(tools.ToolError, match="go is not on PATH, and kapp must be built with it"),
    ):
        ensure.provide((KAPP,), progress)


def test_a_build_happens_once_and_leaves_only_the_result(machine: Path) -> None:
    script(machine / "bin" / "go", COMPILER)
    leftover = cache.place(KAPP) / f".making-{cache.key(KAPP)}-of-a-killed-run"
    leftover.mkdir(parents=True)
    for _ in range(2):
        with Progress() as progress:
            ensure.provide((KAPP,), progress)
    assert (machine / "go.log").read_text() == "built\n"
    assert tools.binary("kapp").read_text() == "program\n"
    assert sorted(path.name for path in cache.place(KAPP).iterdir()) == [f".lock-{cache.key(KAPP)}", cache.key(KAPP)]


def test_a_failed_build_says_why_and_leaves_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(machine / "bin" / "go", COMPILER)
    monkeypatch.setenv("FAKE_GO_FAILS", "checksum mismatch")
    with Progress() as progress, pytest.raises(tools.ToolError) as caught:
        ensure.provide((KAPP,), progress)
    assert str(caught.value) == "kapp 0.64.2: `go build` failed:\nboom: checksum mismatch"
    assert [path.name for path in cache.place(KAPP).iterdir()] == [f".lock-{cache.key(KAPP)}"]


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.at("kapp", "12 packages compiled")
        progress.say("kapp built")
    assert capsys.readouterr().err == "[   0 s] kapp built\n"


# The command line


def test_env_prints_export_lines_with_the_tools_before_the_venv_before_the_rest(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [pretend_built(PULUMI), pretend_built(manifest.program_of("kubernetes"))]
    assert main(["env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert all(line.startswith("export ") for line in lines)
    assert set(variables) == {"PATH", "PULUMI_HOME", "PULUMI_SKIP_CHECKPOINTS", "PULUMI_SKIP_UPDATE_CHECK"}
    expected = [str(folder) for folder in folders] + [str(places.PROJECT / ".venv" / "bin")]
    assert variables["PATH"].split(":")[:3] == expected
    assert variables["PATH"].endswith("/usr/bin:/bin")
    assert variables["PULUMI_SKIP_CHECKPOINTS"] == "true"
    assert variables["PULUMI_SKIP_UPDATE_CHECK"] == "1"


def test_the_environment_is_the_same_inside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_built(PULUMI)
    first = tools.environment()
    for name, value in first.items():
        monkeypatch.setenv(name, value)
    assert tools.environment() == first


def test_path_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    kubernetes = pretend_built(manifest.program_of("kubernetes"))
    assert main(["path", "kubectl"]) == 0
    assert capsys.readouterr().out == f"{kubernetes / 'kubectl'}\n"
    assert main(["list"]) == 0
    listed = {line.split()[1]: line.split()[3] for line in capsys.readouterr().out.splitlines()}
    assert listed["kubernetes"] == "built"
    assert listed["kapp"] == "missing"


def test_a_missing_tool_is_one_line_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", "kubelet"]) == 1
    assert capsys.readouterr().err == "error: kubelet 1.34.2 is not built yet: run `lab/bootstrap`\n"


def test_the_tools_need_nothing_but_the_standard_library() -> None:
    code = "import sys; import lab.tools.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-S", "-c", code]
    run = subprocess.run(command, cwd=places.PROJECT, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) - set(sys.stdlib_module_names) <= {"lab", "__main__"}


def test_the_bootstrap_refuses_what_it_does_not_know() -> None:
    run = subprocess.run(
        [places.PROJECT / "lab" / "bootstrap", "--bogus"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: usage: lab/bootstrap ")
