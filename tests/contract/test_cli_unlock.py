"""`customer unlock`, which lifts what stands in the database and what Redis has counted, and takes two persons."""

from __future__ import annotations

import asyncio

import pytest

from ivr.call.outcome import Locked
from ivr.call.ports import Attempt, Granted
from ivr.cli import who
from ivr.config import Settings
from ivr.store.live import RedisLive
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.unit.cli_kit import Ended, trail, typed
from tests.unit.database_kit import rows

pytestmark = pytest.mark.servers


@pytest.fixture
def made(installed: Settings) -> Settings:
    """With one customer."""
    assert typed("customer", "add", "10001", "--name", "Anna", "--no-pin").code == 0
    return installed


def tried(settings: Settings, times: int) -> list[Granted | Locked]:
    """What the worker's tries for this customer come to."""
    ((key,),) = rows(settings, "SELECT number_index FROM customers")

    async def attempts() -> list[Granted | Locked]:
        live = await RedisLive.open(settings)
        try:
            return [await live.attempt(Attempt(f"main:{key}", None, f"call-{n}")) for n in range(times)]
        finally:
            await live.close()

    return asyncio.run(attempts())


def by(name: str, *words: str, login: str = "", account: str = "tillit") -> Ended:
    """What this person types, who has this login and became this account (how that is found out: test_cli_who)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(who, "person", lambda: who.Person(name, account, login))
        return typed(*words)


def unlock(number: str = "10001") -> Ended:
    """Rita asks for it, and Sven does it."""
    assert by("rita", "customer", "unlock", number, "--reason", "she has shown her passport").code == 0
    return by("sven", "customer", "unlock", number, "--confirm", "--yes")


def last_row(settings: Settings) -> tuple[str, str, str]:
    return rows(settings, "SELECT actor, action, detail FROM audit ORDER BY seq DESC LIMIT 1")[0]


def test_both_locks_are_lifted(server: Server, made: Settings) -> None:
    assert [type(answer) for answer in tried(made, 4)] == [Granted, Granted, Granted, Locked]
    assert server.client.keys("tillit:fail:customer:*") != []
    assert typed("customer", "lock", "10001").code == 0
    ended = unlock()
    ((ref,),) = rows(made, "SELECT ref FROM customers")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"asked for it: she has shown her passport\nUnlocked customer {ref}\n")
    assert [action for _, action, _ in trail(made)][-4:] == [
        "customer.lock",
        "customer.unlock_asked",
        "customer.show",
        "customer.unlock",
    ]
    actor, _, detail = last_row(made)
    assert actor == "cli:sven/tillit"
    assert '"asked_by":"cli:rita/tillit"' in detail and '"reason":"she has shown her passport"' in detail
    assert "locked     no" in typed("customer", "show", "10001").out
    assert server.client.keys("tillit:fail:customer:*") == server.client.keys("tillit:unlock:*") == []
    assert tried(made, 1) == [Granted()]


def test_asking_alone_unlocks_nothing(server: Server, made: Settings) -> None:
    assert isinstance(tried(made, 4)[-1], Locked)
    assert typed("customer", "lock", "10001").code == 0
    ended = by("rita", "customer", "unlock", "10001", "--reason", "she has shown her passport")
    assert (ended.code, ended.err) == (0, "")
    assert "locked     yes" in typed("customer", "show", "10001").out
    assert server.client.keys("tillit:fail:customer:*") != []
    (key,) = server.client.keys("tillit:unlock:*")
    assert 0 < server.client.ttl(key) <= 15 * 60


@pytest.mark.parametrize(
    ("name", "account", "login"),
    [
        ("rita", "tillit", ""),
        ("rita", "tillit", "1002"),
        ("sven", "tillit", "1001"),
        ("root", "root", "1001"),
        ("tillit", "tillit", ""),
    ],
    ids=["same name", "by another login", "another name in the same login", "root in the same login", "account alone"],
)
def test_who_has_asked_does_not_confirm(server: Server, made: Settings, name: str, account: str, login: str) -> None:
    """A login keeps its number, whoever one becomes in it; where none is known, whoever is an account may be anybody of it."""
    assert typed("customer", "lock", "10001").code == 0
    asked = by("rita", "customer", "unlock", "10001", "--reason", "I say so", login="1001")
    assert asked.code == 0
    before = trail(made)
    ended = by(name, "customer", "unlock", "10001", "--confirm", "--yes", login=login, account=account)
    assert (ended.code, ended.out) == (2, "")
    assert "has asked for it, and that is you" in ended.err
    # that somebody has looked is told of
    assert trail(made) == [*before, ("cli", "customer.show", "done")]
    assert "locked     yes" in typed("customer", "show", "10001").out
    # another person still can
    assert by("sven", "customer", "unlock", "10001", "--confirm", "--yes", login="1002").code == 0


def test_without_a_wish_or_after_it_has_lapsed_or_was_granted_nobody_confirms(server: Server, made: Settings) -> None:
    confirm = ("customer", "unlock", "10001", "--confirm", "--yes")
    assert "nobody has asked for it" in by("sven", *confirm).err
    assert by("rita", "customer", "unlock", "10001", "--reason", "a reason").code == 0
    server.pass_time(15 * 60)
    assert "nobody has asked for it" in by("sven", *confirm).err
    assert unlock().code == 0
    assert "nobody has asked for it" in by("sven", *confirm).err


@pytest.mark.parametrize(
    "words", [(), ("--confirm", "--reason", "a reason"), ("--reason", "abc"), ("--reason", "x" * 201), ("--reason", "a\x1b[2J")]
)  # fmt: skip
def test_what_is_neither_asked_for_nor_confirmed(made: Settings, words: tuple[str, ...]) -> None:
    before = trail(made)
    ended = by("rita", "customer", "unlock", "10001", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("Nothing was done\n")
    assert trail(made) == before


def test_of_two_tenants_customers_with_one_number_the_one_who_is_named(server: Server, made: Settings) -> None:
    """Also where `erase` looks for whom it erases."""
    assert isinstance(tried(made, 4)[-1], Locked)
    assert typed("customer", "add", "10001", "--name", "Nora", "--no-pin", "--tenant", "north").code == 0
    for tenant in ("main", "north"):
        assert typed("customer", "lock", "10001", "--tenant", tenant).code == 0
    erase = "customer", "erase", "10001", "--by", "DPO", "--reason", "asked", "--yes"
    before = trail(made)
    for words in (("customer", "unlock", "10001", "--reason", "a reason"), erase):
        ended = by("rita", *words)
        assert (ended.code, ended.err) == (
            2,
            "number: a customer of each of these tenants has it: main, north. Name one with --tenant. Nothing was done\n",
        )
    assert trail(made) == [
        *before, ("cli", "customer.unlock_asked", "ambiguous"), ("cli", "customer.erase", "ambiguous")
    ]  # fmt: skip
    of_north = "10001", "--tenant", "north"
    assert by("rita", "customer", "unlock", *of_north, "--reason", "a reason").code == 0
    assert "nobody has asked" in by("sven", "customer", "unlock", "10001", "--tenant", "main", "--confirm", "--yes").err
    assert by("sven", "customer", "unlock", *of_north, "--confirm", "--yes").code == 0
    assert "locked     no" in typed("customer", "show", *of_north).out
    assert "locked     yes" in typed("customer", "show", "10001", "--tenant", "main").out
    assert typed(*erase, "--tenant", "north").code == 0
    # what was counted of the other one is not touched
    assert "Anna" in typed("customer", "show", "10001", "--reveal").out
    assert isinstance(tried(made, 1)[-1], Locked)


def test_other_customers_stay_locked(server: Server, made: Settings) -> None:
    assert isinstance(tried(made, 4)[-1], Locked)
    assert typed("customer", "add", "10002", "--name", "Bo", "--no-pin").code == 0
    assert typed("customer", "lock", "10001").code == 0
    assert unlock("10002").code == 0
    assert "locked     yes" in typed("customer", "show", "10001").out
    assert server.client.keys("tillit:fail:customer:*") != []
    # what was asked for one is not confirmed for another
    assert by("rita", "customer", "unlock", "10002", "--reason", "a reason").code == 0
    assert by("sven", "customer", "unlock", "10001", "--confirm", "--yes").code == 2


def names(server: Server) -> list[str]:
    return [client["name"] for client in server.client.client_list()]


def test_its_connection_is_closed(server: Server, made: Settings) -> None:
    """The name of the settings' worker is that of every connection that is made with them."""
    assert unlock().code == 0
    asyncio.run(wait_for(lambda: made.worker.name not in names(server), "its end"))


