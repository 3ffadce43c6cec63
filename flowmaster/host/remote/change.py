"""Changing a site of nginx: as a whole, or not at all.

Under a lock: the candidate is written beside, nginx tests its whole configuration with the candidate in its place (in
a mount namespace of its own, so that the real files are not touched), then it is moved there in one step, nginx is
reloaded, and every location is asked. Where any of this fails, the old file is put back and nginx reloaded again.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import re
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import Any, Iterator  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote import probe
from flowmaster.host.remote.backups import Held
from flowmaster.host.remote.common import (
    CONFIG,
    ENABLED,
    ERROR_LOG,
    KEEP,
    RUN,
    Json,
    Refused,
    file_facts,
    master,
    run,
    serving,
    sync,
)
from flowmaster.host.remote.effective_config import began_with, config_files, newer, plain, remember_loaded, tested
from flowmaster.host.remote.site_paths import Place

LOCK = RUN + "/lock"
RELOAD_SECONDS = 10.0


def change(request: Json) -> Json:
    """Make a site as the request says, with nginx running it: written only where it is not so yet.

    `content` null removes it. `expected` is the hash of what was seen, or null for none; a file that is neither that
    nor already as wanted is left alone. Raises Refused; then the old configuration is in place and served.
    """
    # the rest of this is carried out whether or not anybody is still connected
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    # asked before it is this update's turn: where a location hangs, others need not wait for that
    before = probe.ask(request.get("checks", []), patience=0.0, timeout=probe.BRIEFLY) if master() else []
    with _locked(float(request.get("lockSeconds", 60))):
        return _Change(request, before).carry_out()


@contextmanager
def _locked(seconds: float) -> Iterator[None]:
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    with open(LOCK, "a+") as lock:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    lock.seek(0)
                    raise Refused("lock", f"another update has been at work for {seconds:g} s: {lock.read()}") from None
                time.sleep(0.05)
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        lock.flush()
        yield


class _Change:
    def __init__(self, request: Json, before: list[Json]) -> None:
        self.before = before
        self.name: str = request["name"]
        self.content: str | None = request["content"]
        self.mode = int(request.get("mode", "0644"), 8)
        self.owner: str = request.get("owner", "root")
        self.group: str = request.get("group", "root")
        self.request = request
        self.candidate = f"{KEEP}/{self.name}.new"
        self.place = Place(self.name)
        self.old = Held(self.name, self.place.path)

    def carry_out(self) -> Json:
        self._check()
        written = self._differs()
        pid = master()
        if not written and pid is not None and not newer(pid, config_files()):
            return {"changed": False, "reloaded": False, "failing": []}
        if written:
            self._check_place()
            self._write_candidate()
            self._test_candidate()
            self._save()
        try:
            if written:
                self._move()
            self._activate(pid)
            failing = self._check_answers()
        except (Refused, OSError) as err:
            if written:
                self._put_back()
            raise err if isinstance(err, Refused) else _refused("write", err) from err
        return {"changed": written, "reloaded": True, "failing": failing, "backup": self.old.keep()}

    def _check(self) -> None:
        if not os.path.isdir(CONFIG) or run(["nginx", "-v"])[0] == 127:
            raise Refused("installed", "nginx is not installed: there is no nginx command or no " + CONFIG)
        if not os.path.isdir(ENABLED):
            raise Refused("installed", f"there is no folder {ENABLED}, which nginx.conf of Debian and Ubuntu includes")
        if "expected" in self.request:
            facts = file_facts(self.place.enabled, {}, {})
            now = facts.get("sha256") if facts else None
            if now != self.request["expected"] and (facts or {}).get("content") != self.content:
                raise Refused("expected", f"{self.place.enabled} was changed by somebody since it was looked at")

    def _check_place(self) -> None:
        # to take a site away, its entry in sites-enabled is enough, wherever that leads
        if self.place.problem and not (self.content is None and self.place.target is not None):
            raise Refused("place", f"{self.place.enabled} {self.place.problem}")

    def _differs(self) -> bool:
        if self.content is None:
            return os.path.lexists(self.place.enabled)
        facts = self._facts(self.place.path)
        if facts is None or not os.path.lexists(self.place.enabled):
            return True
        wanted = (self.content, f"{self.mode:04o}", self.owner, self.group)
        return tuple(facts.get(key) for key in ("content", "mode", "owner", "group")) != wanted

    @staticmethod
    def _facts(path: str) -> Json | None:
        owners = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
        groups = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
        return file_facts(path, owners, groups)

    def _write_candidate(self) -> None:
        try:
            os.makedirs(KEEP, mode=0o700, exist_ok=True)
            if os.path.lexists(self.candidate):
                os.unlink(self.candidate)
            if self.content is None:
                return
            descriptor = os.open(self.candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as stream:
                stream.write(self.content.encode("utf-8", "surrogateescape"))
                os.fchown(descriptor, pwd.getpwnam(self.owner).pw_uid, grp.getgrnam(self.group).gr_gid)
                os.fchmod(descriptor, self.mode)
                stream.flush()
                os.fsync(descriptor)
        except (OSError, KeyError) as err:
            self._drop_candidate()
            raise _refused("write", err) from err

    def _drop_candidate(self) -> None:
        with suppress(OSError):
            os.unlink(self.candidate)

    def _test_candidate(self) -> None:
        """nginx's own test of everything, with the candidate where the site is."""
        try:
            os.makedirs(RUN, mode=0o700, exist_ok=True)
            stage = tempfile.mkdtemp(prefix="sites-", dir=RUN)
            try:
                _copy_sites(ENABLED, stage, without=self.name)
                if self.content is not None:
                    shutil.copyfile(self.candidate, f"{stage}/{self.name}")
                code, words = run([*_APART, "sh", "-c", _TEST, "-", stage, ENABLED, *began_with(config_files())])
            finally:
                shutil.rmtree(stage, ignore_errors=True)
        except OSError as err:
            self._drop_candidate()
            raise _refused("test", err) from err
        words = plain(words)
        if code != 0:
            self._drop_candidate()
            if tested(config_files(), "-q")[0] != 0:
                raise Refused("foreign", f"nginx's configuration is not valid, and was not before: {words}")
            raise Refused("test", words)

    def _save(self) -> None:
        try:
            self.old.hold()
        except OSError as err:
            self._drop_candidate()
            raise _refused("backup", err) from err

    def _move(self) -> None:
        if self.content is None:
            os.unlink(self.place.enabled)
            with suppress(FileNotFoundError):
                os.unlink(self.place.path)
        else:
            os.rename(self.candidate, self.place.path)
            if self.place.link is not None:
                os.symlink(self.place.link, self.place.enabled)
        self._sync()

    def _put_back(self) -> None:
        """The old file in its place, and nginx running it: as if nothing had been done."""
        self._drop_candidate()
        self.old.put_back()
        if self.place.target is not None and not os.path.lexists(self.place.enabled):
            os.symlink(self.place.target, self.place.enabled)
        if self.place.link is not None and os.path.islink(self.place.enabled):
            os.unlink(self.place.enabled)
        with suppress(OSError):
            self._sync()
        now = master()
        if now is not None:
            # where this fails, too, nginx keeps running what it runs
            with suppress(Refused):
                self._activate(now)

    def _sync(self) -> None:
        for folder in {ENABLED, os.path.dirname(self.place.path)}:
            sync(folder)

    def _activate(self, pid: int | None) -> None:
        """Make nginx run what is in the files, and see that it does."""
        seen = _size(ERROR_LOG)
        before = set(serving(pid)) if pid is not None else set()
        verb = "start" if pid is None else "reload"
        code, words = run(["systemctl", verb, "nginx"], timeout=60.0)
        if code == 127:
            code, words = run(["nginx"] if pid is None else ["nginx", "-s", "reload"], timeout=60.0)
        deadline = time.monotonic() + RELOAD_SECONDS
        while code == 0:
            now = master()
            current = set(serving(now)) if now is not None else set()
            if now is not None and (now != pid or (current and not current & before)):
                remember_loaded(now)
                return
            if _emergencies(seen) or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        own = _emergencies(seen) or words or f"nginx did not {verb} within {RELOAD_SECONDS:g} s"
        raise Refused(verb, own)

    def _check_answers(self) -> list[Json]:
        """The locations that do not answer; raises where one did before, or nothing was there before."""
        checks = self.request.get("checks", [])
        answered = {entry["path"]: entry["ok"] for entry in self.before}
        failing = [
            entry for entry in probe.ask(checks, float(self.request.get("patience", probe.PATIENCE))) if not entry["ok"]
        ]
        worse = [entry for entry in failing if answered.get(entry["path"]) or not self.old.held]
        if worse:
            raise Refused("answer", "; ".join(f"{entry['path']} {entry['words']}" for entry in worse))
        return failing


