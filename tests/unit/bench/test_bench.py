"""What the benchmarks run, how they measure it, and how they print it."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import yaml

from bench import cli, fleet, report
from bench.context import Comparison
from bench.errors import BenchError
from bench.measure import Command, Run, Sample, Side, alternate, run
from bench.rows import ROWS
from bench.stack import Stack
from config.settings import secret_variable
from tests.conftest import ROOT

MACHINE = report.Machine(
    taken=datetime(2026, 2, 8, tzinfo=UTC), cores=2, gibibytes=24.0, python="3.11", load=0.4, runs=3
)


def python(code: str, folder: Path, **options: frozenset[int]) -> Command:
    return Command(argv=[sys.executable, "-I", "-S", "-c", code], env=dict(os.environ), cwd=folder, **options)


def sample(*seconds: float, mebibytes: float = 50.0) -> Sample:
    return Sample(runs=[Run(seconds=s, cpu_seconds=s / 2, mebibytes=mebibytes, output="") for s in seconds])


def comparison(ratio: float, target: float | None = None, size: int = 30, notes: tuple[str, ...] = ()) -> Comparison:
    return Comparison(
        what="a thing",
        size=size,
        ours="us",
        our_sample=sample(ratio),
        other="theirs | old",
        other_sample=sample(0.9, 1.0, 1.1),
        target=target,
        notes=notes,
    )


def outcome(*comparisons: Comparison, failures: tuple[str, ...] = ()) -> report.Outcome:
    return report.Outcome(machine=MACHINE, comparisons=list(comparisons), failures=list(failures))


@pytest.fixture
def values(secrets: dict[str, str]) -> dict[str, str]:
    """The secrets as the environment has them."""
    return {secret_variable(key): value for key, value in secrets.items()}


@pytest.mark.parametrize(("size", "last", "origin"), [(1, "a", "a"), (3, "c", "c"), (4, "s1-0", "a"), (8, "s2-1", "b")])
def test_services_are_copies_of_others_in_turn(size: int, last: str, origin: str) -> None:
    names = fleet.service_names(["a", "b", "c"], size)
    assert len(names) == size
    assert list(names)[-1] == last
    assert names[last] == origin


@pytest.mark.parametrize("size", [3, 30, 65])
def test_a_fleet_has_so_many_services_in_a_namespace_of_its_own(
    size: int, tmp_path: Path, values: dict[str, str]
) -> None:
    made = fleet.write(size, tmp_path / "fleet", values)
    bodies = list(yaml.safe_load_all(made.manifests.read_text()))
    assert len(bodies) == made.objects
    deployments = [body for body in bodies if body["kind"] == "Deployment"]
    assert len({body["metadata"]["name"] for body in deployments}) == size
    assert {body["metadata"]["namespace"] for body in deployments} == {made.namespace} == {f"bench-{size}"}
    stack = yaml.safe_load(made.stack.configuration.read_text())["config"]
    assert set(stack["flowmaster:services"]) == set(yaml.safe_load(made.catalogue.read_text())["services"])
    addresses = [
        body["spec"]["clusterIP"] for body in bodies if "clusterIP" in body["spec" if "spec" in body else "metadata"]
    ]
    assert len(addresses) == len(set(addresses))


def test_a_fleet_beyond_the_demo_runs_on_a_node_that_is_none(tmp_path: Path, values: dict[str, str]) -> None:
    made = fleet.write(31, tmp_path / "fleet", values)
    assert not made.real
    pods = [
        body["spec"]["template"]["spec"]
        for body in yaml.safe_load_all(made.manifests.read_text())
        if body["kind"] == "Deployment"
    ]
    assert all(pod["nodeSelector"] == fleet.FAKE_NODE_LABEL for pod in pods)
    assert all(pod["containers"][0]["image"].startswith(fleet.FAKE_REGISTRY) for pod in pods)


def test_nobody_else_reads_the_secrets_of_a_fleet(tmp_path: Path, values: dict[str, str]) -> None:
    made = fleet.write(1, tmp_path / "fleet", values)
    assert made.folder.stat().st_mode & 0o077 == 0


def test_nothing_of_a_stack_is_in_the_project(tmp_path: Path) -> None:
    stack = Stack(folder=tmp_path)
    assert all(str(tmp_path) in value for name, value in stack.variables.items() if name != "PULUMI_STACK")


def test_a_run_is_measured(tmp_path: Path) -> None:
    done = run(python("import time; b = bytearray(80 << 20); time.sleep(0.2); print('hello')", tmp_path))
    assert done.output == "hello\n"
    assert done.seconds >= 0.2
    assert 80 <= done.mebibytes < 120
    assert done.cpu_seconds > 0


def test_what_this_process_uses_is_not_counted(tmp_path: Path) -> None:
    here = bytearray(100 << 20)
    assert run(python("pass", tmp_path)).mebibytes < 50
    del here


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"ended with 3:\nwhat is wrong"):
        run(python("import sys; print('what is wrong'); sys.exit(3)", tmp_path))
    run(python("import sys; sys.exit(3)", tmp_path, accepted=frozenset({3})))


def test_a_command_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(BenchError, match="has not ended within 1 s"):
        run(python(code, tmp_path), patience=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_sides_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    sides = [
        Side(name=name, command=python(f"print({name!r})", tmp_path), prepare=partial(order.append, name))
        for name in "AB"
    ]
    samples = alternate(sides, 2, lambda _: None, warm_up=True)
    assert "".join(order) == "ABABAB"
    assert [[done.output for done in found.runs] for found in samples] == [["A\n"] * 2, ["B\n"] * 2]


def test_a_sample_is_summed_up() -> None:
    found = sample(3.0, 1.0, 9.0, mebibytes=7.0)
    assert (found.seconds, found.fastest, found.slowest, found.cpu_seconds, found.mebibytes) == (
        3.0,
        1.0,
        9.0,
        1.5,
        7.0,
    )


@pytest.mark.parametrize(("ratio", "target", "met"), [(1.3, 1.3, True), (1.31, 1.3, False), (9.0, None, None)])
def test_a_target_is_a_ratio(ratio: float, target: float | None, met: bool | None) -> None:
    assert comparison(ratio, target).ratio == pytest.approx(ratio)
    assert comparison(ratio, target).met is met


def test_the_table_as_markdown() -> None:
    found = outcome(
        comparison(2.0, 1.3, notes=("pods are pretended",)),
        comparison(0.5, size=3000, notes=("pods are pretended",)),
        failures=("drift, 30 services: nobody\nanswers",),
    )
    assert report.markdown(found) == (
        "| what | services | ours | time | memory | instead of | time | memory | ratio | target |\n"
        "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |\n"
        "| a thing | 30 | us | 2.00 s | 50 MiB | theirs \\| old | 1.00 s (0.90-1.10) | 50 MiB | 2.00 | ≤ 1.3 missed |\n"
        "| a thing | 3,000 | us | 0.50 s | 50 MiB | theirs \\| old | 1.00 s (0.90-1.10) | 50 MiB | 0.50 |  |\n"
        "\n"
        "Taken 2026-02-08, 2 cores, 24 GiB, Python 3.11; load before the first run 0.4; medians of 3 alternate runs.\n"
        "Note: at 30, 3,000 services pods are pretended.\n"
        "Failed: drift, 30 services: nobody answers.\n"
    )


def test_the_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(page, "new\n")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_a_file_that_has_no_place_for_a_table_is_the_table(tmp_path: Path) -> None:
    report.write(tmp_path / "new.md", "table\n")
    assert (tmp_path / "new.md").read_text() == "table\n"


def test_the_page_on_speed_has_a_place_for_the_table_and_tells_every_option() -> None:
    page = (ROOT / "docs/speed.md").read_text()
    assert page.index(report.BEGIN) < page.index(report.END)
    options = [o for action in cli.parser()._actions for o in action.option_strings if o.startswith("--")]
    assert [option for option in options if option != "--help" and f"`{option}" not in page] == []
    assert [row.name for row in ROWS if f"`{row.name}`" not in page] == []


@pytest.mark.parametrize("text", ["0", "-1", "30,0", "x"])
def test_sizes_are_numbers_of_services(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["--sizes", text])
    assert "--sizes" in capsys.readouterr().err


def test_sizes_are_taken_from_the_smallest_on() -> None:
    options: argparse.Namespace = cli.parser().parse_args(["--sizes", "300,30,30"])
    assert options.sizes == (30, 300)
