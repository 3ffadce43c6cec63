"""Copying volumes: everything in them as it is, proved file by file, and put into place in one step.

What is copied from is only ever read. A copy grows beside its place, as `PLACE.incoming`, from what differs since the
last time; so the last copy, while nobody may write, is a short one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator

from flowmaster.host.remote.common import Json, Refused, sync

INCOMING, KEPT = ".incoming", ".before-"
SPARE = 1.2
"""Times a volume's size that must be free before it is copied."""
_BLOCK = 1 << 20
_TALK = 2.0
_ROUNDS, _ROUNDS_AHEAD, _LITTLE = 3, 4, 20
Entries = dict[str, list[object]]


class _Voice:
    """Says that it is still at work, so that whoever is connected does not give up."""

    last = 0.0

    @classmethod
    def speak(cls) -> None:
        if time.monotonic() - cls.last > _TALK:
            cls.last = time.monotonic()
            try:
                sys.stdout.write("\n")
                sys.stdout.flush()
            except OSError:
                pass


def entries(root: str) -> Entries:
    """Everything below a folder, and the folder itself as `.`: kind, mode, owner, group, and what is in it.

    Of a file its size, time and sha256; of a link where it leads. Sockets are left out: they end with their process.
    """
    found: Entries = {".": _entry(root, os.lstat(root))}
    for path, info in _walk(root) if os.path.isdir(root) else ():
        found[os.path.relpath(path, root)] = _entry(path, info)
    return found


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in sorted(os.scandir(root), key=lambda each: each.name):
        _Voice.speak()
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISSOCK(info.st_mode):
            continue
        yield entry.path, info
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(entry.path)


def _entry(path: str, info: os.stat_result) -> list[object]:
    common = [stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, _attributes(path)]
    if stat.S_ISREG(info.st_mode):
        return [*common, info.st_size, info.st_mtime_ns, _digest(path)]
    if stat.S_ISLNK(info.st_mode):
        return [*common, os.readlink(path)]
    if stat.S_ISDIR(info.st_mode):
        return [*common, info.st_mtime_ns]
    return [*common, info.st_rdev]


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names)}
    except OSError:
        return {}


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            _Voice.speak()
    return digest.hexdigest()


def summary(found: Entries) -> Json:
    """How much that is, and one hash of all of it."""
    files = [entry for entry in found.values() if stat.S_ISREG(int(str(entry[0])))]
    whole = hashlib.sha256(repr(sorted(found.items())).encode("utf-8", "surrogateescape")).hexdigest()
    return {"files": len(files), "bytes": sum(int(str(entry[5])) for entry in files), "sha256": whole}


