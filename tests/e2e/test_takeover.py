"""A worker dies, or is stopped, and another one on the same Redis goes on with its calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from rig.stage import ANNA, BO
from rig.worker import Worker

from tests.e2e.scene import Scene


@pytest.fixture
async def heir(scene: Scene) -> AsyncIterator[Worker]:
    """A second worker, which stands by."""
    second = scene.another()
    second.launch()
    try:
        await scene.logged("worker.stands_by", of=second)
        yield second
    finally:
        second.stop()


async def test_a_worker_that_dies_is_replaced_by_the_one_that_stands_by(scene: Scene, heir: Worker) -> None:
    assert scene.log("worker.replaced") == [] and scene.log("ari.connected", of=heir) == []
    scene.worker.kill()
    await scene.logged("worker.took_over", of=heir)
    await scene.logged("reconciled", of=heir)
    caller = await scene.caller("100")
    await scene.logged("entry.asked", of=heir)
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)
