"""Which programs the project needs, at which versions, and how each is built.

A new program is an entry here and a folder in `lab/tools/go/` with its `go.mod` and `go.sum`
(and a `main.go` where no upstream package can be built as it is).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

from lab.tools.errors import ToolError

PULUMI = "3.274.1"
PULUMI_OLDEST = "3.227.0"
"""The oldest official CLI that serves: since then `--expect-no-changes` ends with an exit code of its own, 7."""

PROVIDER = "4.25.0"
"""The Kubernetes provider: the version of the Python package that the lock's group `tested` names."""

KUBERNETES = "1.34.2"
ETCD = "3.6.4"
COMPOSE_OLDEST = "2.24.0"
"""The oldest Docker Compose of a distribution that serves; `lab/bootstrap` installs no older one."""

_MAJOR, _MINOR, _ = KUBERNETES.split(".")


class Group(StrEnum):
    """What a program is needed for; `bench` is left out unless asked for."""

    PULUMI = "pulumi"
    TWIN = "twin"
    BENCH = "bench"


DEFAULT_GROUPS = (Group.PULUMI, Group.TWIN)


@dataclass(frozen=True, kw_only=True)
class ModuleFile:
    """A file that lies in a Go module and is no Go code.

    Read from the module as the build's `go.sum` verifies it.
    """

    module: str
    path: str
    name: str
    """What it is called where it is put."""
    schema_version: str = ""
    """For a Pulumi schema: the version to write into it."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A file of our own in the place of one of a Go module."""

    module: str
    path: str
    """Which file of the module."""
    file: str
    """The file that takes its place, in the build's folder."""