def test_nothing_is_done_by_halves_when_redis_is_away(server: Server, made: Settings) -> None:
    assert typed("customer", "lock", "10001").code == 0
    assert by("rita", "customer", "unlock", "10001", "--reason", "a reason").code == 0
    before = trail(made)
    server.kill()
    for words in (("--reason", "a reason"), ("--confirm", "--yes")):
        ended = by("sven", "customer", "unlock", "10001", *words)
        assert (ended.code, ended.out) == (75, "")
        assert ended.err.startswith(
            f"{made.file}: [redis] url: no Redis answers at unix://{server.socket}. Start Redis"
        )
    assert trail(made) == before
    assert "locked     yes" in typed("customer", "show", "10001").out


def test_a_customer_who_is_not_there(made: Settings) -> None:
    before = trail(made)
    for words in (("--reason", "a reason"), ("--confirm", "--yes")):
        ended = by("rita", "customer", "unlock", "99999", *words)
        assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
    # that nobody has a number is something to know, too
    asked = [("cli", "customer.unlock_asked", "unknown"), ("cli", "customer.show", "unknown")]
    assert trail(made) == [*before, *asked]


def test_one_person_without_a_login_does_not_become_another_by_a_variable(made: Settings) -> None:
    assert typed("customer", "lock", "10001").code == 0
    assert typed("customer", "unlock", "10001", "--reason", "I say so").code == 0
    for variable in ("LOGNAME", "USER", "SUDO_USER", "SUDO_UID"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, "berit")
            ended = typed("customer", "unlock", "10001", "--confirm", "--yes")
        assert (ended.code, "that is you" in ended.err) == (2, True)
    assert "locked     yes" in typed("customer", "show", "10001").out