def differing(one: Entries, other: Entries) -> list[str]:
    """What is not the same in both."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def room(request: Json) -> Json:
    """Whether there is room for all copies. Raises Refused where there is not, before anything is copied."""
    needed: dict[int, list[int]] = {}
    for volume in request["volumes"]:
        size = _size(volume["source"])
        above = os.path.dirname(volume["target"])
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        state = os.statvfs(above)
        entry = needed.setdefault(os.stat(above).st_dev, [0, state.f_bavail * state.f_frsize])
        grown = f"{volume['target']}{INCOMING}"
        there = _size(grown) if os.path.lexists(grown) else 0
        entry[0] += max(0, int(size * SPARE) - there)
    for wanted, free in needed.values():
        if wanted > free:
            raise Refused("room", f"the volumes need {wanted >> 20} MiB of free disk, and {free >> 20} MiB are free")
    return {"bytes": sum(wanted for wanted, _ in needed.values())}


def _size(path: str) -> int:
    if not os.path.lexists(path):
        raise Refused("source", f"there is no {path}, which is to be copied")
    return sum(info.st_blocks * 512 for _, info in (_walk(path) if os.path.isdir(path) else [(path, os.lstat(path))]))


def prepare(request: Json) -> Json:
    """Folders for the volumes, each with a first copy of what is in its source; one that is there stays as it is."""
    made = []
    room({"volumes": [v for v in request["volumes"] if not os.path.lexists(v["target"])]})
    for volume in request["volumes"]:
        if os.path.lexists(volume["target"]):
            continue
        os.makedirs(os.path.dirname(volume["target"]), mode=0o711, exist_ok=True)
        _ahead(volume["source"], volume["target"] + INCOMING)
        os.rename(volume["target"] + INCOMING, volume["target"])
        made.append(volume["name"])
    return {"made": made}


def copy(request: Json) -> Json:
    """Bring each copy up to date; with `prove`, until it is the same as its source, byte by byte.

    Raises Refused where it does not become that: somebody writes on.
    """
    results = {}
    for volume in request["volumes"]:
        source, target = volume["source"], volume["target"] + INCOMING
        os.makedirs(os.path.dirname(target), mode=0o711, exist_ok=True)
        if not request.get("prove"):
            results[volume["name"]] = _ahead(source, target)
            continue
        for _ in range(_ROUNDS):
            copied = grow(source, target)
            wanted, there = entries(source), entries(target)
            bad = differing(wanted, there)
            if not bad:
                results[volume["name"]] = {**copied, **summary(wanted)}
                break
            # what has the same size and time, but is not the same, is copied again
            for path in bad:
                _remove(os.path.join(target, path)) if path != "." else None
        else:
            raise Refused("verify", f"{volume['name']}: the copy is not the same as {source}: {', '.join(bad[:5])}")
    return {"volumes": results}


def _ahead(source: str, target: str) -> Json:
    """Copy, and again what changed meanwhile, until that is little: what is left is copied while everybody waits."""
    whole = {"copied": 0, "copiedBytes": 0}
    for _ in range(_ROUNDS_AHEAD):
        copied = grow(source, target, safely=False)
        whole = {key: whole[key] + copied[key] for key in whole}
        if copied["copied"] < _LITTLE:
            break
    # once for all files: one by one, the disk would be waited for at each
    os.sync()
    whole["copied"] += grow(source, target)["copied"]
    return whole


def compare(request: Json) -> Json:
    """Whether each source still is what was copied from it: `changed` names those that are not."""
    changed = []
    for volume in request["volumes"]:
        if summary(entries(volume["source"]))["sha256"] != volume["sha256"]:
            changed.append(volume["name"])
    return {"changed": changed}


def swap(request: Json) -> Json:
    """Put each copy into its place; what was there is kept beside, the last `keep` of them. May be asked for again."""
    swapped = []
    for volume in request["volumes"]:
        target, incoming = volume["target"], volume["target"] + INCOMING
        if os.path.lexists(incoming):
            if os.path.lexists(target):
                os.rename(target, f"{target}{KEPT}{_stamp()}")
            os.rename(incoming, target)
            swapped.append(volume["name"])
        elif not os.path.lexists(target):
            raise Refused("swap", f"neither {target} nor a copy for it is there")
        sync(os.path.dirname(target))
        _forget(target, int(request.get("keep", 2)))
    return {"swapped": swapped}


def _stamp() -> str:
    """Now, in an order of names that is that of time."""
    now = time.time_ns()
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now // 10**9))}.{now // 1000 % 10**6:06d}"


def _forget(target: str, keep: int) -> None:
    folder, name = os.path.split(target)
    old = sorted(entry for entry in os.listdir(folder) if entry.startswith(name + KEPT))
    for entry in old[: len(old) - keep]:
        _remove(f"{folder}/{entry}")


def grow(source: str, target: str, safely: bool = True) -> Json:
    """Make the target like the source, copying only files of another size or time.

    `safely`: each file is on the disk before the next one.
    """
    if not os.path.lexists(source):
        raise Refused("source", f"there is no {source}, which is to be copied")
    if not os.path.isdir(source):
        info = os.lstat(source)
        return {"copied": int(_place(source, target, info, {}, safely)), "copiedBytes": info.st_size}
    os.makedirs(target, exist_ok=True)
    copied, size, seen, links = 0, 0, {"."}, dict[tuple[int, int], str]()
    folders = [(source, target, os.lstat(source))]
    for path, info in _walk(source):
        relative = os.path.relpath(path, source)
        seen.add(relative)
        place = os.path.join(target, relative)
        if stat.S_ISDIR(info.st_mode):
            folders.append((path, place, info))
        try:
            if _place(path, place, info, links, safely):
                copied, size = copied + 1, size + info.st_size
        except FileNotFoundError:
            # it went away while it was copied: the next round sees that
            continue
    for path, _ in list(_walk(target)):
        if os.path.relpath(path, target) not in seen:
            _remove(path)
    # folders last, the deepest first: what is put into them changes their time
    for path, place, info in reversed(folders):
        _dress(path, place, info)
    return {"copied": copied, "copiedBytes": size}


def _place(path: str, place: str, info: os.stat_result, links: dict[tuple[int, int], str], safely: bool) -> bool:
    """One entry; whether content was copied."""
    kind = stat.S_IFMT(info.st_mode)
    try:
        there = os.lstat(place)
    except FileNotFoundError:
        there = None
    if there is not None and stat.S_IFMT(there.st_mode) != kind:
        _remove(place)
        there = None
    if stat.S_ISDIR(kind):
        if there is None:
            os.mkdir(place)
        return False
    if stat.S_ISREG(kind):
        return _file(path, place, info, there, links, safely)
    if stat.S_ISLNK(kind):
        if there is None or os.readlink(place) != os.readlink(path):
            _remove(place)
            os.symlink(os.readlink(path), place)
    elif there is None:
        os.mknod(place, info.st_mode, info.st_rdev)
    _dress(path, place, info)
    return False


def _file(
    path: str,
    place: str,
    info: os.stat_result,
    there: os.stat_result | None,
    links: dict[tuple[int, int], str],
    safely: bool,
) -> bool:
    first = links.setdefault((info.st_dev, info.st_ino), place) if info.st_nlink > 1 else place
    if first != place:
        _remove(place)
        os.link(first, place)
        return False
    fresh = there is not None and (there.st_size, there.st_mtime_ns) == (info.st_size, info.st_mtime_ns)
    if not fresh:
        _remove(place)
        with open(path, "rb") as reading, open(place, "wb") as writing:
            while block := reading.read(_BLOCK):
                # holes stay holes
                if block.count(0) == len(block):
                    writing.seek(len(block), os.SEEK_CUR)
                else:
                    writing.write(block)
                _Voice.speak()
            writing.truncate()
            writing.flush()
            if safely:
                os.fsync(writing.fileno())
    _dress(path, place, info)
    return not fresh


def _dress(path: str, place: str, info: os.stat_result) -> None:
    """Owner, mode, attributes and times of one on the other."""
    os.chown(place, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(place, stat.S_IMODE(info.st_mode))
        for name, text in _attributes(path).items():
            os.setxattr(place, name, bytes.fromhex(text))
    os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def _remove(path: str) -> None:
    try:
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except FileNotFoundError:
        return
