"""What the project's screens look like, kept in the README: `python -m lab.screens`, after `make demo`.

Somebody changes a few things on the twin by hand; the report, the status and the picture are taken of that, written
into the README's blocks and beside them, and `up` undoes the changes. A test holds what is kept against what the
commands say.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.twin import Twin, TwinError
from lab.twin.api import wait_until

ROOT = Path(__file__).resolve().parent.parent
README, PICTURE = ROOT / "README.md", ROOT / "docs" / "topology.svg"
BY_HAND = (
    "set image deployment/frontend frontend=localhost:30500/flowmaster/frontend:c41d09f",
    "label service api-gateway tier=gold",
)
"""Arguments of kubectl: what the README's tour changes, too."""
SCREENS: Mapping[str, str] = {"drift": "flowmaster drift", "status": "flowmaster status"}
"""Commands by the name of the block that shows what they say."""
_DRIFT, _ATTENTION = 2, 4
_PATIENCE = 900.0
_MARK = "<!-- screen: {} -->\n```\n"
_END = "```\n<!-- end -->"


def block(page: str, name: str) -> str:
    """What a page shows under that name.

    :raises ValueError: where it has no such block.
    """
    before, mark, rest = page.partition(_MARK.format(name))
    text, end, _ = rest.partition(_END)
    if not mark or not end:
        raise ValueError(f"no block {name} after {before[-40:]!r}")
    return text


def with_block(page: str, name: str, text: str) -> str:
    """The page showing something else there."""
    return page.replace(f"{_MARK.format(name)}{block(page, name)}", f"{_MARK.format(name)}{text}")


def timeless(text: str) -> str:
    """Without what is another at each look: times, ages, memory, addresses of a twin, and the spaces beside them."""
    text = re.sub(r"\d{4}-\d\d-\d\d[ \d:]*(UTC)?", "WHEN", text)
    text = re.sub(r"https://[\d.]+:\d+", "SERVER", text)
    text = re.sub(r"\b\d+ (s|min|h|d)\b( ago)?|just now", "AGE", text)
    text = re.sub(r"[\d?]+(/\d+)? Mi\b", "MEMORY", text)
    return re.sub(r" +", " ", text)


def take(twin: Twin) -> None:
    """Change the twin, take everything, and undo it.

    :raises TwinError: where a command does not end as it should.
    """
    environ = twin.shell()

    def run(*argv: str, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise TwinError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def report() -> str:
        return run("flowmaster", "drift", codes=(0, _ATTENTION))

    # what crashed while the server was made by hand counts for a while
    wait_until("a calm server", lambda: "unhealthy" not in report(), _PATIENCE, report, pause=5)
    run("flowmaster", "smoke")
    for words in BY_HAND:
        run("kubectl", "--namespace", "flowmaster", *words.split())
    run("kubectl", "--namespace", "flowmaster", "rollout", "status", "deployment/frontend")
    page = README.read_text(encoding="utf-8")
    for name, command in SCREENS.items():
        page = with_block(page, name, run(*command.split(), codes=(0, _DRIFT)).lstrip("\n"))
    README.write_text(page, encoding="utf-8")
    run("flowmaster", "topology", "--output", str(PICTURE))
    run("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs")


if __name__ == "__main__":
    try:
        take(Twin(sys.argv[1] if len(sys.argv) > 1 else "demo"))
    except TwinError as err:
        sys.exit(f"error: {err}")
