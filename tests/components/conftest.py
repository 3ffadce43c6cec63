"""A Pulumi engine that records what is registered, fresh for each test."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Remembers each resource: type token, name, inputs as the provider gets them."""

    resources: list[MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "kubernetes:core/v1:Service":
            outputs["spec"] = {"clusterIP": "10.43.0.77", **args.inputs["spec"]}
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None

    def of(self, typ: str) -> dict[str, dict[str, Any]]:
        """Inputs by name of all resources of one type."""
        return {r.name: r.inputs for r in self.resources if r.typ == typ}


@pytest.fixture(scope="module", autouse=True)
def no_leftovers() -> Iterator[None]:
    """Buries what the engine leaves behind. Done by chance while Python parses a module, it makes the parser fail."""
    yield
    gc.collect()


@pytest.fixture
def engine() -> Iterator[Recorder]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    recorder = Recorder()
    mocks.set_mocks(recorder, project="flowmaster", stack="demo", preview=False)
    yield recorder
    pulumi.runtime.settings.reset_options()
    # Pulumi may have put a loop of its own in the place of ours
    for used in {loop, asyncio.get_event_loop_policy().get_event_loop()}:
        used.close()
    asyncio.set_event_loop(None)
