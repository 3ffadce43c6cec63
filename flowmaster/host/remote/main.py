"""The one entry: a request in, an answer out."""

from __future__ import annotations

import os

from flowmaster.host.remote.common import PATH, Json, Refused


def main(request: Json) -> Json:
    """Carry out one request. The answer says whether that was done: `ok` and `answer`, or `stage` and `words`."""
    os.environ["PATH"] = PATH
    try:
        return {"ok": True, "answer": _carry_out(request)}
    except Refused as err:
        return {"ok": False, "stage": err.stage, "words": err.words}
    except OSError as err:
        return {"ok": False, "stage": "server", "words": f"{err.strerror}: {err.filename or ''}"}


def _carry_out(request: Json) -> Json:
    if "noted" in request:
        from flowmaster.host.remote.docker_journal import note

        note(str(request["project"]), str(request["run"]), request["noted"])
    if request["verb"] == "read":
        from flowmaster.host.remote.inspect import read

        return read(request)
    if request["verb"] == "ports":
        from flowmaster.host.remote.port_owners import search

        return search(request)
    if request["verb"] == "change":
        from flowmaster.host.remote.change import change

        if "run" not in request:
            return change(request)
        from flowmaster.host.remote.docker_journal import working

        with working(request):
            return change(request)
    if request["verb"] == "check":
        from flowmaster.host.remote.probe import check

        return check(request)
    if request["verb"] == "compose":
        from flowmaster.host.remote.docker_requests import carry_out

        return carry_out(request)
    raise Refused("request", f"unknown verb {request['verb']}")
