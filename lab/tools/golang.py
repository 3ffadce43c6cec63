"""The Go toolchain: is it there, is it new enough, and one build with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lab.tools.cache import GO_FLAGS, LINKER_FLAGS, SOURCES
from lab.tools.errors import ToolError
from lab.tools.manifest import GoBuild, ModuleFile, Patch, Program
from lab.tools.progress import Progress
from lab.tools.versions import Version

_REMEDY = (
    "install Go {wanted} or newer (https://go.dev/doc/install) and put it on PATH; "
    "a Go 1.21 or newer fetches it by itself, unless GOTOOLCHAIN is set to local"
)
_SWITCHES = Version(1, 21, 0, "")
"""The first Go that can fetch a newer Go by itself."""


def wanted_go(programs: Iterable[Program], sources: Path = SOURCES) -> Version:
    """Return the oldest Go that builds every one of PROGRAMS, as their go.mod files say."""
    found = [Version(1, 21, 0, "")]
    for program in programs:
        for build in program.builds:
            line = re.search(r"^go (\S+)$", (sources / build.folder / "go.mod").read_text(), re.MULTILINE)
            if line:
                found.append(Version.find(line[1]))
    return max(found)


def check_go(programs: Iterable[Program]) -> None:
    """Make sure that the `go` on PATH can build PROGRAMS.

    Raises:
        ToolError: it is missing, or too old and not free to fetch a newer one.
    """
    names = [program.name for program in programs]
    wanted = wanted_go(programs)
    go = shutil.which("go")
    if go is None:
        raise ToolError(
            f"go is not on PATH, and {', '.join(names)} must be built with it: {_REMEDY.format(wanted=wanted)}"
        )
    local = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    found = Version.find(_output([go, "version"], local))
    if found >= wanted:
        return
    if found >= _SWITCHES and not _toolchain_chosen().startswith("local"):
        return
    raise ToolError(
        f"go is {found} ({go}), but {', '.join(names)} need {wanted} or newer: {_REMEDY.format(wanted=wanted)}"
    )


def _toolchain_chosen() -> str:
    """Return the user's own choice of a toolchain; that a distribution sets `local` is nobody's."""
    chosen = os.environ.get("GOTOOLCHAIN", "")
    if chosen:
        return chosen
    settings = Path(_output(["go", "env", "GOENV"], dict(os.environ)))
    lines = settings.read_text().splitlines() if settings.is_file() else []
    return next((line.partition("=")[2] for line in lines if line.startswith("GOTOOLCHAIN=")), "")


def _output(command: list[str], environment: dict[str, str]) -> str:
    run = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise ToolError(f"`{' '.join(command)}` failed: {run.stderr.strip()[:300]}")
    return run.stdout.strip()


class Builder:
    """Runs `go`, and can end every build under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._running: set[subprocess.Popen[str]] = set()
        self._compiled: Counter[str] = Counter()
        self._turns: dict[str, threading.Lock] = {}
        self._stopped = False
        self._guard = threading.Lock()

    @property
    def stopped(self) -> bool:
        """Whether nothing new is to begin."""
        return self._stopped

    def stop(self) -> None:
        """End the builds under way and let no new one start."""
        with self._guard:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def build(self, program: Program, build: GoBuild, scratch: Path, into: Path) -> None:
        """Build one binary, and what belongs beside it, into the folder INTO; SCRATCH is for the sources.

        The sources are copied out of the clone: embedded files are put beside them, and nothing may change the
        clone's go.mod or go.sum.

        Raises:
            ToolError: a module's checksum is wrong, a download or the compiler failed.
        """
        with self._guard:
            turn = self._turns.setdefault(build.folder, threading.Lock())
        # what two builds of one go.mod have in common they would both compile, were they to go on at the same time
        with turn:
            self._build(program, build, scratch, into)

    def _build(self, program: Program, build: GoBuild, scratch: Path, into: Path) -> None:
        shutil.copytree(SOURCES / build.folder, scratch)
        for patch in build.patches:
            self._patch(program, patch, scratch)
        for file in build.embed:
            source = self._module_file(program, file, scratch)
            content = source.read_bytes()
            if file.schema_version:
                content = json.dumps({**json.loads(content), "version": file.schema_version}).encode()
            (scratch / build.package / file.name).write_bytes(content)
        stamps = [part for variable, value in build.stamps for part in ("-X", f"{variable}={value}")]
        linker = " ".join((*LINKER_FLAGS, *stamps))
        output = str(into / build.output)
        self._go(program, ["build", "-v", *GO_FLAGS, f"-ldflags={linker}", "-o", output, build.package], scratch)
        for file in build.beside:
            target = into / file.name
            shutil.copyfile(self._module_file(program, file, scratch), target)
            target.chmod(0o755)

    def _patch(self, program: Program, patch: Patch, scratch: Path) -> None:
        """Let the build take the module from a copy of the verified one, with the one file in it exchanged."""
        self._go(program, ["mod", "download", patch.module], scratch)
        source = Path(self._go(program, ["list", "-m", "-f", "{{.Dir}}", patch.module], scratch).strip())
        copy = scratch / "patched" / Path(patch.file).stem
        # contents alone: the module cache is read-only, and a copy of its folders could be neither changed nor removed
        for file in source.rglob("*"):
            if file.is_file():
                target = copy / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        if not (copy / patch.path).is_file():
            raise ToolError(f"{program.name}: module {patch.module} has no {patch.path}; was its version changed?")
        shutil.copyfile(scratch / patch.file, copy / patch.path)
        self._go(program, ["mod", "edit", f"-replace={patch.module}=./{copy.relative_to(scratch)}"], scratch)

    def _module_file(self, program: Program, file: ModuleFile, scratch: Path) -> Path:
        answer = self._go(program, ["mod", "download", "-json", file.module], scratch)
        source = Path(json.loads(answer)["Dir"]) / file.path
        if not source.is_file():
            raise ToolError(f"{program.name}: module {file.module} has no {file.path}; was its version changed?")
        return source

    def _go(self, program: Program, arguments: list[str], folder: Path) -> str:
        """Run `go` in FOLDER, counting what it says it does; return what it printed on stdout."""
        # What the compilers leave when they are killed goes with the scratch folder, and not into /tmp for good.
        environment = {
            **os.environ,
            "GOTOOLCHAIN": _toolchain_chosen() or "auto",
            "CGO_ENABLED": "0",
            "GOWORK": "off",
            "GOTMPDIR": str(folder.parent),
        }
        # If this process is killed, `go` ends too, and does not fill the folder of a run that comes after.
        tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with self._guard:
            if self._stopped:
                raise ToolError(f"{program.name}: not built, the run was ended")
            process = subprocess.Popen(
                [*tied, "go", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._running.add(process)
        # A build takes every core for minutes: the person at the machine, and a running twin, go first.
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)
        try:
            with process:
                complaints = self._follow(program, process)
                stdout = process.stdout.read() if process.stdout else ""
            if process.returncode != 0:
                said = "\n".join(complaints[-12:]) or stdout.strip()[-600:]
                raise ToolError(f"{program.name} {program.version}: `go {arguments[0]}` failed:\n{said}")
            return stdout
        finally:
            with self._guard:
                self._running.discard(process)

    def _follow(self, program: Program, process: subprocess.Popen[str]) -> list[str]:
        downloaded = 0
        complaints: list[str] = []
        for line in process.stderr or ():
            text = line.rstrip()
            if text.startswith("go: downloading "):
                downloaded += 1
                self._progress.at(program.name, f"{downloaded} modules downloaded")
            elif text and " " not in text:
                self._compiled[program.name] += 1
                self._progress.compiled(program.name, self._compiled[program.name])
            else:
                complaints.append(text)
        return complaints