_APART = ["unshare", "--mount", "--propagation", "private"]
_TEST = 'mount --bind "$1" "$2" && shift 2 && exec nginx -t -q "$@"'


def _copy_sites(source: str, target: str, without: str) -> None:
    for name in os.listdir(source):
        path = f"{source}/{name}"
        if name == without:
            continue
        if os.path.islink(path):
            os.symlink(os.readlink(path), f"{target}/{name}")
        elif os.path.isfile(path):
            shutil.copyfile(path, f"{target}/{name}")
        elif os.path.isdir(path):
            # nginx refuses to read it, and is to do so in its test
            os.mkdir(f"{target}/{name}")


def _refused(stage: str, err: Any) -> Refused:
    if isinstance(err, KeyError):
        return Refused(stage, f"there is no such user or group: {err}")
    words = {
        errno.ENOSPC: "the disk is full",
        errno.EROFS: "the file system is read-only",
        errno.EDQUOT: "the disk quota is used up",
    }
    return Refused(stage, f"{words.get(err.errno, err.strerror)} ({err.filename or CONFIG})")


_COMPLAINT = re.compile(r"\[(emerg|crit)\] [\d#]+: (.+)")


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _emergencies(seen: int) -> str:
    """What nginx has complained of since then."""
    try:
        with open(ERROR_LOG, "rb") as stream:
            stream.seek(seen)
            lines = stream.read(1 << 16).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = (_COMPLAINT.search(line) for line in lines)
    # what begins with a star is about one connection, and a port that is taken is tried again
    words = [match for match in found if match and match[2][0] != "*" and "still could not bind" not in match[2]]
    return "; ".join(dict.fromkeys(f"nginx: [{match[1]}] {match[2]}" for match in words))
