"""The operator at work on a twin: the tools as a person calls them, and what they said, taken apart."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.twin import Twin
from lab.twin.patience import patience

ROOT = Path(__file__).parents[2]
NAMESPACE = "flowmaster"
_AT_ONCE = 4
_STEP = re.compile(
    r"^ *(?P<sign>\+\+|--|\+-|-\+|~|\+|-) +(?P<type>\S+:\S+) (?P<name>\S+) +(?P<what>[a-z ]+?)(?= \[|;|$| \()"
)
_OF_RESOURCE = re.compile(r"^  (?P<type>\S+:\S+) \((?P<name>\S+)\):$")


@dataclass(frozen=True)
class Preview:
    """What `pulumi preview` said in its plain output, without `--diff`."""

    code: int
    text: str
    changes: Mapping[str, set[str]]
    """What is to be done with each resource, by `Kind/name`: `update`, `create`, `delete`."""
    lines: Mapping[str, list[str]]
    """The warnings about each resource, by `Kind/name`; by `Stack/name` where it is about none."""

    def about(self, resource: str) -> list[str]:
        """The lines that tell of an object, wherever they stand."""
        whole = re.compile(rf"\w+: {re.escape(resource)}(?= |:)")
        return [line for lines in self.lines.values() for line in lines if whole.match(line)]


def read_preview(text: str, code: int = 0) -> Preview:
    """The plain output of `pulumi preview` or `up`, taken apart."""
    changes: dict[str, set[str]] = {}
    lines: dict[str, list[str]] = {}
    where = ""
    for line in text.splitlines():
        if (step := _STEP.match(line)) and step["type"].startswith("kubernetes:"):
            changes.setdefault(_named(step), set()).add(step["what"].strip())
        if heading := _OF_RESOURCE.match(line):
            where = _named(heading)
        elif where and line.startswith("    warning: "):
            lines.setdefault(where, []).append(line.strip().removeprefix("warning: "))
    return Preview(code, text, changes, lines)


def _named(match: re.Match[str]) -> str:
    return f"{match['type'].rpartition(':')[2]}/{match['name']}"


@dataclass
class Operator:
    """A person with the tools, at a server that is a twin. What the project's tools say is kept in `said`."""

    twin: Twin
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, twin: Twin) -> Operator:
        """With the twin's own copies of stack and catalogue, free to be changed."""
        return cls(twin, twin.shell())

    def knowing(self, **environ: str) -> Operator:
        """The same person with other variables; what is said is kept together."""
        return Operator(self.twin, {**self.environ, **environ}, self.said)

    def run(
        self, *command: str, text: str | None = None, code: int | None = 0, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; any exit code will do where `code` is None."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            input=text,
            capture_output=True,
            text=True,
            timeout=patience(timeout),
            check=False,
        )
        both = done.stdout + done.stderr
        if command[0] != "kubectl":
            self.said.append(both)
        assert code is None or done.returncode == code, f"{command} ended with {done.returncode}\n{both}"
        return done

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Begin a command; its output, both streams, is the caller's to read."""
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def kubectl(self, *words: str, text: str | None = None, code: int | None = 0) -> str:
        """What kubectl prints, in FlowMaster's namespace."""
        return self.run("kubectl", "--namespace", NAMESPACE, *words, text=text, code=code).stdout

    def kubectl_all(self, commands: Iterable[Sequence[str]]) -> None:
        """Several kubectl commands at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(self.kubectl, *command) for command in commands]:
                done.result()

    def get(self, resource: str) -> dict[str, Any]:
        """An object as it is, by `Kind/name`."""
        kind, _, name = resource.partition("/")
        found: dict[str, Any] = json.loads(self.kubectl("get", kind.lower(), name, "--output", "json"))
        return found

    def objects(self) -> dict[str, dict[str, Any]]:
        """All objects of the kinds that the program declares, by `Kind/name`."""
        kinds = "deployments,services,configmaps,secrets"
        items = json.loads(self.kubectl("get", kinds, "--output", "json"))["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def report(self, *options: str) -> dict[str, Any]:
        """What `flowmaster drift --format json` reports; its exit code has to be the one that the report names."""
        done = self.run("flowmaster", "drift", "--format", "json", *options, code=None)
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["exitCode"] == done.returncode
        return document

    def preview(self, *options: str, code: int | None = 0) -> Preview:
        """`pulumi preview` as anybody calls it."""
        done = self.run("pulumi", "preview", *options, code=code)
        return read_preview(done.stdout + done.stderr, done.returncode)

    def up(self, *options: str, code: int | None = 0) -> Preview:
        """`pulumi up` without asking."""
        done = self.run("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", *options, code=code)
        return read_preview(done.stdout + done.stderr, done.returncode)

    def edit_stack(self, change: Any) -> None:
        """Change the stack's settings: `change` gets those under `flowmaster:` as a dictionary."""
        path = Path(self.environ["PULUMI_OPTION_CONFIG_FILE"])
        whole = yaml.safe_load(path.read_text())
        settings = {key.removeprefix("flowmaster:"): value for key, value in whole["config"].items()}
        change(settings)
        whole["config"] = {f"flowmaster:{key}": value for key, value in settings.items()}
        path.write_text(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False))

    def edit_catalogue(self, change: Any) -> None:
        """Change the catalogue: `change` gets it as a dictionary."""
        path = Path(self.environ["FLOWMASTER_CATALOGUE"])
        whole = yaml.safe_load(path.read_text())
        change(whole)
        path.write_text(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False))

    def state(self) -> str:
        """The stack's whole state, history and backups included, as text."""
        folder = Path(self.environ["PULUMI_BACKEND_URL"].removeprefix("file://"))
        return "\n".join(path.read_text(errors="replace") for path in sorted(folder.rglob("*")) if path.is_file())


def encoded(text: str) -> str:
    """The text as the data of a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


def named(finding: Mapping[str, Any]) -> str:
    """`Kind/name` of the object that a finding is about."""
    return f"{finding['object']['kind']}/{finding['object']['name']}"
