"""Taking published programs instead of building them, where their servers can be reached.

Nothing is used whose checksum is not the published one. What cannot be had, for whatever reason, is built.
FLOWMASTER_DOWNLOADS names a mirror to take everything from, by host and path; `off` is for building everything.
"""

from __future__ import annotations

import fnmatch
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic

from lab.tools.manifest import Program
from lab.tools.progress import Progress
from lab.tools.releases import Release, releases

PATIENCE = 3.0
"""Seconds for the checksums of all programs, a kilobyte each: who has not got them by then builds."""
SILENCE = 20.0
"""Seconds without a byte after which a download is given up."""
AT_A_TIME = 4

_BLOCK = 1 << 18
_HASHES = {64: "sha256", 128: "sha512"}
"""By the number of hexadecimal digits; nothing weaker is accepted."""


class NotHadError(Exception):
    """A published file cannot be had, or is not what was published; the text says which and why."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A program that can be downloaded: its files, each with its checksum."""

    program: Program
    files: tuple[tuple[Release, str], ...]


def offers(programs: Iterable[Program]) -> dict[Program, Offer]:
    """Return those of PROGRAMS that can be downloaded here, within PATIENCE."""
    if _mirror() == "off":
        return {}
    wanted = {program: releases(program) for program in programs}
    texts = _texts({file.sums for files in wanted.values() for file in files})
    found = {}
    for program, files in wanted.items():
        sums = [checksum(texts.get(file.sums, ""), file.url) for file in files]
        if files and all(sums):
            found[program] = Offer(program=program, files=tuple(zip(files, sums, strict=True)))
    return found


def checksum(text: str, url: str) -> str:
    """Return the checksum of the file at URL that TEXT, a published file of checksums, has; empty where it has none."""
    name = url.rpartition("/")[2]
    for line in text.splitlines():
        digest, _, named = line.strip().partition(" ")
        # sha256sum marks binary files by an asterisk; a file for one program alone may name none
        if len(digest) in _HASHES and (not named or named.strip().lstrip("*").removeprefix("./") == name):
            return digest.lower()
    return ""


def fetch(offer: Offer, into: Path, progress: Progress) -> None:
    """Put the program's files into the folder INTO, which exists.

    Raises:
        NotHadError: one of them cannot be had, or its checksum is another one.
    """
    tally = _Tally(offer.program.name, progress)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in [pool.submit(_fetch_one, file, digest, into, tally) for file, digest in offer.files]:
            done.result()


class _Tally:
    """Adds up what the files of one program have come to, for the line of progress."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self._had: dict[str, int] = {}

    def had(self, url: str, size: int) -> None:
        self._had[url] = size
        self._progress.at(self._name, f"{sum(self._had.values()) / 1e6:.0f} MB downloaded")


def _fetch_one(file: Release, digest: str, into: Path, tally: _Tally) -> None:
    part = into / f".{file.url.rpartition('/')[2]}.part"
    found = hashlib.new(_HASHES[len(digest)])
    try:
        with _open(file.url, SILENCE) as answer, part.open("wb") as target:
            size = 0
            while block := answer.read(_BLOCK):
                found.update(block)
                target.write(block)
                size += len(block)
                tally.had(file.url, size)
        if found.hexdigest() != digest:
            raise NotHadError(f"the {size} bytes that {file.url} gave do not have the published checksum")
        if file.name:
            part.rename(into / file.name)
            (into / file.name).chmod(0o755)
        else:
            _unpack(part, file, into)
    except (OSError, http.client.HTTPException, tarfile.TarError) as err:
        raise NotHadError(f"{file.url}: {_reason(err)}") from err
    finally:
        part.unlink(missing_ok=True)


def _unpack(archive: Path, file: Release, into: Path) -> None:
    left = set(file.members)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            matching = [pattern for pattern in file.members if fnmatch.fnmatchcase(path, pattern)]
            source = tar.extractfile(member) if matching and member.isfile() else None
            if source is None:
                continue
            target = into / Path(path).name
            with source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            target.chmod(0o755)
            left -= set(matching)
    if left:
        raise NotHadError(f"{file.url} has no {', '.join(sorted(left))}")


def _texts(urls: Iterable[str]) -> Mapping[str, str]:
    """Return the text at each of URLS that answered in time. Nothing waits for the rest, not even exit."""
    answers: Queue[tuple[str, str]] = Queue()
    urls = sorted(urls)
    for url in urls:
        Thread(target=lambda url=url: answers.put((url, _text(url))), daemon=True).start()
    found: dict[str, str] = {}
    end = monotonic() + PATIENCE
    for _ in urls:
        try:
            url, text = answers.get(timeout=max(0.0, end - monotonic()))
        except Empty:
            break
        found[url] = text
    return found


def _text(url: str) -> str:
    try:
        with _open(url, PATIENCE) as answer:
            return str(answer.read(1 << 20).decode("ascii", "replace"))
    except (OSError, http.client.HTTPException):
        return ""


def _open(url: str, timeout: float) -> http.client.HTTPResponse:
    answer: http.client.HTTPResponse = urllib.request.urlopen(address(url), timeout=timeout)  # noqa: S310  our own
    return answer


def address(url: str) -> str:
    """Return where the file at URL is taken from: the mirror's address where there is one."""
    mirror = _mirror()
    return f"{mirror.rstrip('/')}/{url.removeprefix('https://')}" if mirror else url


def _mirror() -> str:
    return os.environ.get("FLOWMASTER_DOWNLOADS", "")


def _reason(err: Exception) -> str:
    if isinstance(err, urllib.error.HTTPError):
        return f"the server answers {err.code}"
    return str(getattr(err, "reason", err)) or type(err).__name__
