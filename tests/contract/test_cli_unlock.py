"""`customer unlock`, which lifts what stands in the database and what Redis has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ivr.call.outcome import Locked
from ivr.call.ports import Attempt, Granted
from ivr.config import Settings
from ivr.store.live import RedisLive
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.unit.cli_kit import trail, typed
from tests.unit.database_kit import rows

pytestmark = pytest.mark.servers


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def made(server: Server, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A new system on this Redis, with one customer."""
    settings = server.settings()
    monkeypatch.chdir(server.folder)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    assert typed("init").code == 0
    assert typed("customer", "add", "10001", "--name", "Anna", "--no-pin").code == 0
    return settings


def tried(settings: Settings, times: int) -> list[Granted | Locked]:
    """What the worker's tries for this customer come to."""
    ((key,),) = rows(settings, "SELECT number_index FROM customers")

    async def attempts() -> list[Granted | Locked]:
        live = await RedisLive.open(settings)
        try:
            return [await live.attempt(Attempt(key, None, f"call-{n}")) for n in range(times)]
        finally:
            await live.close()

    return asyncio.run(attempts())


def test_both_locks_are_lifted(server: Server, made: Settings) -> None:
    assert [type(answer) for answer in tried(made, 4)] == [Granted, Granted, Granted, Locked]
    assert server.client.keys("tillit:fail:customer:*") != []
    assert typed("customer", "lock", "10001").code == 0
    ended = typed("customer", "unlock", "10001")
    ((ref,),) = rows(made, "SELECT ref FROM customers")
    assert (ended.code, ended.out, ended.err) == (0, f"Unlocked customer {ref}\n", "")
    assert [action for _, action, _ in trail(made)][-2:] == ["customer.lock", "customer.unlock"]
    assert "locked     no" in typed("customer", "show", "10001").out
    assert server.client.keys("tillit:fail:customer:*") == []
    assert tried(made, 1) == [Granted()]


def test_other_customers_stay_locked(server: Server, made: Settings) -> None:
    assert isinstance(tried(made, 4)[-1], Locked)
    assert typed("customer", "add", "10002", "--name", "Bo", "--no-pin").code == 0
    assert typed("customer", "lock", "10001").code == 0
    assert typed("customer", "unlock", "10002").code == 0
    assert "locked     yes" in typed("customer", "show", "10001").out
    assert server.client.keys("tillit:fail:customer:*") != []


def names(server: Server) -> list[str]:
    return [client["name"] for client in server.client.client_list()]


def test_its_connection_is_closed(server: Server, made: Settings) -> None:
    """The name of the settings' worker is that of every connection that is made with them."""
    assert typed("customer", "unlock", "10001").code == 0
    asyncio.run(wait_for(lambda: made.worker.name not in names(server), "its end"))


def test_nothing_is_done_by_halves_when_redis_is_away(server: Server, made: Settings) -> None:
    assert typed("customer", "lock", "10001").code == 0
    server.kill()
    ended = typed("customer", "unlock", "10001")
    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith(f"{made.file}: [redis] url: no Redis answers at unix://{server.socket}. Start Redis")
    assert trail(made)[-1] == ("cli", "customer.lock", "done")
    assert "locked     yes" in typed("customer", "show", "10001").out


def test_a_customer_who_is_not_there(made: Settings) -> None:
    before = trail(made)
    ended = typed("customer", "unlock", "99999")
    assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
    assert trail(made) == before
