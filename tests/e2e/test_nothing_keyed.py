"""A caller who keys nothing: soon over, and no guess. Apart from the others, who would be late by these waits."""

from __future__ import annotations

from tests.e2e.scene import Scene

SETTINGS = {"keypad": {"first_seconds": 1, "between_seconds": 1, "slips": 2}}


async def test_nothing_keyed_is_a_timeout_and_no_guess(scene: Scene) -> None:
    await scene.caller("100")
    await scene.reached("unverified", Status="timeout")
    with scene.redis as client:
        assert list(client.scan_iter("*:fail:*")) == []
