"""How long the twin waits for something before it says that it does not come."""

import os

from lab.twin.errors import TwinError

VARIABLE = "FLOWMASTER_PATIENCE"
_BUSIEST = 20.0


def patience(seconds: float) -> float:
    """A time limit of this machine, in seconds: the limit for one with two idle cores, times FLOWMASTER_PATIENCE, times
    how many processes want each core now. What is late because others are at work is not broken.

    Raises TwinError where that variable holds no factor.
    """
    return seconds * factor() * _crowd()


def factor() -> float:
    """FLOWMASTER_PATIENCE: how many times slower this machine is than one with two idle cores; 1 where it is not set.

    Raises TwinError where that variable holds no factor.
    """
    text = os.environ.get(VARIABLE) or "1"
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.1 <= found <= 100:
        raise TwinError(f"{VARIABLE} is {text!r}\nit must be a factor from 0.1 to 100: 4 waits four times as long")
    return found


def _crowd() -> float:
    """How many processes want each core, as the kernel counts them: at least 1, whatever the machine."""
    wanted = max(os.getloadavg()[:2]) / len(os.sched_getaffinity(0))
    return min(max(1.0, wanted), _BUSIEST)
