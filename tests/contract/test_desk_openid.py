"""Signing in by an OpenID provider that really holds codes and signs, honest and lying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import trustme
from joserfc.jwk import RSAKey

from ivr.staff import Denied
from tests.contract.authenticator import Authenticator
from tests.contract.desk_kit import HERE
from tests.contract.live_server import Server
from tests.contract.openid_kit import Opened, Visitor, World, opened, world
from tests.contract.openid_provider import CLIENT, SECRET
from tests.contract.signin_kit import site
from tests.contract.test_desk_door import WRONG
from tests.unit.conftest import Either
from tests.unit.database_kit import asked

__all__ = ["opened", "world"]
pytestmark = pytest.mark.servers


async def test_who_is_linked_signs_in(world: World) -> None:
    anna, visitor = await world.linked(), world.visitor()
    assert await visitor.signs_in() == 200
    assert visitor.in_ and 'content="0;url=/"' in visitor.text
    async with visitor.browser() as browser:
        assert "Name of anna" in await (await browser.get(f"{world.desk.url}/")).text()
    row = (await asked(world.house.database, "SELECT actor, action, outcome, detail FROM audit ORDER BY seq"))[-1]
    assert row[:3] == (anna.actor, "desk.sign_in", "done") and "oidc" in row[3]
    assert world.op.asked == ["document", "authorize", "token", "keys"]
    # nothing of it is asked for again for an hour
    assert await world.visitor().signs_in() == 200
    assert world.op.asked[4:] == ["authorize", "token"]
    assert world.desk.log.lines and not any(SECRET in str(line) for line in world.desk.log.lines)


async def test_what_the_provider_is_asked_for(world: World) -> None:
    address = await world.visitor().begin()
    asked_for = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked_for.pop(name)) == 43
    assert asked_for == {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": f"{world.desk.url}/sign-in/provider", "scope": "openid",
        "code_challenge_method": "S256",
    }  # fmt: skip


async def test_whom_nobody_has_linked_is_nobody(world: World) -> None:
    await world.house.enrolled("anna")
    visitor = world.visitor()
    assert await visitor.signs_in() == 403
    assert not visitor.in_ and "nobody here goes with that account" in visitor.text
    assert await world.refusals() == ["unlinked"]
    assert (await world.house.rows())[-1] == ("desk:?", "desk.sign_in", "refused")


async def test_who_is_disabled_or_was_while_they_were_there(world: World) -> None:
    anna, visitor = await world.linked(), world.visitor()
    back = await visitor.there(await visitor.begin())
    async with world.house.database.write() as connection:
        await world.house.roster.disable(connection, anna)
    assert await visitor.back(back) == 403
    assert not visitor.in_ and await world.refusals() == ["disabled"]


LIES: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "another nonce": ("claims", lambda claims: {**claims, "nonce": "n"}),
    "a list of nonces": ("claims", lambda claims: {**claims, "nonce": [claims["nonce"]]}),
    "no nonce": ("claims", lambda claims: {name: value for name, value in claims.items() if name != "nonce"}),
    "another issuer": ("claims", lambda claims: {**claims, "iss": "https://evil.net"}),
    "a list of issuers": ("claims", lambda claims: {**claims, "iss": [claims["iss"]]}),
    "another audience": ("claims", lambda claims: {**claims, "aud": "other"}),
    "several audiences": ("claims", lambda claims: {**claims, "aud": [CLIENT, "other"]}),
    "for another": ("claims", lambda claims: {**claims, "aud": [CLIENT, "other"], "azp": "other"}),
    "expired": ("claims", lambda claims: {**claims, "exp": int(time.time()) - 61}),
    "no end": ("claims", lambda claims: {name: value for name, value in claims.items() if name != "exp"}),
    "of tomorrow": ("claims", lambda claims: {**claims, "iat": int(time.time()) + 600}),
    "not yet": ("claims", lambda claims: {**claims, "nbf": int(time.time()) + 600}),
    "nobody": ("claims", lambda claims: {**claims, "sub": ""}),
    "a subject that is none": ("claims", lambda claims: {**claims, "sub": "x" * 256}),
    "a number": ("claims", lambda claims: {**claims, "sub": 17}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_a_token_must_not_say(lie: str, world: World) -> None:
    await world.linked()
    why, world.op.tamper = LIES[lie]
    visitor = world.visitor()
    assert await visitor.signs_in() == 403
    assert not visitor.in_ and await world.refusals() == [why]
    world.op.tamper = None
    assert await world.visitor().signs_in() == 200


async def test_who_must_have_signed_it(world: World) -> None:
    await world.linked()
    op = world.op
    stranger = RSAKey.generate_key(2048)
    for sign in (
        op.unsigned, op.by_secret, op.by_another, lambda claims: op.signed(claims, key=stranger),
        lambda claims: op.signed(claims)[:-4], lambda _: "rubbish", lambda _: "..", lambda _: "a.b.c.d.e",
    ):  # fmt: skip
        op.sign = sign
        visitor = world.visitor()
        assert await visitor.signs_in() == 403
        assert not visitor.in_
    assert set(await world.refusals()) == {"signature"}


async def test_several_audiences_with_us_as_the_one_who_asked(world: World) -> None:
    await world.linked()
    world.op.tamper = lambda claims: {**claims, "aud": [CLIENT, "other"], "azp": CLIENT, "iat": int(time.time()) + 30}
    assert await world.visitor().signs_in() == 200


async def test_a_new_key_is_fetched_when_it_is_met(world: World) -> None:
    await world.linked()
    assert await world.visitor().signs_in() == 200
    world.op.rotate("k2")
    # who is linked stays so: the subject goes with the user
    elsewhere = world.desk.web.elsewhere
    assert elsewhere is not None
    elsewhere.provider._keys = (time.time() - 31, elsewhere.provider._keys[1])  # type: ignore[index]
    assert await world.visitor().signs_in() == 200
    asked_before = world.op.asked.count("keys")
    # one that nobody has is not asked for by everybody who makes one up
    world.op.sign = lambda claims: world.op.signed(claims, key=RSAKey.generate_key(2048), kid="made up")
    for _ in range(3):
        assert await world.visitor().signs_in() == 403
    assert world.op.asked.count("keys") == asked_before


# ---------------------------------------------------------------- the way back


async def test_each_way_back_is_gone_once(world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    back = await visitor.there(await visitor.begin())
    both = await asyncio.gather(*(Visitor(world.desk, visitor.jar).back(back) for _ in range(3)))
    assert sorted(both) == [200, 400, 400]
    assert await visitor.back(back) == 400
    assert "Begin again" in visitor.text


async def test_a_sign_in_that_another_browser_began_is_nobodys(world: World) -> None:
    """Login CSRF: somebody has begun as himself, and has another open the way back."""
    await world.linked()
    attacker, victim = world.visitor(), world.visitor()
    back = await attacker.there(await attacker.begin())
    assert await victim.back(back) == 400
    await victim.begin()
    assert await victim.back(back) == 400
    assert not victim.in_
    state = parse_qs(urlsplit(await victim.begin()).query)["state"][0]
    code = parse_qs(urlsplit(back).query)["code"][0]
    # his code in the victim's own way back: the verifier is not his
    assert await victim.back(f"{world.desk.url}/sign-in/provider?code={code}&state={state}") == 403
    assert not victim.in_ and await world.refusals() == ["code"]


async def test_a_code_is_good_once(world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    back = await visitor.there(await visitor.begin())
    assert await visitor.back(back) == 200
    code = parse_qs(urlsplit(back).query)["code"][0]
    visitor = world.visitor()
    state = parse_qs(urlsplit(await visitor.begin()).query)["state"][0]
    assert await visitor.back(f"{world.desk.url}/sign-in/provider?code={code}&state={state}") == 403
    assert await world.refusals() == ["code"]


async def test_another_provider_that_answers_in_its_stead(world: World) -> None:
    """Mix-up (RFC 9207): `iss` is looked at where it is there, and missed where it must be."""
    await world.linked()
    world.op.answer_issuer = "https://evil.net"
    assert await world.visitor().signs_in() == 403
    assert await world.refusals() == ["issuer"]
    assert "token" not in world.op.asked, "the code goes nowhere"
    world.op.answer_issuer = world.op.issuer
    assert await world.visitor().signs_in() == 200
    elsewhere = world.desk.web.elsewhere
    assert elsewhere is not None
    elsewhere.provider._kept = None
    world.op.document["authorization_response_iss_parameter_supported"] = True
    assert await world.visitor().signs_in() == 200
    world.op.answer_issuer = None
    assert await world.visitor().signs_in() == 403


async def test_who_changes_their_mind_there(world: World) -> None:
    await world.linked()
    world.op.error = "access_denied"
    visitor = world.visitor()
    assert await visitor.signs_in() == 403
    assert "did not sign you in here" in visitor.text and await world.refusals() == ["error"]
    for query in ("", "?", "?state=x", "?code=x", "?state=%00&code=%ff"):
        assert await visitor.back(f"{world.desk.url}/sign-in/provider{query}") == 400


# ---------------------------------------------------------------- a provider that does not answer


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"issuer": "https://evil.net"}, "calls itself otherwise"),
        ({"token_endpoint": "http://evil.net/token"}, "in clear, or to none"),
        ({"jwks_uri": None}, "in clear, or to none"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE with S256"),
    ],
    ids=str,
)
async def test_a_document_that_leads_elsewhere(document: dict[str, Any], told: str, world: World) -> None:
    await world.linked()
    world.op.document = document
    visitor = world.visitor()
    assert await visitor.begin() == "" and visitor.status == 503
    assert "The company does not answer" in visitor.text
    assert any(told in line["error"] for line in world.desk.log.lines if line["event"] == "oidc.failed")


async def test_a_provider_that_is_slow_or_broken_is_told_of_and_the_password_is_good(world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    world.op.deaf.clear()
    with world.impatient():
        assert await visitor.begin() == "" and visitor.status == 503
    world.op.deaf.set()
    back = await visitor.there(await visitor.begin())
    world.op.token_status = 500
    assert await visitor.back(back) == 503 and not visitor.in_
    assert "does not answer" in visitor.text
    assert not isinstance(await world.house.sign_in("anna"), Denied)


@pytest.mark.parametrize("how", ["no document", "no json", "much", "no keys", "away"])
async def test_what_it_answers_may_be_anything(how: str, world: World) -> None:
    await world.linked()
    visitor = world.visitor()
    back = await visitor.there(await visitor.begin())
    elsewhere = world.desk.web.elsewhere
    assert elsewhere is not None
    match how:
        case "no document":
            elsewhere.provider._kept, world.op.status = None, 404
        case "no json":
            world.op.raw = b"<html>"
        case "much":
            world.op.raw = b" " * 300_000
        case "no keys":
            world.op.no_keys = True
        case _:
            elsewhere.provider._kept = None
            await world.op.leave()
    assert await visitor.back(back) == 503 and not visitor.in_
    assert "does not answer" in visitor.text


async def test_a_provider_with_a_certificate_of_somebody_elses_is_told_nothing(opened: Opened) -> None:
    async with opened(trusted=trustme.CA(key_type=trustme.KeyType.ECDSA)) as world:
        visitor = world.visitor()
        assert await visitor.begin() == "" and visitor.status == 503
        assert world.op.asked == []
        (line,) = [line for line in world.desk.log.lines if line["event"] == "oidc.failed"]
        assert "certificate" in line["error"]


async def test_many_who_wait_for_a_provider_that_is_away_wait_once(world: World) -> None:
    """A hundred agents in the morning: not each behind all others."""
    world.op.deaf.clear()
    world.op.status = 503
    visitors = [world.visitor() for _ in range(8)]
    beginning = asyncio.gather(*(visitor.begin() for visitor in visitors))
    async with asyncio.timeout(15):
        while len(world.provider._one._waiters or ()) < 7:
            await asyncio.sleep(0.01)
    world.op.deaf.set()
    assert await beginning == [""] * 8
    assert {visitor.status for visitor in visitors} == {503}
    assert world.op.asked.count("document") == 1
    world.op.status = 200
    assert await visitors[0].begin() != ""


async def test_who_has_the_provider_asked_again_and_again_waits(server: Server, opened: Opened) -> None:
    async with opened("[desk.requests]\nstrangers_per_minute = 5\n") as world:
        statuses = [(await world.visitor().get("/sign-out/provider"))[0] for _ in range(12)]
        assert statuses[0] == 404 and statuses[-1] == 429


async def test_a_provider_that_wants_the_secret_in_the_form(world: World) -> None:
    await world.linked()
    world.op.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    world.op.by_form()
    assert await world.visitor().signs_in() == 200


async def test_who_tries_much_from_one_address_waits(world: World) -> None:
    visitor = world.visitor()
    answers = [await visitor.back(f"{world.desk.url}/sign-in/provider?state=x&code=y") for _ in range(20)]
    assert set(answers) == {400, 429}
    await world.linked()
    for _ in range(20):
        assert isinstance(await world.house.sign_in("nobody", address="127.0.0.1"), Denied)
        await world.house.throttle.forget("main", "nobody")
    await world.house.live._link.ask("DEL", f"{world.house.settings.redis.prefix}:pace:elsewhere:127.0.0.1")
    assert await world.visitor().signs_in() == 403, "the address waits"


async def test_without_a_provider_there_is_no_such_page(sqlite: Either, server: Server) -> None:
    async with site(sqlite(), server) as desk, aiohttp.ClientSession() as browser:
        answer = await browser.get(f"{desk.url}/sign-in/provider", allow_redirects=False)
        assert answer.status == 404


# ---------------------------------------------------------------- what the settings demand


async def test_how_somebody_must_have_signed_in_there(opened: Opened) -> None:
    async with opened('acr = ["phr", "phrh"]\namr = ["mfa", "hwk"]\n') as world:
        await world.linked()
        for extra, status in (
            ({}, 403), ({"acr": "phr"}, 403), ({"acr": "phr", "amr": ["mfa"]}, 403), ({"acr": "low", "amr": ["mfa", "hwk"]}, 403),
            ({"acr": "phrh", "amr": ["mfa", "hwk", "pin"]}, 200),
        ):  # fmt: skip
            world.op.extra = extra
            visitor = world.visitor()
            assert (await visitor.signs_in(), visitor.in_) == (status, status == 200), extra
        assert set(await world.refusals()) == {"context"}
        assert "acr_values=phr+phrh" in await world.visitor().begin()


async def test_groups_can_only_withhold_the_role(opened: Opened) -> None:
    async with opened('[desk.oidc.groups]\nagent = ["callcentre"]\nadministrator = ["it"]\n') as world:
        anna = await world.linked()
        for groups, status in ((None, 403), ([], 403), (["it"], 403), ("callcentre", 200), (["x", "callcentre"], 200)):
            world.op.extra = {} if groups is None else {"groups": groups}
            assert await world.visitor().signs_in() == status, groups
        assert (await world.house.people.by_id("main", anna.id)) == anna, "the role is ours"


async def test_a_verified_claim_links_whoever_comes_first(opened: Opened) -> None:
    async with opened('link_by = "email"\nscopes = ["email"]\n') as world:
        person = await world.house.enrolled("anna@example.com")
        for extra in (
            {}, {"email": "anna@example.com"}, {"email": "anna@example.com", "email_verified": "true"},
            {"email": "bo@example.com", "email_verified": True}, {"email": ["anna@example.com"], "email_verified": True},
        ):  # fmt: skip
            world.op.tamper = lambda claims, extra=extra: {**claims, **extra}  # type: ignore[misc]
            assert await world.visitor().signs_in() == 403, extra
        world.op.tamper = None
        world.op.extra = {"email": "Anna@Example.com", "email_verified": True}
        assert await world.visitor().signs_in() == 200
        assert (person.actor, "agent.link", "done") in await world.house.rows()
        # from now on it is the account and not the address
        world.op.extra = {}
        assert await world.visitor().signs_in() == 200
        # another account with the same address gains nothing
        world.op.user = "somebody else"
        world.op.extra = {"email": "anna@example.com", "email_verified": True}
        assert await world.visitor().signs_in() == 403
        assert (person.actor, "agent.link", "undone") in await world.house.rows()


async def test_who_is_linked_signs_in_there_alone_where_that_is_demanded(opened: Opened) -> None:
    async with opened("alone = true\n") as world:
        world.house.credentials._elsewhere_alone = world.house.keyring._elsewhere_alone = True
        anna = await world.linked()
        key = Authenticator(origin=world.desk.url)
        answer = key.make(await world.house.passkeys.offer(anna, b"browser"))
        assert await world.house.passkeys.add(anna, b"browser", answer, "Key", HERE)
        shown = key.show(await world.house.passkeys.ask(b"browser", alone=True))
        assert await world.house.door.sign_in_by_passkey("main", shown, b"browser", HERE) == WRONG
        await world.house.enrolled("bo")
        assert await world.house.sign_in("anna") == WRONG
        assert not isinstance(await world.house.sign_in("bo"), Denied)
        assert await world.visitor().signs_in() == 200
