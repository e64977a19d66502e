"""Signing in and out by a provider: back to where somebody was, anew where it must be, for whose people, and out there too."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from ivr.secret import Secret
from ivr.staff import Denied, SignedIn
from ivr.web.visit import SESSION
from tests.contract.openid_kit import Opened, Visitor, World, opened, world
from tests.contract.openid_provider import CLIENT
from tests.unit.database_kit import asked

__all__ = ["opened", "world"]
pytestmark = pytest.mark.servers


# ---------------------------------------------------------------- back to where they were


async def test_who_was_on_a_page_comes_back_to_it(world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    assert (await visitor.get("/account"))[:2] == (303, "/sign-in?for=account")
    assert await visitor.signs_in("account") == 200
    assert 'content="0;url=/account"' in visitor.text and 'href="/account"' in visitor.text


@pytest.mark.parametrize("goal", ["https://evil.net", "//evil.net", "/account", "account/..", "sign-in", "\\evil"])
async def test_it_is_a_page_of_ours_or_the_start(goal: str, world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    assert await visitor.signs_in(goal) == 200
    assert 'content="0;url=/"' in visitor.text and "evil" not in visitor.text


async def test_a_failure_there_forgets_it_not(world: World) -> None:
    await world.linked()
    world.op.error = "access_denied"
    visitor = world.visitor()
    assert await visitor.signs_in("account") == 403
    assert visitor.text.count('name="for" value="account"') == 2, "one for each way of signing in"


# ---------------------------------------------------------------- anew


async def test_a_provider_that_remembers_makes_no_fresh_sign_in(world: World) -> None:
    """Somebody at an unlocked browser: the provider lets them in without a word, and so they change no passkey."""
    await world.linked()
    visitor = world.visitor()
    for told in ({}, {"auth_time": int(time.time()) - 3600}, {"auth_time": True}, {"auth_time": 0}, {"auth_time": "now"},
                 {"auth_time": int(time.time()) + 3600}, {"auth_time": float(time.time())}):  # fmt: skip
        world.op.tamper = lambda claims, told=told: {**claims, **told}  # type: ignore[misc]
        assert await visitor.signs_in("account") == 200
        assert (await visitor.send("/account/passkey"))[0] == 403, told
        assert (await visitor.send("/account/passkeys/x", do="remove"))[0] == 403, told
        visitor = world.visitor()
    world.op.tamper = lambda claims: {**claims, "auth_time": int(time.time())}
    assert await visitor.signs_in("account") == 200
    assert (await visitor.send("/account/passkey"))[0] == 200


async def test_who_comes_to_change_something_is_asked_anew_there(world: World) -> None:
    usual = parse_qs(urlsplit(await world.visitor().begin()).query)
    assert not {"prompt", "max_age"} & set(usual)
    anew = parse_qs(urlsplit(await world.visitor().begin("account")).query)
    assert anew["prompt"] == ["login"] and anew["max_age"] == ["600"]


async def test_a_provider_that_says_nothing_of_it_is_told_of(world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    assert await visitor.signs_in("account") == 200
    assert "does not say when you have signed in there" in (await visitor.get("/account"))[2]
    world.op.extra = {"auth_time": int(time.time()) - 3600}
    visitor = world.visitor()
    assert await visitor.signs_in("account") == 200
    assert "it is too long ago" in (await visitor.get("/account"))[2]


# ---------------------------------------------------------------- who that is


@pytest.mark.parametrize("name", ["\N{KELVIN SIGN}im", "\N{LATIN SMALL LETTER LONG S}iv"])
async def test_a_letter_that_only_becomes_ours_is_not_ours(name: str, opened: Opened) -> None:
    """Whoever can choose a name at the provider takes one that is folded to a colleague's login."""
    async with opened('link_by = "preferred_username"\n') as world:
        for login in ("kim", "siv"):
            await world.house.enrolled(login)
        world.op.extra = {"preferred_username": name}
        assert await world.visitor().signs_in() == 403
        world.op.extra = {"preferred_username": "KIM"}
        assert await world.visitor().signs_in() == 200


async def test_the_trail_says_who_was_not_let_in(opened: Opened) -> None:
    async with opened('[desk.oidc.groups]\nagent = ["callcentre"]\n') as world:
        anna = await world.linked()
        assert await world.visitor().signs_in() == 403
        query = "SELECT actor, subject FROM audit WHERE action = 'desk.sign_in' AND outcome = 'refused'"
        assert await asked(world.house.database, query) == [("desk:anna", anna.id)]


