"""Passkeys, on real parts: each challenge once and for one browser, what is proved and what is not, and the own ones."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ivr.secret import Secret
from ivr.staff import Denial, Denied, Person, SignedIn
from ivr.store.identities import Identities
from ivr.store.keyring import MOST, Removal
from ivr.store.welcome import Unfit
from ivr.vault.passkey import Party
from ivr.vault.password import Weak
from tests.contract.authenticator import BE, BS, UP, UV, Authenticator, data
from tests.contract.desk_kit import HERE, PASSWORD, House
from tests.contract.live_server import Server
from tests.contract.test_desk_door import dump, redis_dump

pytestmark = pytest.mark.servers

WRONG = Denied(Denial.WRONG)
BROWSER = b"form of this browser"


async def key_of(house: House, person: Person, **how: Any) -> Authenticator:
    made = Authenticator(**how)
    answer = made.make(await house.passkeys.offer(person, BROWSER))
    assert await house.passkeys.add(person, BROWSER, answer, "Work laptop", HERE)
    return made


async def signs_in(
    house: House, key: Authenticator, *, bound: bytes = BROWSER, tenant: str = "main", address: str = HERE, **lies: Any
) -> SignedIn | Denied:
    answer = key.show(await house.passkeys.ask(BROWSER, alone=True), **lies)
    return await house.door.sign_in_by_passkey(tenant, answer, bound, address)


async def test_a_passkey_alone_signs_in_and_is_told_of(house: House) -> None:
    anna = await house.enrolled("anna")
    key = await key_of(house, anna)
    (kept,) = await house.passkeys.of(anna)
    assert (kept.passkey.name, kept.used, kept.passkey.synced) == ("Work laptop", None, False)
    entered = await signs_in(house, key)
    assert isinstance(entered, SignedIn) and entered.person == anna
    assert (await house.rows(last=2)) == [("desk:anna", "passkey.add", "done"), ("desk:anna", "desk.sign_in", "done")]
    assert (await house.passkeys.of(anna))[0].used is not None
    # the code and the password are good as ever
    assert isinstance(await house.sign_in("anna"), SignedIn)


async def test_a_passkey_says_itself_of_which_tenant_it_is(house: House) -> None:
    there = await house.enrolled("anna", tenant="south")
    key = await key_of(house, there)
    await house.enrolled("anna")
    entered = await signs_in(house, key)
    assert isinstance(entered, SignedIn) and entered.person == there
    begun = await house.door.begin(entered)
    assert not isinstance(begun, Denied) and begun[1].tenant == "south"
    # beside a password it is of the tenant that was named
    answer = key.show(await house.passkeys.ask(BROWSER, alone=False))
    password = Secret(PASSWORD)
    assert await house.door.sign_in_by_passkey("main", answer, BROWSER, HERE, login="anna", password=password) == WRONG


async def test_it_must_say_whose_it_is(house: House) -> None:
    key = await key_of(house, await house.enrolled("anna"))
    own = key.handle
    for handle in ((await house.enrolled("bo")).id.encode(), b"", own + b"x"):
        key.handle = handle
        assert await signs_in(house, key) == WRONG
    key.handle = own
    assert isinstance(await signs_in(house, key), SignedIn)


async def test_what_a_browser_is_asked_is_the_same_for_everybody(house: House) -> None:
    await key_of(house, await house.enrolled("anna"))
    first, second = [await house.passkeys.ask(BROWSER, alone=True) for _ in range(2)]
    assert first.pop("challenge") != second.pop("challenge")
    assert first == second
    assert first["allowCredentials"] == [] and first["userVerification"] == "required"
    assert first["rpId"] == "desk.example.com"


async def test_what_proves_nothing(house: House) -> None:
    key = await key_of(house, await house.enrolled("anna"))
    lies: tuple[dict[str, Any], ...] = (
        {"origin": "https://desk.example.com.evil.net"}, {"origin": "https://evil.net"}, {"origin": "http://desk.example.com"},
        {"rp": "evil.net"}, {"type": "webauthn.create"}, {"flags": UP}, {"flags": UV}, {"flags": 0}, {"signature": b"x"},
        {"challenge": "AAAA"}, {"crossOrigin": True},
    )  # fmt: skip
    for lie in lies:
        assert await signs_in(house, key, **lie) == WRONG, lie
        assert (await house.rows(last=1))[0][1:] == ("desk.sign_in", "refused")
        # the next one shall be looked at as well
        await house.throttle.forget("main", "anna")
    assert isinstance(await signs_in(house, key), SignedIn)


async def test_an_answer_is_good_once_and_for_the_browser_that_was_asked(house: House) -> None:
    key = await key_of(house, await house.enrolled("anna"), counts=False)
    answer = key.show(await house.passkeys.ask(BROWSER, alone=True))
    many = await asyncio.gather(*(house.door.sign_in_by_passkey("main", answer, BROWSER, HERE) for _ in range(5)))
    assert sum(isinstance(one, SignedIn) for one in many) == 1
    # where the first of them was the good one, the others have failed in a row
    await house.throttle.forget("main", "anna")
    assert await signs_in(house, key, bound=b"another browser") == WRONG
    # a challenge for making one is none for showing one
    made = await house.passkeys.offer((await house.people.colleagues())[0], BROWSER)
    assert (
        await house.door.sign_in_by_passkey("main", key.show({**made, "rpId": "desk.example.com"}), BROWSER, HERE)
        == WRONG
    )


async def test_a_key_that_nobody_has_and_what_is_no_answer(house: House) -> None:
    await house.enrolled("anna")
    assert await signs_in(house, Authenticator()) == WRONG
    for rubbish in (
        "",
        "{}",
        "[]",
        "null",
        "x" * 9000,
        json.dumps({"id": "a", "rawId": "b", "type": "public-key", "response": {}}),
    ):
        denied = await house.door.sign_in_by_passkey("main", rubbish, BROWSER, "198.51.100.9")
        assert isinstance(denied, Denied)
    assert {row[0] for row in (await house.rows())[1:]} == {"desk:?"}


async def test_anothers_signature_does_not_open_ones_own(house: House) -> None:
    anna, bo = await house.enrolled("anna"), await house.enrolled("bo")
    key, other = await key_of(house, anna), await key_of(house, bo)
    other.id = key.id
    assert await signs_in(house, other) == WRONG


async def test_who_is_disabled_signs_in_no_more_and_a_reset_takes_passkeys_away(house: House) -> None:
    anna = await house.enrolled("anna")
    key = await key_of(house, anna)
    await house.invite(anna)
    assert await signs_in(house, key) == WRONG
    assert await house.passkeys.of(anna) == ()
    bo = await house.enrolled("bo")
    key = await key_of(house, bo)
    async with house.database.write() as connection:
        await house.roster.disable(connection, bo)
    assert await signs_in(house, key, address="198.51.100.1") == WRONG


async def test_a_copy_is_noticed(house: House) -> None:
    anna = await house.enrolled("anna")
    key = await key_of(house, anna)
    assert isinstance(await signs_in(house, key), SignedIn)
    for back in (1, 2):
        key.count -= back
        assert await signs_in(house, key) == WRONG
    assert [line["event"] for line in house.log.lines] == ["passkey.copied"] * 2
    key.count += 10
    assert isinstance(await signs_in(house, key), SignedIn)
    # one that never counts says 0 always, and one that has counted does not begin to say so
    key.counts, key.count = False, 0
    assert await signs_in(house, key) == WRONG
    silent = await key_of(house, anna, counts=False)
    assert all([isinstance(await signs_in(house, silent), SignedIn) for _ in range(2)])


async def test_tries_are_counted_before_they_are_looked_at(house: House) -> None:
    key = await key_of(house, await house.enrolled("anna"))
    for _ in range(5):
        assert await signs_in(house, key, signature=b"x") == WRONG
    denied = await signs_in(house, key)
    assert isinstance(denied, Denied) and denied.why is Denial.WAIT
    # with those of the password, for it is the same login
    denied = await house.sign_in("anna")
    assert isinstance(denied, Denied) and denied.why is Denial.WAIT


async def test_others_guesses_shut_out_passwords_and_neither_passkeys_nor_the_provider(house: House) -> None:
    anna = await house.enrolled("anna")
    key = await key_of(house, anna)
    guesses = [house.throttle.of("main", f"who{n}", f"10.0.{n // 250}.{n % 250}") for n in range(500)]
    await asyncio.gather(*map(house.throttle.count, guesses))
    denied = await house.sign_in("anna")
    assert isinstance(denied, Denied) and denied.why is Denial.WAIT
    assert isinstance(await signs_in(house, key), SignedIn)
    answer = key.show(await house.passkeys.ask(BROWSER, alone=False))
    beside = await house.door.sign_in_by_passkey("main", answer, BROWSER, HERE, login="anna", password=Secret(PASSWORD))
    assert isinstance(beside, SignedIn)
    assert isinstance(await house.door.sign_in_elsewhere(anna, HERE, 0.0), SignedIn)


async def test_beside_a_password(house: House) -> None:
    anna, bo = await house.enrolled("anna"), await house.enrolled("bo")
    # as a device answers that did not make sure of its user
    key = await key_of(house, anna)
    house.passkeys.alone = False

    async def both(login: str, password: str, flags: int = UP) -> SignedIn | Denied:
        answer = key.show(await house.passkeys.ask(BROWSER, alone=False), flags=flags)
        return await house.door.sign_in_by_passkey(
            "main", answer, BROWSER, HERE, login=login, password=Secret(password)
        )

    assert isinstance(await both(" Anna", PASSWORD), SignedIn)
    assert await both("anna", "another") == WRONG
    assert await both("bo", PASSWORD) == WRONG, "the key is another's"
    assert await both("nobody", PASSWORD) == WRONG
    assert await signs_in(house, key) == WRONG, "alone is not let in here"
    assert bo


async def test_alone_where_the_settings_want_a_password_beside_it(house: House) -> None:
    key = await key_of(house, await house.enrolled("anna"))
    house.passkeys.alone = False
    assert await signs_in(house, key) == WRONG
    house.passkeys.alone, house.door._passkeys = True, None
    assert await signs_in(house, key) == WRONG
    house.welcome._passkeys = None
    assert await house.welcome.offer_passkey(await house.invite(await house.add("bo"))) is None


# ---------------------------------------------------------------- making one


async def test_a_link_sets_password_and_passkey(house: House) -> None:
    anna = await house.add("anna")
    token = await house.invite(anna)
    options = await house.welcome.offer_passkey(token)
    assert options is not None and options["authenticatorSelection"]["residentKey"] == "required"
    assert data(options["user"]["id"]).decode() == anna.id, "nothing that tells who that is"
    before = await dump(house)
    accept, key = house.welcome.accept_passkey, Authenticator()
    assert await accept(token, Secret("short"), key.make(options), "A", HERE) is Weak.SHORT
    assert await accept(token, Secret(PASSWORD), "rubbish", "A", HERE) is Unfit.PASSKEY
    assert await accept(token, Secret(PASSWORD), key.make(options, flags=UP), "A", HERE) is Unfit.PASSKEY
    assert await accept(token, Secret(PASSWORD), key.make(options), "A", HERE) is Unfit.PASSKEY, (
        "the challenge was used"
    )
    assert await accept(Secret("x" * 43), Secret(PASSWORD), key.make(options), "A", HERE) is Unfit.LINK
    assert await dump(house) == before
    options = await house.welcome.offer_passkey(token)
    assert options is not None
    assert await accept(token, Secret(PASSWORD), key.make(options), " First  key\x07", HERE) == anna
    assert [one.passkey.name for one in await house.passkeys.of(anna)] == ["First key"]
    assert await house.welcome.offer_passkey(token) is None
    assert (await house.rows())[-1] == ("desk:anna", "agent.enrol", "done")
    assert isinstance(await signs_in(house, key), SignedIn)
    # with the password there is no code that would do
    assert await house.sign_in("anna", code=Secret("000000")) == WRONG


async def test_what_makes_none(house: House) -> None:
    anna = await house.enrolled("anna")
    lies: tuple[dict[str, Any], ...] = (
        {"origin": "https://evil.net"},
        {"rp": "evil.net"},
        {"flags": UP},
        {"challenge": "AAAA"},
    )
    for lie in lies:
        answer = Authenticator().make(await house.passkeys.offer(anna, BROWSER), **lie)
        assert not await house.passkeys.add(anna, BROWSER, answer, "x", HERE), lie
        assert (await house.rows())[-1] == ("desk:anna", "passkey.add", "refused")
    assert await house.passkeys.of(anna) == ()


async def test_a_challenge_to_make_one_is_of_one_session_and_one_person(house: House) -> None:
    anna, bo = await house.enrolled("anna"), await house.enrolled("bo")
    key = Authenticator()
    assert not await house.passkeys.add(bo, BROWSER, key.make(await house.passkeys.offer(anna, BROWSER)), "x", HERE)
    answer = key.make(await house.passkeys.offer(anna, BROWSER))
    assert not await house.passkeys.add(anna, b"another session", answer, "x", HERE)
    many = await asyncio.gather(*(house.passkeys.add(anna, BROWSER, answer, "x", HERE) for _ in range(4)))
    assert sorted(many) == [False, False, False, True]
    # the same key is one person's
    taken = key.make(await house.passkeys.offer(bo, BROWSER))
    assert not await house.passkeys.add(bo, BROWSER, taken, "x", HERE)
    assert (await house.rows())[-1] == ("desk:bo", "passkey.add", "undone")


async def test_so_many_and_no_more(house: House) -> None:
    anna = await house.enrolled("anna")
    for _ in range(MOST):
        await key_of(house, anna)
    answer = Authenticator().make(await house.passkeys.offer(anna, BROWSER))
    assert not await house.passkeys.add(anna, BROWSER, answer, "x", HERE)
    assert len((await house.passkeys.offer(anna, BROWSER))["excludeCredentials"]) == MOST


async def test_the_own_ones_are_renamed_and_removed_but_for_the_last_factor(house: House) -> None:
    anna, bo = await house.add("anna"), await house.enrolled("bo")
    token = await house.invite(anna)
    options = await house.welcome.offer_passkey(token)
    assert options is not None
    synced = Authenticator(flags=UP | UV | BE | BS)
    await house.welcome.accept_passkey(token, Secret(PASSWORD), synced.make(options), "One", HERE)
    await key_of(house, anna)
    one, two = await house.passkeys.of(anna)
    assert one.passkey.synced and not two.passkey.synced
    assert not await house.passkeys.rename(bo, one.id, "Mine")
    assert await house.keyring.remove(bo, one.id) is Removal.UNKNOWN
    assert await house.passkeys.rename(anna, one.id, "  Phone \n")
    assert [kept.passkey.name for kept in await house.passkeys.of(anna)] == ["Phone", "Work laptop"]
    assert await house.passkeys.remove(bo, one.id, HERE) is Removal.UNKNOWN
    # both at once: one of them stays
    both = await asyncio.gather(*(house.passkeys.remove(anna, kept.id, HERE) for kept in (one, two)))
    assert sorted(both) == [Removal.DONE, Removal.LAST]
    assert len(await house.passkeys.of(anna)) == 1
    # beside an app the last passkey may go
    key = await key_of(house, bo)
    (kept,) = await house.passkeys.of(bo)
    assert await house.passkeys.remove(bo, kept.id, HERE) is Removal.DONE
    assert await signs_in(house, key) == WRONG
    assert isinstance(await house.sign_in("bo"), SignedIn)


async def test_who_is_linked_with_a_provider_keeps_the_last_one_too_and_may_change_it(house: House) -> None:
    """The link can be taken away by others, or the provider be away: the last way in here stays until there is another."""
    anna = await house.add("anna")
    assert await Identities(house.database, house.vault).link(anna, "https://login.example.com", "subject")
    await key_of(house, anna)
    (lost,) = await house.passkeys.of(anna)
    assert await house.passkeys.remove(anna, lost.id, HERE) is Removal.LAST
    key = await key_of(house, anna)
    assert await house.passkeys.remove(anna, lost.id, HERE) is Removal.DONE
    assert isinstance(await signs_in(house, key), SignedIn)


async def test_what_is_sealed_for_one_key_is_none_for_another(house: House) -> None:
    anna = await house.enrolled("anna")
    key, _ = await key_of(house, anna), await key_of(house, anna)
    one, two = await house.passkeys.of(anna)
    async with house.database.write() as connection:
        await connection.exec_driver_sql(
            f"UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE id = '{two.id}') WHERE id = '{one.id}'"
        )
    with pytest.raises(Exception, match="was changed"):
        await signs_in(house, key)


async def test_nothing_of_a_challenge_or_a_key_is_kept_in_clear(house: House, server: Server) -> None:
    anna = await house.enrolled("anna")
    key = await key_of(house, anna)
    asked = await house.passkeys.ask(BROWSER, alone=True)
    kept = str(redis_dump(server)) + str(await dump(house))
    assert asked["challenge"] not in kept and "Work laptop" not in kept
    assert key.id.hex() not in kept and str(key.id) not in kept


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Desk.Example.com", ("desk.example.com", "https://desk.example.com")),
        ("https://desk.example.com:443", ("desk.example.com", "https://desk.example.com")),
        ("https://desk.example.com:8443", ("desk.example.com", "https://desk.example.com:8443")),
        ("http://localhost:8080", ("localhost", "http://localhost:8080")),
        ("https://127.0.0.1", None), ("https://[::1]:8443", None), (None, None),
    ],
)  # fmt: skip
def test_whose_passkeys_they_are(url: str | None, found: tuple[str, str] | None) -> None:
    party = Party.of(url, "Acme")
    assert (None if party is None else (party.id, party.origin)) == found
