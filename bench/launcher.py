"""Run as a script: run one command, and write how long it took and what it used to a file as JSON.

A small process of its own, because Linux counts the memory of a program's parent, as it was at the start, towards the
program's peak; and the seconds are counted here, so that starting this costs none. It imports little for that.
"""

import json
import os
import signal
import sys
import time


def main(result: str, argv: list[str]) -> None:
    """Write ``seconds``, ``cpu_seconds``, ``kibibytes`` and ``code`` of the command into the file ``result``.

    ``kibibytes`` is the peak memory of the largest among the command and the processes that it waited for, and
    ``cpu_seconds`` the processor time of all of them.
    """
    # An interrupt is for the command to end by; this waits for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begun = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=[signal.SIGINT])
    _, status, usage = os.wait4(pid, 0)
    measured = {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "kibibytes": usage.ru_maxrss,
        "code": os.waitstatus_to_exitcode(status),
    }
    with open(result, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would double the memory of this
        json.dump(measured, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