async def test_it_is_one_tenants_and_signs_in_its_people_alone(opened: Opened) -> None:
    async with opened('tenant = "south"\nlink_by = "preferred_username"\n') as world:
        await world.linked(tenant="south")
        visitor = world.visitor()
        assert await visitor.signs_in() == 200
        assert "</span> Name of anna</a>" in (await visitor.get("/"))[2]
        (session,) = [key async for key in _sessions(world)]
        assert ":session:south:" in session
        await world.house.enrolled("bo")
        world.op.user = "another"
        world.op.extra = {"preferred_username": "bo"}
        assert await world.visitor().signs_in() == 403
        bo = await world.house.people.find("main", "bo")
        assert bo is not None and world.desk.web.elsewhere is not None
        assert await world.desk.web.elsewhere.identities.link(bo, world.op.issuer, world.op.subject())
        assert await world.visitor().signs_in() == 403


async def _sessions(world: World) -> AsyncIterator[str]:
    for key in await world.house.live._link.ask("KEYS", f"{world.house.settings.redis.prefix}:session:*"):
        yield key.decode()


# ---------------------------------------------------------------- out


async def test_who_signs_out_is_shown_the_way_out_there(world: World) -> None:
    world.op.document = {"end_session_endpoint": f"{world.op.issuer}/leave?x=1"}
    await world.linked()
    visitor = world.visitor()
    assert await visitor.signs_in() == 200
    token = next(cookie.value for cookie in visitor.jar if cookie.key == SESSION)
    status, where, _ = await visitor.send("/sign-out")
    assert (status, where) == (303, "/sign-in?signed_out&provider")
    assert await world.house.sessions.of(Secret(token)) is None
    assert 'href="/sign-out/provider"' in (await visitor.get(where))[2]
    to = await _leaves(visitor)
    assert to.startswith(f"{world.op.issuer}/leave?x=1&")
    assert parse_qs(urlsplit(to).query) == {
        "x": ["1"], "client_id": [CLIENT], "post_logout_redirect_uri": [f"{world.desk.url}/sign-in"],
    }  # fmt: skip


async def test_who_has_signed_in_here_is_not_shown_it(world: World) -> None:
    anna = await world.house.enrolled("anna")
    entered = await world.house.sign_in(anna.login)
    assert isinstance(entered, SignedIn)
    begun = await world.house.door.begin(entered)
    assert not isinstance(begun, Denied) and not begun[1].elsewhere
    assert "/sign-out/provider" not in (await world.visitor().get("/sign-in?signed_out"))[2]


async def test_where_the_settings_say_so_one_goes_on_by_oneself(opened: Opened) -> None:
    async with opened("sign_out = true\n") as world:
        world.op.document = {"end_session_endpoint": f"{world.op.issuer}/leave"}
        await world.linked()
        visitor = world.visitor()
        assert await visitor.signs_in() == 200
        assert (await visitor.send("/sign-out"))[:2] == (303, "/sign-out/provider")
        assert (await _leaves(visitor)).startswith(f"{world.op.issuer}/leave?")


@pytest.mark.parametrize("place", [None, "http://evil.net/leave", "javascript:alert(1)", 17])
async def test_a_provider_without_such_a_place(place: object, world: World) -> None:
    world.op.document = {"end_session_endpoint": place}
    status, _, text = await world.visitor().get("/sign-out/provider")
    assert status == 404 and "has no place to sign out at" in text and "evil" not in text
    await world.op.leave()
    elsewhere = world.desk.web.elsewhere
    assert elsewhere is not None
    elsewhere.provider._kept = None
    status, _, text = await world.visitor().get("/sign-out/provider")
    assert status == 503 and "does not answer" in text


async def test_everywhere(world: World) -> None:
    await world.linked()
    first, second = world.visitor(), world.visitor()
    assert (await first.signs_in(), await second.signs_in()) == (200, 200)
    assert (await first.send("/sign-out", everywhere="yes"))[:2] == (303, "/sign-in?signed_out&provider")
    assert (await second.get("/account"))[0] == 303
    assert [key async for key in _sessions(world)] == []


async def _leaves(visitor: Visitor) -> str:
    status, _, text = await visitor.get("/sign-out/provider")
    assert status == 200
    return unescape(text.split('content="0;url=')[1].split('"')[0])
