"""`python -m lab.tools ensure|list|path|env`: the pinned programs of the project."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

from lab.tools import ToolError, binary, cache, environment
from lab.tools.ensure import ensure
from lab.tools.manifest import DEFAULT_GROUPS, PROGRAMS, Group, Program
from lab.tools.meanwhile import Meanwhile
from lab.tools.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code (1: a tool is missing or wrong, 130: interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "ensure":
            meanwhile = Meanwhile(options.meanwhile) if options.meanwhile else None
            with Progress() as progress:
                ensure(tuple(dict.fromkeys(options.group)) or DEFAULT_GROUPS, progress, meanwhile)
        elif options.command == "path":
            print(binary(options.name))
        elif options.command == "list":
            _list()
        else:
            for name, value in environment().items():
                print(f"export {name}={shlex.quote(value)}")
    except ToolError as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on where this one stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.tools", description="The pinned programs of the project.")
    commands = parser.add_subparsers(dest="command", required=True)
    ensuring = commands.add_parser("ensure", help="make the programs available, building those that are missing")
    ensuring.add_argument(
        "--group",
        action="append",
        default=[],
        type=Group,
        metavar="|".join(Group),
        help=f"only this group (may be repeated; default: {', '.join(DEFAULT_GROUPS)})",
    )
    ensuring.add_argument(
        "--meanwhile", metavar="COMMAND", help="run this too, as soon as what the twin needs is there"
    )
    path = commands.add_parser("path", help="print where a program lies")
    path.add_argument("name")
    commands.add_parser("list", help="print every program, its version and whether it is there")
    commands.add_parser("env", help='print export lines for a shell: eval "$(python -m lab.tools env)"')
    return parser


def _list() -> None:
    for program in PROGRAMS:
        print(f"{program.group:<7} {program.name:<27} {program.version:<8} {_state(program)}")


def _state(program: Program) -> str:
    try:
        path = binary(program.binaries[-1])
    except ToolError:
        return "missing"
    if not path.is_relative_to(cache.cache_root()):
        return f"official  {path}"
    how = "official" if cache.is_official(program) else "built"
    return f"{how} {_megabytes(path.parent):4.0f} MB  {path.parent}"


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file() and not file.is_symlink()) / 1e6


if __name__ == "__main__":
    # Ended from outside is ended like by Ctrl-C: the compilers under way are stopped, nothing half built stays.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A reader that has seen enough (`list | head`) ends the printing without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
