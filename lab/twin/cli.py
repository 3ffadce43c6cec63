"""`lab/lab`: the twin of the demo server by hand."""

import argparse
import os
import shlex
import subprocess
import sys
import time

from lab.twin import cgroups, processes, states
from lab.twin.errors import TwinError
from lab.twin.layout import DEFAULT_NAME
from lab.twin.twin import Twin

_EPILOG = """\
examples:
  lab/lab up                          bring the twin up
  eval "$(lab/lab env)"               work with it from this shell: kubectl, pulumi, ssh
  lab/lab hand-made                   the state of the real server
  lab/lab exec -- docker ps           run a command on the server
  lab/lab --name second up            a second twin beside the first
"""


def main(words: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code: 0, 1 for an error that is explained, 2 for a wrong command line.

    `exec` and `shell` return that of the command.
    """
    arguments = _parser().parse_args(words)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {line}", file=sys.stderr, flush=True)

    try:
        return _run(arguments, Twin(arguments.name, arguments.subnet, say))
    except TwinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; lab/lab down removes what is there", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/lab",
        description="The twin of the demo server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_which_twin(os.environ.get("FLOWMASTER_TWIN") or DEFAULT_NAME, None)],
    )
    # Behind the verb they may stand too; there, what is not given must not undo what stands before it.
    common = _which_twin(argparse.SUPPRESS, argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("up", "bring it up: a fresh server with its cluster, its registry and its databases"),
        ("down", "take it away with all that belongs to it"),
        ("status", "what runs, its memory, its addresses"),
        ("shell", "a shell on the server"),
        ("env", "export lines for a shell that works with it"),
        ("hand-made", "put it into the state of the real server, made by hand"),
        ("empty", "put it into the state of a fresh server"),
    ):
        verbs.add_parser(verb, help=text, parents=[common])
    run = verbs.add_parser("exec", help="run a command on the server", parents=[common])
    run.add_argument("--user", default="root", choices=("root", "ben"), help="as whom (default: root)")
    run.add_argument("argv", nargs="+", metavar="-- COMMAND")
    return parser


def _which_twin(name: str, subnet: str | None) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=name, help="which twin (default: FLOWMASTER_TWIN, else demo)")
    common.add_argument("--subnet", default=subnet, help="its network, such as 10.78.0.0/24 (default: a free one)")
    return common


def _run(arguments: argparse.Namespace, twin: Twin) -> int:
    verb: str = arguments.verb
    if verb == "up":
        twin.up()
        twin.say(f'up at {twin.address}; work with it: eval "$(lab/lab{_named(twin)} env)"')
    elif verb == "down":
        twin.say("removed" if twin.down() else f"there is no twin {twin.name}")
    elif verb == "status":
        return _status(twin)
    elif verb == "env":
        for name, value in twin.environment().items():
            print(f"export {name}={shlex.quote(value)}")
    elif verb == "hand-made":
        states.hand_made(twin)
    elif verb == "empty":
        states.empty(twin)
    elif verb == "shell":
        return subprocess.run(twin.command(["bash", "-l"]), check=False).returncode
    else:
        return subprocess.run(twin.command(arguments.argv, arguments.user), check=False).returncode
    return 0


def _named(twin: Twin) -> str:
    return "" if twin.name == DEFAULT_NAME else f" --name {twin.name}"


def _status(twin: Twin) -> int:
    """Prints what there is; returns 1 where the twin is not up, as a script may ask."""
    if processes.first_process(twin.name) is None:
        print(f"the twin {twin.name} is not up")
        return 1
    layout = twin.layout
    print(f"twin {twin.name}: {'up' if twin.is_up() else 'on its way up, or left half-way'}")
    print(f"  server      {layout.server_address} (from {layout.machine_address}, interface {layout.link})")
    print(f"  API         {layout.api_url}, kubeconfig {layout.kubeconfig}")
    print(f"  SSH         {layout.server_address}:22 as root or ben, key {layout.keys / 'ssh-user'}")
    print(f"  memory      {twin.memory_bytes() / 2**20:.0f} MiB in {len(cgroups.members(twin.name))} processes")
    print(f"  logs        {layout.logs}")
    for name, daemon in twin.daemons().items():
        again = f", started again {daemon['restarts']} times, last {daemon['last_exit']}" if daemon["restarts"] else ""
        print(f"  {name:<24} {daemon['state']}{again}")
    return 0
