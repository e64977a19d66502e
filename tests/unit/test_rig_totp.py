"""The rig's authenticator app: its codes are good when they arrive, at any moment of the half minute, and each is another."""

from __future__ import annotations

import pytest
from rig.totp import App

from ivr.secret import Secret
from ivr.vault import totp

KEY = totp.new()


@pytest.mark.parametrize("into", [0.0, 0.1, 9.0, 19.9, 20.0, 20.1, 25.0, 29.99])
async def test_each_is_accepted_when_it_arrives_and_behind_the_one_before(into: float) -> None:
    begun = 1_800_000_000 + into
    moments = iter([begun, begun + 1, *(begun + 1 + 0.2 * number for number in range(1000))])
    now, last = begun, -1

    def clock() -> float:
        nonlocal now
        now = next(moments)
        return now

    app = App(KEY.reveal(), clock)
    for _ in range(2):
        code = Secret(await app.code())
        for arrives in (now, now + 9.9):
            step = totp.step_of(KEY, code, arrives)
            assert step is not None and step > last
        last = step


async def test_where_none_is_left_it_waits_for_the_next() -> None:
    seconds = iter([1_800_000_000.0] * 3 + [1_800_000_000.0, 1_800_000_031.0])
    app = App(KEY.reveal(), lambda: next(seconds))
    codes = [await app.code() for _ in range(4)]
    assert len(set(codes)) == 4 and next(seconds, None) is None
