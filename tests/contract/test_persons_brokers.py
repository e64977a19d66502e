"""Two people show each other who they are by a broker: the page, the desk's side and npm's oidc-provider, and one that signs what it should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from joserfc.jwk import RSAKey

from ivr.config import Persons
from ivr.errors import ConfigError
from tests.contract.broker_kit import SECRET, ForgingBroker, RealBroker, forging_broker, real_broker
from tests.contract.live_server import Server
from tests.contract.persons_kit import (
    ASKER,
    BROKER,
    KARIN,
    KARL,
    LABEL,
    OTHER,
    Answer,
    Browser,
    People,
    at_broker,
    broker_table,
    code_of,
    link_of,
    people,
    site_of,
    with_broker,
)  # fmt: skip
from tests.contract.test_page import BOTS, without_paces
from tests.contract.test_page_store import contents

pytestmark = pytest.mark.servers

HERE = f"{BROKER}.here"
BACK = "http://127.0.0.1/back"


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with real_broker(back=BACK) as found:
        yield found


@pytest.fixture
async def there(server: Server, tmp_path: Path, broker: RealBroker) -> AsyncIterator[People]:
    async with by_broker(server, tmp_path, broker.issuer) as made:
        yield made


@asynccontextmanager
async def by_broker(server: Server, folder: Path, issuer: str, **own: object) -> AsyncIterator[People]:
    tables = broker_table(issuer, scopes=["profile"], **own)
    async with people(server, folder, eids=with_broker("bankid"), tables=tables) as made:
        yield made


async def gone(there: People, broker: RealBroker, seen: Answer, who: str = KARL, **said: object) -> str:
    """They identify there; the address that they are sent back to."""
    return await at_broker(broker, there.url, site_of(seen), sub=f"user-{who}", **said)


async def asked(there: People, broker: RealBroker, **said: object) -> tuple[Browser, str]:
    """Somebody has asked by the broker; the browser, and the path of the other's link."""
    karl = await there.browser()
    back = await gone(there, broker, await karl.begin(start=HERE), **said)
    await karl.ask(back)
    await karl.until("Is it your number?")
    sent = await there.text(len(there.gateway.asked))
    await karl.send("/person/code", code=code_of(sent["message"]))
    await karl.until("The text is on its way")
    return karl, link_of((await there.text(len(there.gateway.asked)))["message"])


def changed(back: str, **fields: str | None) -> str:
    """What came back, with these otherwise; None: left out."""
    path, _, query = back.partition("?")
    said = {**dict(parse_qsl(query)), **fields}
    return f"{path}?{urlencode({name: text for name, text in said.items() if text is not None})}"


async def test_from_the_question_to_the_answer(there: People, broker: RealBroker) -> None:
    karl = await there.browser()
    first = await karl.ask("/person")
    for said in ("Identify with BankID on this device", "With BankID on another device", f"Identify with {LABEL}"):
        assert said in first.said
    site = await karl.begin(start=HERE)
    assert f"{LABEL} asks you who you are" in site.said
    link = site_of(site)
    assert link.startswith(f"{broker.issuer}/auth?")
    sent = dict(parse_qsl(urlsplit(link).query))
    assert sent["redirect_uri"] == f"{there.url}/back"
    assert sent["code_challenge_method"] == "S256"
    back = await gone(there, broker, site, name="Karl Canaryson")
    answer = await karl.ask(back)
    # nothing of it stays in the address
    assert (answer.status, answer.headers["Location"], answer.text) == (303, "/person/now", "")
    await karl.until("Is it your number?")
    await karl.send("/person/code", code=code_of((await there.text(1))["message"]))
    asks = (await there.text(2))["message"]
    assert asks.startswith(f"Acme: Karl Canaryson, identified by {LABEL}, with the number {ASKER}, ")

    link, karin = link_of(asks), await there.browser()
    who = await karin.send(f"{link}/open")
    assert LABEL in who.said.partition("You can show who you are")[0]
    # the other takes another one: each is told by what the other has
    assert "Open BankID" in (await karin.send(f"{link}/answer", start="bankid.here")).said
    await there.identified(karin, KARIN, name="Karin Svar")
    met = await karin.until("This is who it is")
    assert "Karl Canaryson" in met.said
    assert LABEL in met.said
    found = await karl.until("This is who it is")
    assert "Karin Svar" in found.said
    assert "BankID" in found.said
    assert LABEL not in found.said
    rows = [(entry.action, entry.detail["eid"]) for entry in there.trail.entries]
    assert rows == [("person.identify", BROKER), ("person.ask", BROKER), ("person.answer", "bankid")]


