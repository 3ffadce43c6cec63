"""The patches of Pulumi's SDK: each works, is still needed by the installed SDK, and can be switched off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import stack
from pulumi.runtime.mocks import test as pulumi_test
from pulumi.runtime.settings import SETTINGS

from components import sdk_patches

MANY = 200


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK as installed; every patch of a test is taken back after it."""
    monkeypatch.setattr(stack, "asyncio", asyncio)
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    SETTINGS.outputs.clear()
    yield
    SETTINGS.outputs.clear()


@pytest.fixture
def patched(sdk: None) -> None:
    """The SDK waits for all outputs at once."""
    sdk_patches.wait_for_all_outputs_at_once()


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


async def many_outputs() -> list[pulumi.Output[Any]]:
    futures: list[asyncio.Future[Any]] = [asyncio.get_running_loop().create_future() for _ in range(MANY)]
    outputs = [output(future) for future in futures]
    work = asyncio.ensure_future(one_after_the_other(futures))
    await stack.wait_for_rpcs()
    assert all(future.done() for future in futures)
    await work
    return outputs


def test_upstream_still_waits_once_for_each_output(waits: list[int]) -> None:
    asyncio.run(many_outputs())
    assert len(waits) > MANY / 2, "the SDK waits for all outputs at once: drop wait_for_all_outputs_at_once"


@pytest.mark.usefixtures("patched")
def test_many_outputs_that_become_known_one_by_one_are_waited_for_a_few_times(waits: list[int]) -> None:
    asyncio.run(many_outputs())
    assert waits[0] == MANY
    assert len(waits) < 5


@pytest.mark.usefixtures("patched")
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


@pytest.mark.usefixtures("patched")
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


@pytest.mark.usefixtures("engine")
def test_upstream_still_sends_debug_messages_for_each_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = debug_messages(monkeypatch)
    assert sent >= MANY, "the SDK sends few debug messages: drop drop_debug_messages"


@pytest.mark.usefixtures("engine")
def test_no_debug_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert debug_messages(monkeypatch, sdk_patches.drop_debug_messages) == 0


@pytest.mark.usefixtures("engine")
def test_debug_messages_are_sent_where_somebody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sdk_patches.DEBUG, "1")
    assert debug_messages(monkeypatch, sdk_patches.drop_debug_messages) >= MANY


def test_the_sdk_can_be_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = (stack.asyncio, pulumi.log.debug)  # type: ignore[attr-defined]
    monkeypatch.setenv(sdk_patches.PLAIN, "1")
    sdk_patches.apply()
    assert (stack.asyncio, pulumi.log.debug) == before  # type: ignore[attr-defined]


def test_an_sdk_that_looks_different_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stack, "asyncio")
    sdk_patches.wait_for_all_outputs_at_once()
    assert not hasattr(stack, "asyncio")


def debug_messages(monkeypatch: pytest.MonkeyPatch, patch: Callable[[], None] = lambda: None) -> int:
    """How many debug messages the SDK sends for so many resources."""
    sent: list[str] = []
    monkeypatch.setattr(pulumi.log, "debug", lambda message, *_, **__: sent.append(message))
    patch()

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[object]:
        made = [pulumi.CustomResource("test:index:Thing", f"thing-{number}", {}) for number in range(MANY)]
        return pulumi.Output.all(*(resource.urn for resource in made))

    program()
    return len(sent)
