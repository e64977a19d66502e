"""Sessions: as long as they are used, no longer than their hours, and gone at once where they are ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.staff import Denied, LastSignIn, Person, Role, SignedIn
from ivr.store.live import RedisLive
from tests.contract.live_server import Server

pytestmark = pytest.mark.servers

DESK = "[desk]\nidle_minutes = 15\nsession_hours = 2\n"
LAST = LastSignIn("2026-01-01T00:00:00.000000Z", "203.0.113.*", 2)


def signed_in(login: str, tenant: str = "main", since: int = 2**53) -> SignedIn:
    """Of a time at which nothing was ended yet, unless told otherwise."""
    return SignedIn(Person(f"id-{login}", tenant, login, login, Role.AGENT), LAST, since)


async def test_a_session_is_what_was_begun_and_its_token_is_nowhere(server: Server) -> None:
    configured = server.settings(DESK)
    live = await RedisLive.open(configured)
    sessions = live.sessions(configured.desk)
    begun = await sessions.begin(signed_in("anna", "south"))
    assert not isinstance(begun, Denied)
    token, session = begun
    assert await sessions.of(token, used=False) == session
    assert (session.tenant, session.person, session.last) == ("south", "id-anna", LAST)
    assert session.proved == session.begun and not session.elsewhere
    for wrong in (
        "",
        "south.",
        token.reveal().replace("south.", "north."),
        token.reveal()[:-1] + "x",
        "x" * 9999,
        "é.\ud800",
    ):
        assert await sessions.of(Secret(wrong)) is None
        assert not await sessions.end(Secret(wrong))
    for key in server.client.scan_iter():
        assert ":south:" in key
        assert 0 < server.client.pttl(key) <= 7_200_000
        assert token.reveal().removeprefix("south.") not in key
    assert await sessions.end(token) and not await sessions.end(token)
    assert await sessions.of(token) is None
    assert server.client.keys() == []
    server.pause(on=True)
    try:
        with pytest.raises(StoreError):
            async with asyncio.timeout(8):
                await sessions.of(token)
    finally:
        server.pause(on=False)
    await live.close()


@dataclass
class Begun:
    token: Secret
    login: str
    idle: float
    ends: float
    over: bool = False


def test_sessions_follow_the_model() -> None:
    with Server() as server, asyncio.Runner() as runner:
        configured = server.settings(DESK)
        live = runner.run(RedisLive.open(configured))
        sessions = live.sessions(configured.desk)

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                server.client.flushdb()
                self.now = 0.0
                self.begun: list[Begun] = []

            def there(self, one: Begun) -> bool:
                return not one.over and self.now < min(one.idle, one.ends)

            @rule(login=st.sampled_from(["anna", "bo"]))
            def begin(self, login: str) -> None:
                made = runner.run(sessions.begin(signed_in(login)))
                assert not isinstance(made, Denied)
                self.begun.append(Begun(made[0], login, self.now + 900, self.now + 7200))

            @precondition(lambda self: self.begun)
            @rule(data=st.data(), used=st.booleans())
            def look(self, data: st.DataObject, used: bool) -> None:
                one = data.draw(st.sampled_from(self.begun))
                found = runner.run(sessions.of(one.token, used=used))
                assert (found is not None) == self.there(one)
                if found is not None:
                    assert found.person == f"id-{one.login}"
                    if used:
                        one.idle = self.now + 900

            @precondition(lambda self: self.begun)
            @rule(data=st.data())
            def end(self, data: st.DataObject) -> None:
                one = data.draw(st.sampled_from(self.begun))
                assert runner.run(sessions.end(one.token)) == self.there(one)
                one.over = True

            @rule(login=st.sampled_from(["anna", "bo"]))
            def end_all(self, login: str) -> None:
                theirs = [one for one in self.begun if one.login == login]
                assert runner.run(sessions.end_all("main", f"id-{login}")) == sum(map(self.there, theirs))
                for one in theirs:
                    one.over = True
                assert isinstance(runner.run(sessions.begin(signed_in(login, since=1))), Denied)

            # seen is not moved with the time: what a session's idle time is, its key's life says
            @rule(seconds=st.sampled_from([60, 600, 840, 960, 7000]))
            def pause(self, seconds: int) -> None:
                server.pass_time(seconds)
                self.now += seconds

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=60,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
        runner.run(live.close())
