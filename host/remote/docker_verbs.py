"""What may be asked about a compose project, each by its name."""

from __future__ import annotations

from host.remote.common import Json, Refused


def carry_out(request: Json) -> Json:
    """Do what is asked and answer."""
    if request["do"] == "read":
        from host.remote.docker import project

        return project(request)
    raise Refused("request", f"unknown request {request['do']} about a compose project")
