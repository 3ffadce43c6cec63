"""Takes one request after the other from standard input, and answers each in a line. Both are JSON.

The modules that carry out a request come along with the first one that needs them. Each request has a process of its
own: what one leaves behind, the next does not see, and one that is begun goes on when nobody listens any more.
"""

import json
import os
import sys
import types
from typing import Any


def take(modules: "list[list[str]]") -> None:
    """Have these modules: name and text each, in the order in which they need one another."""
    for name, text in modules:
        full = "flowmaster.host.remote." + name
        module = sys.modules[full] = types.ModuleType(full)
        setattr(sys.modules["flowmaster.host.remote"], name, module)
        exec(compile(text, full, "exec"), module.__dict__)  # noqa: S102  the program itself, sent by itself


def carry_out(request: "dict[str, Any]") -> None:
    """Carry out a request, in a process of its own. What is printed meanwhile is no answer."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = sys.modules["flowmaster.host.remote.main"].main(request)
    except BaseException:
        import traceback

        answer = {"ended": traceback.format_exc()}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


for package in ("flowmaster", "flowmaster.host", "flowmaster.host.remote"):
    sys.modules[package] = types.ModuleType(package)
for line in sys.stdin:
    sent = json.loads(line)
    take(sent["modules"])
    child = os.fork()
    if not child:
        carry_out(sent["request"])
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        print("\n" + json.dumps({"ended": f"killed by signal {status & 127}"}), flush=True)
