"""Making the tools available: building what is missing from the cache, and putting Pulumi's plugins in place."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from lab.tools import cache, golang, official, places, plugins
from lab.tools.manifest import Group, Program
from lab.tools.progress import Progress

AT_A_TIME = 2
"""One build leaves cores idle while it links or downloads; a third would only cost memory (a link takes up to 3 GB)."""

_DOWNLOADS = "get.pulumi.com"


def ensure(groups: tuple[Group, ...], progress: Progress) -> None:
    """Make every program of GROUPS available; what is there already costs nothing.

    Raises:
        ToolError: Go is missing or too old, a build failed, or the cache cannot be written.
    """
    programs = places.wanted(groups)
    lacking = plugins.missing() if Group.PULUMI in groups else ()
    if not lacking and all(cache.is_built(program) for program in programs):
        return
    refusal = official.pulumi().refusal
    if refusal:
        progress.say(f"{refusal}. Pulumi is built instead")
    # Without a way to Pulumi's downloads the plugins are built at the same time as the CLI, else after trying with it.
    download = (
        any(not cache.is_built(program) and official.plugin(program) is None for program in lacking) and _online()
    )
    at_once = plugins.to_build(None, progress) if lacking and not download else ()
    build_missing((*programs, *at_once), progress)
    if lacking:
        cli = places.binary("pulumi")
        if download:
            build_missing(plugins.to_build(cli, progress), progress)
        plugins.install(cli, progress)


def _online() -> bool:
    """Whether Pulumi's downloads can be reached, or a proxy may lead to them."""
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True
    try:
        socket.create_connection((_DOWNLOADS, 443), timeout=3).close()
    except OSError:
        return False
    return True


def build_missing(programs: tuple[Program, ...], progress: Progress) -> None:
    """Build those of PROGRAMS that the cache lacks, two at a time.

    A run that is ended, by a signal or by a failure of one program, leaves the finished programs in the cache, and
    the rest of its work in Go's own build cache: the next run goes on from there.

    Raises:
        ToolError: Go is missing or too old, or a build failed.
    """
    missing = tuple(program for program in programs if not cache.is_built(program))
    if not missing:
        return
    golang.check_go(missing)
    names = ", ".join(f"{program.name} {program.version}" for program in missing)
    progress.say(f"building {names} (minutes the first time only)")
    builder = golang.Builder(progress)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            for future in as_completed([pool.submit(_build, program, builder, progress) for program in missing]):
                future.result()
        except BaseException:
            builder.stop()
            pool.shutdown(cancel_futures=True)
            raise


def _build(program: Program, builder: golang.Builder, progress: Progress) -> None:
    target = cache.folder(program)
    place = target.parent
    with cache.locked(place, lambda: progress.say(f"{program.name}: another run is building it, waiting")):
        if target.is_dir():
            return
        _sweep(place)
        start = time.monotonic()
        progress.at(program.name, "compiling")
        scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=place))
        try:
            result = scratch / "result"
            result.mkdir(mode=0o755)
            for build in program.builds:
                builder.build(program, build, scratch / build.folder, result)
            for name, points_to in program.links:
                (result / name).parent.mkdir(exist_ok=True)
                (result / name).symlink_to(points_to)
            result.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            progress.done(program.name)
        progress.say(f"{program.name} {program.version} built in {time.monotonic() - start:.0f} s")


def _sweep(place: Path) -> None:
    """Remove what a killed build left; the caller holds the lock, so none of it is in use."""
    for leftover in place.glob(".build-*"):
        shutil.rmtree(leftover, ignore_errors=True)
