"""Making the tools available: what the cache lacks is downloaded or built, and Pulumi's plugins are put in place."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from lab.tools import cache, downloads, golang, official, places, plugins
from lab.tools.downloads import NotHadError, Offer
from lab.tools.errors import ToolError
from lab.tools.manifest import Group, Program
from lab.tools.meanwhile import Meanwhile
from lab.tools.progress import Progress

AT_A_TIME = 2
"""One build leaves cores idle while it links or downloads; a third would only cost memory (a link takes up to 3 GB)."""


def ensure(groups: tuple[Group, ...], progress: Progress, meanwhile: Meanwhile | None = None) -> None:
    """Make every program of GROUPS available; what is there already costs nothing.

    MEANWHILE is begun as soon as what the twin needs is there, and has ended when this returns.

    Raises:
        ToolError: Go is missing or too old, a build failed, the cache cannot be written, or MEANWHILE failed.
    """
    lacking = plugins.missing() if Group.PULUMI in groups else ()
    programs = (*places.wanted(groups), *(program for program in lacking if official.plugin(program) is None))
    missing = [program for program in programs if not cache.is_there(program)]
    missing.sort(key=lambda program: program.group is not Group.TWIN)
    if not missing and not lacking:
        if meanwhile:
            meanwhile.alone()
        return
    refusal = official.pulumi().refusal
    if refusal:
        progress.say(f"{refusal}. Another one is made available")
    awaited = {program for program in missing if program.group is Group.TWIN}

    def there(program: Program) -> None:
        awaited.discard(program)
        if meanwhile and not awaited:
            meanwhile.begin(progress)

    try:
        if meanwhile and not awaited:
            meanwhile.begin(progress)
        provide(missing, progress, there)
        if lacking:
            plugins.install(places.binary("pulumi"), progress)
        if meanwhile:
            meanwhile.finish(progress)
    except BaseException:
        if meanwhile:
            meanwhile.stop()
        raise


def provide(missing: Sequence[Program], progress: Progress, there: Callable[[Program], object] = id) -> None:
    """Download those of MISSING that are offered here, build the others; call THERE with each that has come.

    A run that is ended, by a signal or by a failure of one program, leaves the finished programs in the cache, and
    the rest of its work in Go's own build cache: the next run goes on from there.

    Raises:
        ToolError: Go is missing or too old, or a build failed.
    """
    if not missing:
        return
    progress.at("downloads", "asking for checksums")
    offered = downloads.offers(missing)
    progress.done("downloads")
    to_build = [program for program in missing if program not in offered]
    if to_build:
        golang.check_go(to_build)
    progress.expect(tuple(offered), to_build)
    builder = golang.Builder(progress)
    with ThreadPoolExecutor(AT_A_TIME) as building, ThreadPoolExecutor(AT_A_TIME) as loading:
        work: dict[Future[bool], Program] = {
            **{loading.submit(_download, offer, builder, progress): program for program, offer in offered.items()},
            **{building.submit(_build, program, builder, progress): program for program in to_build},
        }
        try:
            while work:
                for future in wait(work, return_when=FIRST_COMPLETED).done:
                    program = work.pop(future)
                    if future.result():
                        there(program)
                    else:
                        golang.check_go([program])
                        progress.expect((), [program])
                        work[building.submit(_build, program, builder, progress)] = program
        except BaseException:
            builder.stop()
            building.shutdown(cancel_futures=True)
            loading.shutdown(cancel_futures=True)
            raise


def _download(offer: Offer, builder: golang.Builder, progress: Progress) -> bool:
    """Whether the published program is there now."""
    program = offer.program
    start = time.monotonic()
    with _made(program, cache.official_folder(program), builder, progress) as result:
        if result is None:
            return True
        try:
            downloads.fetch(offer, result, progress)
        except NotHadError as err:
            progress.say(f"{program.name} {program.version} is built, for it cannot be downloaded: {err}")
            shutil.rmtree(result)
            return False
    progress.say(f"{program.name} {program.version} downloaded in {time.monotonic() - start:.0f} s")
    return True


def _build(program: Program, builder: golang.Builder, progress: Progress) -> bool:
    start = time.monotonic()
    with _made(program, cache.built_folder(program), builder, progress) as result:
        if result is None:
            return True
        progress.at(program.name, "compiling")
        for build in program.builds:
            builder.build(program, build, result.parent / build.folder, result)
    progress.say(f"{program.name} {program.version} built in {time.monotonic() - start:.0f} s")
    return True


@contextmanager
def _made(program: Program, target: Path, builder: golang.Builder, progress: Progress) -> Iterator[Path | None]:
    """A folder that becomes TARGET when the block ends, if it is still there; None where another run has made that."""
    place = cache.place(program)

    def waiting() -> None:
        progress.at(program.name, "is made by another run")
        if builder.stopped:
            raise ToolError(f"{program.name}: not waited for, the run was ended")

    with cache.locked(place, waiting, f"-{target.name}"):
        if target.is_dir():
            yield None
            return
        for leftover in place.glob(f".making-{target.name}-*"):
            # of a killed run: the lock is held here, so nobody uses it
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".making-{target.name}-", dir=place))
        result = scratch / "result"
        try:
            result.mkdir(mode=0o755)
            yield result
            if result.is_dir():
                for name, points_to in program.links:
                    (result / name).parent.mkdir(exist_ok=True)
                    if not (result / name).exists():
                        (result / name).symlink_to(points_to)
                result.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            progress.done(program.name)