async def test_the_other_answers_by_it(there: People, broker: RealBroker) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    site = await karin.send(f"{link}/answer", start=HERE)
    await karin.ask(await gone(there, broker, site, KARIN, name="Karin Svar"))
    await karin.until("Karl Canaryson")
    found = await karl.until("Karin Svar")
    assert LABEL in found.said
    assert OTHER in found.said


# ---------------------------------------------------------------- attacks


async def test_what_comes_back_counts_for_the_browser_that_was_sent_there_alone(
    there: People, broker: RealBroker
) -> None:
    """Somebody begins, and has a victim identify by the link: it comes back to the victim's browser, and goes no further."""
    for own_session in (False, True):
        thief, victim = await there.browser(), await there.browser()
        site = await thief.begin(start=HERE)
        if own_session:
            await victim.begin(own="+46701740607")
        back = await gone(there, broker, site)
        # whatever looks at addresses alone, and does not open them, ends nothing
        await victim.ask(back, method="HEAD")
        assert f"{LABEL} asks you" in (await thief.ask("/person/now")).said
        refused = await victim.ask(back)
        assert refused.status == 303
        seen = await victim.ask(refused.headers["Location"])
        assert ("Open BankID" if own_session else "This was not begun here") in seen.said
        # who gets hold of it behind that has nothing
        await thief.ask(back)
        assert "went on in another browser" in (await thief.ask("/person/now")).said
    assert there.gateway.asked == []


async def test_a_code_of_somebody_else_s_is_of_no_use_here(there: People, broker: RealBroker) -> None:
    """Somebody has identified, and has a victim's browser bring that back, as if it were the victim's: by the own state, or by the victim's."""
    thief, victim = await there.browser(), await there.browser()
    theirs = await gone(there, broker, await thief.begin(start=HERE), KARIN, name="Karin Svar")
    site = await victim.begin(start=HERE)
    await victim.ask(theirs)
    assert f"{LABEL} asks you" in (await victim.ask("/person/now")).said, "the victim's own goes on"
    mine = await gone(there, broker, site)
    code = parse_qs(urlsplit(theirs).query)["code"][0]
    await victim.ask(changed(mine, code=code))
    # its state is right, and its verifier is another one
    assert "You have not been identified" in (await victim.until("You have not been identified")).said
    assert there.gateway.asked == []


async def test_it_is_taken_once(there: People, broker: RealBroker) -> None:
    karl = await there.browser()
    back = await gone(there, broker, await karl.begin(start=HERE))
    answers = await asyncio.gather(*(karl.ask(back) for _ in range(20)))
    assert {one.status for one in answers} == {303}
    await karl.until("Is it your number?")
    await karl.ask(back)
    assert "Is it your number?" in (await karl.ask("/person/now")).said
    assert len(there.gateway.asked) == 1
    assert not there.log.of("person.unasked")
    assert not there.log.of("person.refused")


async def test_who_says_no_there_may_think_again(there: People, broker: RealBroker) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    site = await karin.send(f"{link}/answer", start=HERE)
    await karin.ask(await gone(there, broker, site, KARIN, how="deny"))
    assert "You have said no" in (await karin.until("You have said no")).said
    site = await karin.send(f"{link}/answer", start=HERE)
    await karin.ask(await gone(there, broker, site, KARIN, name="Karin Svar"))
    await karl.until("Karin Svar")


@pytest.mark.parametrize(
    "fields", [{"iss": None}, {"iss": "https://other.example.com"}, {"code": "another"}, {"code": None}]
)
async def test_what_the_broker_has_not_said_identifies_nobody(
    there: People, broker: RealBroker, fields: dict[str, str | None]
) -> None:
    karl = await there.browser()
    back = await gone(there, broker, await karl.begin(start=HERE))
    await karl.ask(changed(back, **fields))
    await karl.until("You have not been identified")
    await karl.ask(back)
    assert "You have not been identified" in (await karl.ask("/person/now")).said
    assert there.gateway.asked == []


