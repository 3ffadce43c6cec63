"""What every dynamic provider of the program shares: its configuration, and errors that read as they were written."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

import grpc
from pulumi.dynamic import ConfigureRequest, ResourceProvider

from config.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")
Props = dict[str, Any]
_CALLS = ("configure", "check", "diff", "create", "read", "update", "delete")


def configured(req: ConfigureRequest, key: str) -> Props:
    """What the stack says under a key, as a provider is told it."""
    text = req.config.get(f"flowmaster:{key}") or req.config.get(key)
    return json.loads(text) if isinstance(text, str) else dict(text or {})


class Provider(ResourceProvider):
    """A dynamic provider whose :class:`UserError` reaches the person as its three lines.

    Pulumi's server of dynamic providers ends a call with the traceback of its exception, or, before 3.272, leaves it to
    gRPC, which puts "Exception calling application:" before the text. It hands no provider the call's context, by which
    one could end the call with words of its own
    (https://github.com/pulumi/pulumi/blob/v3.272.0/sdk/python/lib/pulumi/dynamic/__main__.py). So the context is looked
    for among the callers, and whoever ends the call from then on does it with those words. Where there is none, the
    exception goes on as it is.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _CALLS:
            if name in vars(cls):
                setattr(cls, name, _readable(vars(cls)[name]))


def _readable(call: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(call)
    def ended_by_its_message(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except UserError as err:
            _end_call(err)

    return ended_by_its_message


def _end_call(err: UserError) -> NoReturn:
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        for value in list(caller.f_locals.values()):
            if isinstance(value, grpc.ServicerContext):
                abort = value.abort
                value.abort = lambda code, _, abort=abort: abort(code, str(err))
                value.abort(grpc.StatusCode.UNKNOWN, str(err))
        frame = caller
    raise err
