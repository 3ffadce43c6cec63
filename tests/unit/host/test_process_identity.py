"""Whether a process is certainly gone; of one that cannot be seen from here nothing is said."""

from __future__ import annotations

import os
import subprocess

import pytest

from flowmaster.host.process_identity import identity, is_gone


def test_this_process_is_there_and_the_same_each_time() -> None:
    assert identity() == identity(os.getpid())
    assert not is_gone(identity())


def test_another_process_is_gone_once_it_was_ended_even_if_nobody_noticed() -> None:
    other = subprocess.Popen(["sleep", "60"])
    known = identity(other.pid)
    assert known is not None
    assert not is_gone(known)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(known)
    other.wait()
    assert is_gone(known)
    assert identity(other.pid) is None


def test_another_process_with_the_same_number_is_another_one() -> None:
    known = identity()
    assert known is not None
    assert is_gone(f"{known.rpartition(' ')[0]} 1")


@pytest.mark.parametrize("place", [0, 1])
def test_of_another_machine_or_container_nothing_is_known(place: int) -> None:
    words = (identity() or "").split()
    words[place], words[2] = "elsewhere", "999999999"
    assert not is_gone(" ".join(words))


@pytest.mark.parametrize("known", [None, "", "nonsense"])
def test_of_somebody_unknown_nothing_is_known(known: str | None) -> None:
    assert not is_gone(known)
