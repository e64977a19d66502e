"""A stage for each module, a worker and clean stores for each test; nothing may be left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import count

import pytest
import redis
from rig import warm
from rig.ami import Ami
from rig.stage import CHEAP_PINS, Stage
from rig.worker import Worker

from tests.e2e.scene import Scene

_serial = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in item.nodeid or item.nodeid.startswith("tests/e2e"):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="module", autouse=True)
def interpreter(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether a module's workers and commands start an interpreter each: one that says `COLD` tests how they start."""
    warm.want(warm=not getattr(request.module, "COLD", False))
    yield
    warm.want(warm=False)


@pytest.fixture
def cold(interpreter: None) -> Iterator[None]:
    """A worker of this test is known by its command line."""
    warm.want(warm=False)
    yield
    warm.want(warm=True)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The module may say `SETTINGS`, and what else `Stage` takes in `STAGE`."""
    settings = {**CHEAP_PINS, **getattr(request.module, "SETTINGS", {})}
    more = {"brisk": True, **getattr(request.module, "STAGE", {})}
    with Stage(settings=settings, name=request.module.__name__.rpartition(".")[2][:24], **more) as made:
        yield made


@pytest.fixture
def worker(stage: Stage) -> Iterator[Worker]:
    with stage.worker(f"worker{next(_serial)}") as running:
        yield running


@pytest.fixture
async def scene(stage: Stage, worker: Worker) -> AsyncIterator[Scene]:
    for text in stage.outbox.glob("*.json"):
        text.unlink()
    with redis.Redis(port=stage.redis.port, password=stage.redis.password) as client:
        # the worker has its application by then; and who has signed in once for a module is signed in
        if left := [key for key in client.scan_iter() if b":lease:" not in key and b":session:" not in key]:
            client.delete(*left)
    async with AsyncExitStack() as stack:
        ami = await stack.enter_async_context(Ami(stage.pbx))
        made = Scene(stage, worker, stack, ami)
        yield made
    await made.idle()
    assert not (strays := made.strays()), f"lines of a call without it, or with one that is not theirs: {strays}"
    for trouble in ("task.failed", "call.stuck", "channel.stuck", "bridge.left", "prompt.failed"):
        assert not made.log(trouble), f"the worker logged {trouble}"