async def test_what_is_none_of_ours_changes_nothing(there: People, broker: RealBroker, server: Server) -> None:
    karl, bankid = await there.browser(), await there.browser()
    back = await gone(there, broker, await karl.begin(start=HERE))
    state = parse_qs(urlsplit(back).query)["state"][0]
    await bankid.begin(own="+46701740607")
    nonce = there.identify(KARIN).rpartition("/")[2]
    before = without_paces(server)
    other = f"person.{'a' * 43}"
    for path in (
        "/back", "/back?", "/back?code=x", changed(back, state=None), f"{back}&state={state}", f"{back}&code=x", changed(back, state="x"),
        changed(back, state=state.removeprefix("person.")), changed(back, state="other." + "a" * 43), f"/back?{'&'.join(['a=b'] * 30)}",
        "/back?state=%ff%fe", f"/back?state=person.{nonce}",
    ):  # fmt: skip
        answer = await karl.ask(path)
        assert answer.status == 403, path
        assert "This was not begun here" in answer.said
    assert (await karl.ask("/back?" + "a" * 5000)).status == 400
    assert (await karl.ask(changed(back, state=other))).status == 303, "nobody's"
    # what binds an app to its browser is no state of a broker's, and the other way round
    assert (await karl.ask(f"/person/back/{state.removeprefix('person.')}", {})).status == 303
    assert (await karl.ask(back, {})).status == 405
    assert [key for key in without_paces(server) if key not in before and ":done:" not in key] == []
    assert f"{LABEL} asks you" in (await karl.ask("/person/now")).said
    await karl.ask(back)
    await karl.until("Is it your number?")


async def test_previews_change_nothing(there: People, broker: RealBroker, server: Server) -> None:
    """Whatever looks at the address that somebody comes back by, and has not the browser's cookie, is shown no name."""
    karl = await there.browser()
    back = await gone(there, broker, await karl.begin(start=HERE))
    before, bot = without_paces(server), await there.browser()
    for agent in BOTS:
        for method in ("HEAD", "OPTIONS", "PUT", "POST"):
            answer = await bot.ask(back, method=method, User_Agent=agent)
            assert answer.status in (403, 405)
            assert "Canaryson" not in answer.text
    assert without_paces(server) == before


async def test_a_level_that_is_too_low(there: People, broker: RealBroker) -> None:
    karl = await there.browser()
    await karl.ask(await gone(there, broker, await karl.begin(start=HERE), acr="urn:level:low"))
    assert "That identity cannot be used for this" in (await karl.until("cannot be used")).said
    assert there.gateway.asked == []


# ---------------------------------------------------------------- a broker that lies


@asynccontextmanager
async def lying(server: Server, folder: Path) -> AsyncIterator[tuple[People, ForgingBroker, Browser, str, str]]:
    """Somebody was sent there; the people, the broker, the browser, the nonce, and the address that it comes back by."""
    async with forging_broker() as (forging, _), by_broker(server, folder, forging.issuer) as there:
        karl = await there.browser()
        sent = dict(parse_qsl(urlsplit(site_of(await karl.begin(start=HERE))).query))
        yield there, forging, karl, sent["nonce"], f"/back?{urlencode({'code': 'c', 'state': sent['state']})}"


async def test_an_id_token_that_is_good(server: Server, tmp_path: Path) -> None:
    async with lying(server, tmp_path) as (_, forging, karl, nonce, back):
        forging.gives(forging.sign(forging.claims(nonce=nonce, name="Karl Canaryson")))
        await karl.ask(back)
        await karl.until("Is it your number?")


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "another"}, {"nonce": None}, {"auth_time": None}, {"auth_time": 1_000_000_000}, {"aud": "another"}],
)
async def test_an_id_token_of_another_flow(server: Server, tmp_path: Path, claims: dict[str, object]) -> None:
    async with lying(server, tmp_path) as (there, forging, karl, nonce, back):
        forging.gives(forging.sign(forging.claims(**{"nonce": nonce, "name": "Karl Canaryson", **claims})))
        await karl.ask(back)
        await karl.until("You have not been identified")
        (line,) = there.log.of("person.unasked")
        assert "of another order" in str(line)
        assert there.gateway.asked == []


async def test_an_id_token_that_somebody_else_has_signed(server: Server, tmp_path: Path) -> None:
    async with lying(server, tmp_path) as (there, forging, karl, nonce, back):
        key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        forging.gives(forging.sign(forging.claims(nonce=nonce, name="Karl Canaryson"), key))
        await karl.ask(back)
        await karl.until("You have not been identified")
        assert "not signed by a key of its own" in str(there.log.of("person.unasked"))
        assert there.gateway.asked == []


