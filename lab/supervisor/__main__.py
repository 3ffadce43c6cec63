"""`python -m lab.supervisor --twin=NAME SPECIFICATION`: become the first process of the twin of that name."""

import encodings.idna
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from lab.supervisor import boot, cgroups, control
from lab.supervisor.daemons import Daemons

# Modules that Python would load on first use, when it can no longer find them.
_LOADED_EARLY = (encodings.idna, traceback)


def main() -> None:
    specification = json.loads(Path(sys.argv[2]).read_text())
    server = control.listen(Path(specification["state"]))
    cgroups.enter(specification["cgroup"])
    # opened here: once there is a child, its root may take the place of this one at any moment
    with Path(specification["pid_file"]).open("w") as file:
        boot.enter_namespaces()
        pid = os.fork()
        if pid:
            file.write(str(pid))
            return
    os.setsid()
    _first_process(specification, server)


def _first_process(specification: dict[str, Any], server: socket.socket) -> NoReturn:
    try:
        socket.sethostname(specification["hostname"])
        boot.build_root(specification)
        boot.bring_up_network(specification)
        daemons = Daemons(specification["daemons"], specification["logs"])
        control.serve(server, daemons)
        daemons.start_all()
        daemons.reap_forever()
    except BaseException as error:  # whatever it was: without its first process the twin must end
        print(f"the twin's first process failed: {error!r}", flush=True)
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