@dataclass(frozen=True, kw_only=True)
class GoBuild:
    """One binary out of one folder of `lab/tools/go/`."""

    folder: str
    output: str
    package: str = "."
    stamps: tuple[tuple[str, str], ...] = ()
    """Go string variables set by the linker."""
    embed: tuple[ModuleFile, ...] = ()
    """Files put beside `main.go`, which embeds them."""
    beside: tuple[ModuleFile, ...] = ()
    """Executable scripts put beside the binary."""
    patches: tuple[Patch, ...] = field(default=(), repr=False)
    """At most one a module. The key of the cache counts them in where there are any, and only there."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The project's own Go files of this build, in its folder; none where a module's package is built as it is."""
        if not self.package.startswith("."):
            return ()
        return (str(PurePosixPath(self.package, "main.go")),)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A folder of the cache: binaries that belong together, made by one or more builds."""

    name: str
    version: str
    group: Group
    builds: tuple[GoBuild, ...]
    links: tuple[tuple[str, str], ...] = ()
    """Further names, as symbolic links inside the folder: (name, target)."""
    plugin: str = ""
    """For a Pulumi resource plugin: the name that Pulumi knows it by."""

    @property
    def binaries(self) -> tuple[str, ...]:
        """Every name that `binary()` knows in this program."""
        scripts = (file.name for build in self.builds for file in build.beside)
        names = [build.output for build in self.builds] + [name for name, _ in self.links] + list(scripts)
        return tuple(dict.fromkeys(name for name in names if "/" not in name))


_SDK = "github.com/pulumi/pulumi/sdk/v3"
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_KUBERNETES_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)

PROGRAMS: tuple[Program, ...] = (
    Program(
        name="pulumi",
        version=PULUMI,
        group=Group.PULUMI,
        builds=(
            GoBuild(
                folder="pulumi",
                output="pulumi",
                package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
                stamps=((f"{_SDK}/go/common/version.Version", f"v{PULUMI}"),),
                # The language host runs a program through the first, Pulumi a dynamic provider through the second.
                beside=(
                    ModuleFile(
                        module=_SDK,
                        path="python/cmd/pulumi-language-python-exec",
                        name="pulumi-language-python-exec",
                    ),
                    ModuleFile(
                        module=_SDK,
                        path="python/dist/pulumi-resource-pulumi-python",
                        name="pulumi-resource-pulumi-python",
                    ),
                ),
            ),
            # Newer language hosts are a Go module of their own, which the module proxy does not have.
            GoBuild(
                folder="pulumi-language-python",
                output="pulumi-language-python",
                package=f"{_SDK}/python/cmd/pulumi-language-python",
                stamps=((f"{_SDK}/go/common/version.Version", "v3.78.0"),),
            ),
        ),
    ),
    Program(
        name="kubernetes",
        version=KUBERNETES,
        group=Group.TWIN,
        builds=(
            GoBuild(
                folder="kubernetes",
                output="kubernetes",
                stamps=tuple(
                    (f"{package}.{variable}", value)
                    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
                    for variable, value in (
                        ("gitVersion", f"v{KUBERNETES}"),
                        ("gitMajor", _MAJOR),
                        ("gitMinor", _MINOR),
                    )
                ),
            ),
        ),
        links=tuple((name, "kubernetes") for name in _KUBERNETES_NAMES),
    ),
    Program(
        name="pulumi-resource-kubernetes",
        version=PROVIDER,
        group=Group.PULUMI,
        plugin="kubernetes",
        builds=(
            GoBuild(
                folder="pulumi-plugins",
                output="pulumi-resource-kubernetes",
                package="./kubernetes",
                stamps=((f"{_PROVIDER}/pkg/version.Version", PROVIDER),),
                # With the generated file the build takes twice as long.
                patches=(
                    Patch(
                        module="github.com/pulumi/pulumi-kubernetes/sdk/v4",
                        path="go/kubernetes/yaml/v2/kinds.go",
                        file="patches/kinds.go",
                    ),
                ),
                embed=(
                    ModuleFile(
                        module=_PROVIDER,
                        path="cmd/pulumi-resource-kubernetes/schema.json",
                        name="schema.json",
                        schema_version=PROVIDER,
                    ),
                    ModuleFile(
                        module=_PROVIDER,
                        path="cmd/pulumi-resource-kubernetes/terraform-mapping.json",
                        name="terraform-mapping.json",
                    ),
                ),
            ),
        ),
    ),
    # Not in the module proxy in any version: what the project relies on of it stands in its folder. One go.mod for both
    # plugins: what they have in common is compiled once.
    Program(
        name="pulumi-resource-command",
        version="1.2.1",
        group=Group.PULUMI,
        plugin="command",
        builds=(GoBuild(folder="pulumi-plugins", output="pulumi-resource-command", package="./command"),),
    ),
    Program(
        name="coredns",
        version="1.12.0",
        group=Group.TWIN,
        builds=(GoBuild(folder="coredns", output="coredns"),),
    ),
    Program(
        name="docker-compose",
        version="2.40.0",
        group=Group.TWIN,
        builds=(
            GoBuild(
                folder="docker-compose",
                output="docker-compose",
                package="github.com/docker/compose/v2/cmd",
                stamps=(("github.com/docker/compose/v2/internal.Version", "v2.40.0"),),
            ),
        ),
        # With DOCKER_CONFIG set to the program's folder, `docker compose` is this one.
        links=(("cli-plugins/docker-compose", "../docker-compose"),),
    ),
    Program(
        name="kwok",
        version="0.7.0",
        group=Group.BENCH,
        builds=(
            GoBuild(
                folder="kwok",
                output="kwok",
                package="sigs.k8s.io/kwok/cmd/kwok",
            ),
        ),
    ),
    Program(
        name="kapp",
        version="0.64.2",
        group=Group.BENCH,
        builds=(
            GoBuild(
                folder="kapp",
                output="kapp",
                package="carvel.dev/kapp/cmd/kapp",
                stamps=(("carvel.dev/kapp/pkg/kapp/version.Version", "0.64.2"),),
            ),
        ),
    ),
)


def program_of(binary: str) -> Program:
    """Return the program that has BINARY.

    Raises:
        ToolError: no program has it.
    """
    for program in PROGRAMS:
        if binary in program.binaries or binary == program.name:
            return program
    known = ", ".join(sorted({name for program in PROGRAMS for name in program.binaries}))
    raise ToolError(f"no tool is called {binary!r}; the tools are {known}")


def programs(groups: tuple[Group, ...]) -> tuple[Program, ...]:
    """Return the programs of GROUPS, the most awaited first."""
    return tuple(program for program in PROGRAMS if program.group in groups)