async def test_an_id_token_without_a_name_is_told_to_the_administrator(server: Server, tmp_path: Path) -> None:
    async with lying(server, tmp_path) as (there, forging, karl, nonce, back):
        forging.gives(forging.sign(forging.claims(nonce=nonce)))
        await karl.ask(back)
        await karl.until("That identity cannot be used for this")
        assert "has no name" in str(there.log.of("person.unasked"))


# ---------------------------------------------------------------- where something is away


async def test_without_the_broker_it_says_so(server: Server, tmp_path: Path) -> None:
    async with forging_broker() as (forging, running), by_broker(server, tmp_path, forging.issuer) as there:
        karl = await there.browser()
        sent = dict(parse_qsl(urlsplit(site_of(await karl.begin(start=HERE))).query))
        await running.stop()
        await karl.ask(f"/back?{urlencode({'code': 'c', 'state': sent['state']})}")
        await karl.until("You have not been identified")
    async with by_broker(server, tmp_path, forging.issuer) as there:
        assert "You have not been identified" in (await (await there.browser()).begin(start=HERE)).said
        assert there.log.of("person.unasked")


async def test_a_broker_that_takes_its_time(server: Server, tmp_path: Path) -> None:
    """Until it has been asked for the last time nobody is told that it is over."""
    async with forging_broker() as (forging, running), by_broker(server, tmp_path, forging.issuer) as there:
        karl = await there.browser()
        sent = dict(parse_qsl(urlsplit(site_of(await karl.begin(start=HERE))).query))
        forging.gives(forging.sign(forging.claims(nonce=sent["nonce"], name="Karl Canaryson")))
        answers = asyncio.Event()

        async def held() -> None:
            await answers.wait()

        running.before_answer = held
        count = len(running.asked)
        await karl.ask(f"/back?{urlencode({'code': 'c', 'state': sent['state']})}")
        await running.until_asked(count + 1)
        server.pass_time(19)
        assert "One moment" in (await karl.ask("/person/now")).said
        answers.set()
        await karl.until("Is it your number?")


async def test_what_the_page_does_not_offer_is_not_begun(there: People) -> None:
    karl = await there.browser()
    for start in ("", "here", "freja.other", f"{BROKER}.other", "nobody.here"):
        assert (await karl.ask("/person/begin", {"own": ASKER, "other": OTHER, "start": start})).status == 400


async def test_what_the_desk_does_not_offer_is_not_begun(server: Server, tmp_path: Path) -> None:
    """The page's settings are another file than the desk's."""
    shown = Persons(eids=(BROKER,), labels={BROKER: LABEL}, begun_of_one_per_hour=1000)
    async with people(server, tmp_path, shown=shown) as there:
        karl = await there.browser()
        assert "It does not work just now" in (await karl.begin(start=HERE)).said
        assert there.bankid.orders == []


# ---------------------------------------------------------------- what is left of it


async def test_nothing_is_kept_in_clear(there: People, broker: RealBroker, server: Server) -> None:
    karl = await there.browser()
    site = await karl.begin(start=HERE)
    back = await gone(there, broker, site)
    await karl.ask(back)
    await karl.until("Is it your number?")
    told = repr((there.log.lines, there.page_log.lines, contents(server)))
    sent = dict(parse_qsl(urlsplit(site_of(site)).query))
    came = dict(parse_qsl(urlsplit(back).query))
    for text in (sent["state"], sent["nonce"], came["code"], KARL, "Canaryson", SECRET):
        assert text not in told, text


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("eids", "tables", "said"),
    [
        ('eids = ["example"]', "", 'labels has no example, which is in eids. Write what people call it: labels = {example = "…"}'),
        ('eids = ["bankid", "bankid"]', "", "eids has one of them twice"),
        ('eids = ["bankid"]\nlabels = {example = "Example ID"}', "", "labels has example, which is no broker of eids"),
        ('eids = ["bankid"]\nlabels = {bankid = "Bank ID"}', "", "labels has bankid, which is no broker of eids"),
        (with_broker(), "", f"has {BROKER}, and there is no [eid.brokers.{BROKER}]"),
        ("eids = ['freja']", "", "has freja, and there is no [eid.freja]"),
        (with_broker(), broker_table("https://eid.example.com", acr={"urn:level:low": 1}), f"[eid.brokers.{BROKER}] acr has no context that is worth 3"),
    ],
)  # fmt: skip
async def test_settings_that_cannot_be_meant(server: Server, tmp_path: Path, eids: str, tables: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with people(server, tmp_path, eids=eids, tables=tables):
            pass
    assert said in str(caught.value)
