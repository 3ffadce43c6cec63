"""What the program does to Pulumi's SDK, held against the SDK that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import stack
from pulumi.runtime.settings import SETTINGS

from components import program

MANY = 200


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK as the program leaves it; as it was again after the test."""
    monkeypatch.setattr(stack, "asyncio", stack.asyncio)  # type: ignore[attr-defined]
    program.wait_for_all_outputs_at_once()
    SETTINGS.outputs.clear()
    yield
    SETTINGS.outputs.clear()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each call of `asyncio.wait` was given."""
    found: list[int] = []
    wait = asyncio.wait

    async def counted(tasks: Any, **options: Any) -> Any:
        found.append(len(tasks))
        return await wait(tasks, **options)

    monkeypatch.setattr(asyncio, "wait", counted)
    return found


def output(future: asyncio.Future[Any]) -> pulumi.Output[Any]:
    """Of the future, known once that is."""
    known: asyncio.Future[bool] = future.get_loop().create_future()
    known.set_result(True)
    return pulumi.Output(set(), future, known)


async def one_after_the_other(futures: list[asyncio.Future[Any]]) -> None:
    for number, future in enumerate(futures):
        future.set_result(number)
        await asyncio.sleep(0.001)


def test_many_outputs_that_become_known_one_by_one_are_waited_for_a_few_times(waits: list[int]) -> None:
    async def run() -> list[pulumi.Output[Any]]:
        futures: list[asyncio.Future[Any]] = [asyncio.get_running_loop().create_future() for _ in range(MANY)]
        outputs = [output(future) for future in futures]
        work = asyncio.ensure_future(one_after_the_other(futures))
        await stack.wait_for_rpcs()
        assert all(future.done() for future in futures)
        await work
        return outputs

    asyncio.run(run())
    assert waits[0] == MANY
    assert len(waits) < 5


def test_an_output_that_comes_while_others_are_waited_for_is_waited_for_too() -> None:
    later: list[asyncio.Future[Any]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        first: asyncio.Future[Any] = loop.create_future()
        kept = [output(first)]

        def more() -> None:
            later.append(loop.create_future())
            kept.append(output(later[0]))
            first.set_result(1)
            loop.call_later(0.05, later[0].set_result, 2)

        loop.call_later(0.05, more)
        await stack.wait_for_rpcs()

    asyncio.run(run())
    assert later[0].result() == 2


def test_an_output_that_fails_ends_the_waiting_at_once() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        fails, never = loop.create_future(), loop.create_future()
        kept = [output(fails), output(never)]
        loop.call_later(0.05, fails.set_exception, ValueError("the registry is gone"))
        try:
            await asyncio.wait_for(stack.wait_for_rpcs(), 5)
        finally:
            never.set_result(None)
            await asyncio.gather(*(each.future() for each in kept), return_exceptions=True)

    with pytest.raises(ValueError, match="the registry is gone"):
        asyncio.run(run())
