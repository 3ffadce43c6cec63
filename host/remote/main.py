"""The one entry: a request in, an answer out, both JSON."""

from __future__ import annotations

import json
import os
import sys

from host.remote.common import PATH, Json, Refused


def main(text: str) -> None:
    """Carry out one request and print the answer as the last line."""
    os.environ["PATH"] = PATH
    request = json.loads(text)
    try:
        answer: Json = {"ok": True, "answer": _carry_out(request)}
    except Refused as err:
        answer = {"ok": False, "stage": err.stage, "words": err.words}
    except OSError as err:
        answer = {"ok": False, "stage": "server", "words": f"{err.strerror}: {err.filename or ''}"}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


def _carry_out(request: Json) -> Json:
    if "noted" in request:
        from host.remote.docker_journal import note

        note(str(request["project"]), str(request["run"]), request["noted"])
    if request["verb"] == "read":
        from host.remote.facts import read

        return read(request)
    if request["verb"] == "change":
        from host.remote.change import change

        if "run" not in request:
            return change(request)
        from host.remote.docker_journal import working

        with working(request):
            return change(request)
    if request["verb"] == "check":
        from host.remote.answers import check

        return check(request)
    if request["verb"] == "compose":
        from host.remote.docker_verbs import carry_out

        return carry_out(request)
    raise Refused("request", f"unknown verb {request['verb']}")