def test_a_reason_that_names_the_customer_is_not_kept(made: Settings) -> None:
    ended = by("rita", "customer", "unlock", "10001", "--reason", "anna has shown her passport")
    assert (ended.code, ended.err) == (
        2,
        "--reason: has the customer's name or number, and would stay. Nothing was done\n",
    )
    assert last_row(made) == ("cli:rita/tillit", "customer.unlock_asked", '{"tenant":"main"}')


@pytest.mark.parametrize("how", [("erase", "--by", "DPO", "--reason", "asked"), ("remove",)], ids=["erased", "removed"])
def test_who_erases_and_adds_a_customer_anew_lifts_no_lock(
    server: Server, made: Settings, how: tuple[str, ...]
) -> None:
    assert isinstance(tried(made, 4)[-1], Locked)
    ended = typed("customer", how[0], "10001", *how[1:], "--yes")
    assert ended.code == 0
    assert how[0] != "erase" or "The lock after too many failures stays counted" in ended.out
    assert typed("customer", "add", "10001", "--name", "Anna", "--no-pin").code == 0
    assert [type(answer) for answer in tried(made, 1)] == [Locked]
    # nor when the lock has run out: the next failure locks at once, and for longer
    server.pass_time(15 * 60)
    assert typed("customer", "erase", "10001", "--by", "DPO", "--reason", "asked", "--yes").code == 0
    assert typed("customer", "add", "10001", "--name", "Anna", "--no-pin").code == 0
    assert [type(answer) for answer in tried(made, 2)] == [Granted, Locked]


def test_failures_of_an_erased_customer_that_have_locked_nothing_are_forgotten(server: Server, made: Settings) -> None:
    assert tried(made, 2) == [Granted(), Granted()]
    assert by("rita", "customer", "unlock", "10001", "--reason", "a reason").code == 0
    assert server.client.keys("tillit:fail:customer:*") != [] != server.client.keys("tillit:unlock:*")
    ended = typed("customer", "erase", "10001", "--by", "DPO", "--reason", "asked", "--yes")
    assert (ended.code, "stays counted" in ended.out) == (0, False)
    assert server.client.keys("tillit:fail:customer:*") == server.client.keys("tillit:unlock:*") == []


def test_the_most_failures_are_kept_even_where_the_lock_is_not(server: Server, made: Settings) -> None:
    ((key,),) = rows(made, "SELECT number_index FROM customers")
    server.client.hset(f"tillit:fail:customer:main:{key}", "n", 10)
    server.client.pexpire(f"tillit:fail:customer:main:{key}", 1_000_000)
    assert typed("customer", "erase", "10001", "--by", "DPO", "--reason", "asked", "--yes").code == 0
    assert server.client.hget(f"tillit:fail:customer:main:{key}", "n") == "10"
