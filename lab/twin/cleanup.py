"""Taking a twin away, whatever state it is in and however it came to it."""

import shutil
from pathlib import Path

from lab.supervisor import linux
from lab.twin import cgroups, network, processes
from lab.twin.errors import TwinError
from lab.twin.layout import link_name, state_folder


def mounts_below(folder: Path) -> list[str]:
    """Mounts of the machine itself below the folder, innermost first. A twin makes none; a half-made one might."""
    return sorted((str(point) for point in linux.mount_points() if point.is_relative_to(folder)), reverse=True)


def remove(name: str) -> bool:
    """Ends and removes all of the twin of that name; returns whether anything was left of it.

    Found by names alone, so it does not matter how much of the state folder is there.
    Raises TwinError where the kernel does not let go of something.
    """
    state = state_folder(name)
    try:
        found = processes.end_all(name)
        found |= network.unplug(link_name(name))
        for point in mounts_below(state):
            linux.unmount(point)
        found |= cgroups.remove(name)
        if state.exists():
            found = True
            shutil.rmtree(state)
    except (OSError, TimeoutError) as error:
        raise TwinError(f"the twin {name} cannot be removed: {error}\ntry again: lab/lab --name {name} down") from error
    return found
