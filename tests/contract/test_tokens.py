"""The mark as a token: on a real Redis and a real database, under the lock's rule; and every way of misusing one."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ivr.errors import InputError, StoreError, Unavailable
from ivr.lock import Issued, Reason
from ivr.lock.marktokens import KIND
from ivr.store import tokenkeys
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, NODE, PHONE, Desk, denied, desk_of
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

OURS = [ANNA.tenant]
WHO, OTHER = "https://crm.example.com", "https://erp.example.com"
TEXT = f"""[tokens]
audiences = ["{WHO}", "{OTHER}"]
[desk]
url = "https://desk.example.com"
"""


@pytest.fixture
async def desk(tmp_path: Path, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(settings_in(tmp_path, TEXT), server) as made, made.signer:
        yield made


async def issued(desk: Desk, audience: str = WHO) -> str:
    found = await desk.tokens.issue(ANNA, desk.id(), audience, (await desk.signed_in(ANNA))[1])
    assert isinstance(found, Issued), found
    return found.token


def part(token: str, at: int) -> dict[str, Any]:
    text = token.split(".")[at]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


async def test_a_token_says_who_is_on_which_call_of_whose_and_holds(desk: Desk) -> None:
    ref = await desk.call()
    token = await issued(desk)
    claims = await desk.tokens.holds(token, [WHO], OURS)
    assert claims is not None and claims == part(token, 1) and part(token, 0)["typ"] == KIND
    told = {name: claims[name] for name in ("iss", "aud", "sub", "call", "node", "channel", "agent", "login", "tenant", "level", "methods")}  # fmt: skip
    assert told == {
        "iss": "https://desk.example.com", "aud": WHO, "sub": ref, "call": desk.id(), "node": NODE, "channel": "c.1",
        "agent": "p-anna", "login": "anna", "tenant": "acme", "level": 2, "methods": ["pin", "sms_code"],
    }  # fmt: skip
    assert claims["exp"] - claims["iat"] == 120
    # of the customer's own nothing but the opaque reference
    for own in ("Xenia", PHONE, PHONE.removeprefix("+46")):
        assert own not in json.dumps(dict(claims))
    actor, action, outcome, call, subject, detail = await desk.last()
    assert (actor, action, outcome, call, subject) == ("desk:anna", "mark.token", "granted", "c.1", ref)
    assert (detail["audience"], detail["jti"], detail["level"]) == (WHO, claims["jti"], "2")
    assert token not in str(desk.log.lines)
    # the same customer again is no further read
    await issued(desk)
    assert await desk.tokens.holds(token, [WHO], OURS) is not None


async def test_it_never_outlives_the_mark(desk: Desk) -> None:
    ref = await desk.customer()
    await desk.marked(ref, seconds=30)
    desk.joined(ANNA, "c.1")
    claims = part(await issued(desk), 1)
    assert claims["exp"] <= int(time.time()) + 30


@pytest.mark.parametrize("reason", [Reason.NO_CALL, Reason.NOT_VERIFIED, Reason.THIRD_PARTY, Reason.NOT_IN_FORCE, Reason.NOT_PERMITTED, Reason.UNKNOWN_BRIDGES])  # fmt: skip
async def test_there_is_none_where_the_record_is_not_open(desk: Desk, reason: Reason) -> None:
    ref = await desk.customer()
    if reason is not Reason.NOT_VERIFIED:
        await desk.marked(ref)
    if reason is not Reason.NO_CALL:
        desk.joined(ANNA, "c.1", *(["c.2"] if reason is Reason.THIRD_PARTY else []))
    if reason is Reason.NOT_IN_FORCE:
        async with desk.database.write() as connection:
            customer = await desk.register.by_ref(connection, ref)
            assert customer is not None
            await desk.register.set_locked(connection, customer, locked=True)
    if reason is Reason.NOT_PERMITTED:
        desk.staff.change(ANNA, disabled=True)
    desk.talks.down = reason is Reason.UNKNOWN_BRIDGES
    assert await desk.tokens.issue(ANNA, desk.id(), WHO, (await desk.signed_in(ANNA))[1]) == denied(reason)
    actor, action, outcome, *_, detail = await desk.last()
    assert (actor, action, outcome, detail["reason"]) == ("desk:anna", "mark.token", "refused", reason.value)


async def test_there_is_none_for_another_call_or_audience_or_where_nobody_can_be_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.call()
    assert await desk.tokens.issue(ANNA, desk.id("c.9"), WHO, (await desk.signed_in(ANNA))[1]) == denied(Reason.NO_CALL)
    assert await desk.tokens.issue(ANNA, "", WHO, (await desk.signed_in(ANNA))[1]) == denied(Reason.NO_CALL)
    assert await desk.tokens.issue(BO, desk.id(), WHO, (await desk.signed_in(BO))[1]) == denied(Reason.NO_CALL)
    with pytest.raises(InputError, match="audience"):
        await desk.tokens.issue(ANNA, desk.id(), "https://evil.example.com", (await desk.signed_in(ANNA))[1])

    async def append(_: object) -> str:
        raise StoreError("database: gone")

    with monkeypatch.context() as patch:
        patch.setattr(desk.trail, "append", append)
        assert await desk.tokens.issue(ANNA, desk.id(), WHO, (await desk.signed_in(ANNA))[1]) == denied(
            Reason.UNAVAILABLE
        )


async def test_who_has_read_too_much_gets_none_and_those_given_hold_no_more(tmp_path: Path, server: Server) -> None:
    rules = {"reads": {"stop_hour": 1, "warn_hour": 1}}
    async with desk_of(settings_in(tmp_path, TEXT), server, rules) as desk, desk.signer:
        await desk.call()
        token = await issued(desk)
        await desk.marked(await desk.customer("10002", "Yngve Ask", "+46701234568"), "c.2")
        desk.joined(ANNA, "c.2")
        second = await desk.tokens.issue(ANNA, desk.id("c.2"), WHO, (await desk.signed_in(ANNA))[1])
        assert second == denied(Reason.TOO_MANY_READS)
        desk.joined(ANNA, "c.1")
        assert await desk.tokens.holds(token, [WHO], OURS) is None


async def test_a_caller_who_goes_in_the_midst_of_it_is_not_told_of(desk: Desk) -> None:
    await desk.call()

    for at in range(3, 12):
        desk.joined(ANNA, "c.1")

        async def gone(asked: int, at: int = at) -> None:
            if asked == at:
                desk.talks.talks.clear()

        desk.talks.asked, desk.talks.meanwhile = 0, gone
        found = await desk.tokens.issue(ANNA, desk.id(), WHO, (await desk.signed_in(ANNA))[1])
        desk.talks.meanwhile = None
        if isinstance(found, Issued):
            # it was asked no more often than this
            assert at > desk.talks.asked
            return
        assert found == denied(Reason.NO_CALL)
    pytest.fail("it is asked without end")


async def test_it_holds_as_long_as_the_rule_does_and_no_longer(desk: Desk) -> None:
    ref = await desk.call()
    token = await issued(desk)

    async def holds() -> bool:
        return await desk.tokens.holds(token, [WHO], OURS) is not None

    assert await holds()
    # the call is over
    desk.talks.talks.clear()
    assert not await holds()
    # transferred to a colleague, who is not whom it was given to
    desk.joined(BO, "c.1")
    assert not await holds()
    desk.talks.talks.clear()
    # another call of the same customer, verified too
    await desk.marked(ref, "c.2")
    desk.joined(ANNA, "c.2")
    assert not await holds()
    desk.joined(ANNA, "c.1")
    assert await holds()
    # somebody joins them
    desk.joined(ANNA, "c.1", "c.3")
    assert not await holds()
    desk.joined(ANNA, "c.1")
    # on the same call somebody else is verified, or the same one at a lower level
    await desk.marked(await desk.customer("10002", "Yngve Ask", "+46701234568"))
    assert not await holds()
    await desk.marked(ref, level=1)
    assert not await holds()
    await desk.marked(ref, level=3)
    assert await holds()
    # the agent is disabled
    desk.staff.change(ANNA, disabled=True)
    assert not await holds()
    desk.staff.change(ANNA, disabled=False)
    # the customer is locked
    async with desk.database.write() as connection:
        customer = await desk.register.by_ref(connection, ref)
        assert customer is not None
        await desk.register.set_locked(connection, customer, locked=True)
    assert not await holds()


async def test_it_ends_with_the_session_that_it_was_asked_for_by(desk: Desk) -> None:
    await desk.call()
    (mine, named), (other, _) = await desk.signed_in(), await desk.signed_in()
    found = await desk.tokens.issue(ANNA, desk.id(), WHO, named)
    assert isinstance(found, Issued)
    assert part(found.token, 1)["sid"] == named
    await desk.sessions.end(other)
    assert await desk.tokens.holds(found.token, [WHO], OURS) is not None
    await desk.sessions.end(mine)
    await desk.signed_in()
    assert await desk.tokens.holds(found.token, [WHO], OURS) is None


async def test_whoever_is_signed_out_by_others_has_no_token_either(desk: Desk) -> None:
    ref = await desk.call()
    token = await issued(desk)
    # the mark is there again, and the session is not
    await desk.link.ask("FLUSHALL")
    assert await desk.tokens.holds(token, [WHO], OURS) is None
    await desk.marked(ref)
    assert await desk.tokens.holds(token, [WHO], OURS) is None
    token = await issued(desk)
    assert await desk.tokens.holds(token, [WHO], OURS) is not None
    await desk.sessions.end_all(ANNA.tenant, ANNA.id)
    assert await desk.tokens.holds(token, [WHO], OURS) is None


async def test_what_is_not_known_is_no_answer(desk: Desk) -> None:
    await desk.call()
    token = await issued(desk)
    desk.talks.down = True
    with pytest.raises(Unavailable):
        await desk.tokens.holds(token, [WHO], OURS)
    desk.talks.down = False
    assert await desk.tokens.holds(token, [WHO], OURS) is not None


async def test_where_the_marks_are_away_there_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.call()

    async def marks(*_: object) -> None:
        raise StoreError("Redis did not answer in time")

    monkeypatch.setattr(desk.live, "marks", marks)
    assert await desk.tokens.issue(ANNA, desk.id(), WHO, (await desk.signed_in(ANNA))[1]) == denied(Reason.UNAVAILABLE)


async def test_for_another_audience_it_is_nothing(desk: Desk) -> None:
    await desk.call()
    token = await issued(desk, OTHER)
    assert await desk.tokens.holds(token, [OTHER], OURS) is not None
    assert await desk.tokens.holds(token, [WHO], OURS) is None
    assert await desk.tokens.holds(token, [], OURS) is None
    # nor does a program of another tenant hear of it
    assert await desk.tokens.holds(token, [OTHER], ["main"]) is None
    # signed by the same key for something else
    claims = {name: value for name, value in part(token, 1).items() if name not in ("iss", "aud", "iat", "exp")}
    assert await desk.tokens.holds(desk.signer.sign(claims, OTHER, 60, kind="JWT"), [OTHER], OURS) is None
    assert await desk.tokens.holds(desk.signer.sign({}, OTHER, 60, kind=KIND), [OTHER], OURS) is None
    assert await desk.tokens.holds(desk.signer.sign(claims, "evil", 60, kind=KIND), ["evil"], OURS) is None
    assert (
        await desk.tokens.holds(desk.signer.sign({**claims, "agent": "nobody"}, OTHER, 60, kind=KIND), [OTHER], OURS)
        is None
    )


async def test_when_its_key_is_thrown_away_it_holds_no_more(desk: Desk) -> None:
    await desk.call()
    token = await issued(desk)
    async with desk.database.write() as connection:
        await tokenkeys.begin_anew(connection, desk.vault, time.time(), 30)
    await desk.signer.look()
    assert await desk.tokens.holds(token, [WHO], OURS) is None
    assert await desk.tokens.holds(await issued(desk), [WHO], OURS) is not None


async def test_in_its_time_it_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.call()
    token = await issued(desk)
    monkeypatch.setattr(desk.signer, "_wall", lambda: time.time() + 120)
    assert await desk.tokens.holds(token, [WHO], OURS) is None
