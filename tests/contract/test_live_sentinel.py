"""Sentinels and a Redis with two replicas: a fail-over is survived, and what was counted stays counted."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from rig.certificates import Authority
from rig.ports import HOST, Ports
from rig.process import Child
from rig.redis_server import Redis
from rig.sentinel import NAME
from rig.state import wait_until

from ivr.call.ports import Attempt, Granted
from ivr.doctor import Finding, sentinels
from ivr.doctor.live import REPLICAS, check
from ivr.errors import ConfigError, StoreError, Unreachable
from ivr.store.live import RedisLive
from tests.contract.live_server import LIMITS, settings_in
from tests.contract.sentinel_kit import Guarded

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """To find one another takes sentinels seconds, so there is one for all tests; each leaves less of it to the next."""
    with Guarded() as running:
        yield running


def anna(call: int) -> Attempt:
    return Attempt("anna", None, f"call-{call}")


async def test_sentinels_that_do_not_answer(guarded: Guarded) -> None:
    first, hung, living = guarded.sentinels
    guarded.child(hung).pause()
    try:
        live = await RedisLive.open(guarded.settings("request_seconds = 4.0", [guarded.nobody, hung, living]))
        assert await live.attempt(anna(1)) == Granted()
        await live.close()
        for places in ([guarded.nobody], [hung], guarded.ports[:1]):
            with pytest.raises(Unreachable, match="none of them answers and knows a primary called tillit") as caught:
                await RedisLive.open(guarded.settings("request_seconds = 1.0", places))
            assert "[redis] sentinels" in str(caught.value) and guarded.password not in str(caught.value)
    finally:
        guarded.child(hung).resume()
    with pytest.raises(Unreachable, match="knows a primary called other"):
        await RedisLive.open(guarded.settings('sentinel_name = "other"', [first]))


async def test_a_primary_elsewhere_is_not_spoken_to_in_clear(guarded: Guarded) -> None:
    """The sentinel is on this machine; where it sends us is not."""
    port, elsewhere = guarded.nobody, ("192.0.2.77", 6379)
    file = guarded.folder / "alone.conf"
    file.write_text(f"bind {HOST}\nport {port}\ndir {guarded.folder}\n")
    child = Child("sentinel", ["redis-server", str(file), "--sentinel"], guarded.folder / "alone.log")
    try:
        with redis.Redis(port=port) as sentinel:

            def monitor(host: str, at: int) -> None:
                sentinel.execute_command("SENTINEL", "MONITOR", NAME, host, at, 1)

            child.require(lambda: "Sentinel ID" in (guarded.folder / "alone.log").read_text(), 10, "the sentinel")
            monitor(*elsewhere)
            with pytest.raises(ConfigError, match=f"{elsewhere[0]}, would be spoken to in clear") as caught:
                await RedisLive.open(guarded.settings(sentinels=[port]))
            assert "[redis] sentinels" in str(caught.value)
            sentinel.execute_command("SENTINEL", "REMOVE", NAME)
            monitor(HOST, guarded.primary)
            live = await RedisLive.open(guarded.settings(sentinels=[port]))
            # in the middle of a day it is told of another one
            sentinel.execute_command("SENTINEL", "REMOVE", NAME)
            monitor(*elsewhere)
            await live._link._pool.disconnect()
            with pytest.raises(StoreError, match=f"{elsewhere[0]}, would be spoken to in clear"):
                await live.ping()
            await live.close()
    finally:
        child.kill()
    with pytest.raises(Unreachable):
        await RedisLive.open(guarded.settings(sentinels=[port]))


async def test_nobody_waits_for_a_primary_that_hangs_when_there_is_another(tmp_path: Path) -> None:
    """By TLS a connection is closed by both sides: one that leads to a machine that hangs, after a long time or never."""
    authority = Authority(tmp_path)
    certificate = authority.issue(HOST)
    with (
        Redis("hung", certificate=certificate) as hung,
        Redis("next", certificate=certificate) as following,
        closing(Ports()) as ports,
    ):
        port = ports.take()
        (tmp_path / "redis.password").touch(0o600)
        (tmp_path / "redis.password").write_text(hung.password)
        with redis.Redis.from_url(following.url) as client:
            client.acl_setuser("tillit", enabled=True, passwords=[f"+{hung.password}"])
        file = tmp_path / "sentinel.conf"
        file.write_text(
            f"bind {HOST}\nport 0\ntls-port {port}\ndir {tmp_path}\ntls-auth-clients no\n"
            f"tls-cert-file {certificate.chain}\ntls-key-file {certificate.key}\ntls-ca-cert-file {authority.file}\n"
        )
        child = Child("sentinel", ["redis-server", str(file), "--sentinel"], tmp_path / "sentinel.log")
        try:
            child.require(lambda: "Sentinel ID" in (tmp_path / "sentinel.log").read_text(), 10, "the sentinel")
            with redis.Redis(port=port, ssl=True, ssl_ca_certs=str(authority.file), host=HOST) as sentinel:
                sentinel.execute_command("SENTINEL", "MONITOR", NAME, HOST, hung.tls_port, 1)
                lines = (
                    f'url = "rediss://{HOST}/0"\nusername = "tillit"\npassword_file = "redis.password"\n'
                    f'ca_file = "{authority.file}"\nsentinels = ["{HOST}:{port}"]\nrequest_seconds = 3.0'
                )
                live = await RedisLive.open(settings_in(tmp_path, lines, LIMITS))
                pool = live._link._pool
                await asyncio.gather(*(live.ping() for _ in range(6)))
                (*_, last) = idle = list(pool._available_connections)
                assert len(idle) > 3
                sentinel.execute_command("SENTINEL", "REMOVE", NAME)
                sentinel.execute_command("SENTINEL", "MONITOR", NAME, HOST, following.tls_port, 1)
            # the one that is lent next is gone; the others lie there still, and nobody will answer on them
            last._writer.transport.abort()
            hung.child.pause()
            before = pool._primary
            first = asyncio.create_task(live.attempt(anna(0)))
            while pool._primary == before and not first.done():
                await asyncio.sleep(0)

            async def others() -> None:
                while not first.done():
                    assert await live.ping() is None

            told = await asyncio.gather(first, *(others() for _ in range(8)), return_exceptions=True)
            assert told == [Granted(), *[None] * 8]
            assert [await live.attempt(Attempt(f"anna-{n}", None, f"call-{n}")) for n in range(1, 9)] == [Granted()] * 8
            await live.close()
        finally:
            hung.child.resume()
            child.kill()


async def test_without_so_many_replicas_nothing_holds(guarded: Guarded) -> None:
    live = await RedisLive.open(guarded.settings("request_seconds = 0.5\nreplicas = 1"))
    guarded.client().flushall()
    assert await live.attempt(anna(1)) == Granted()
    replicas = [guarded.child(port) for port in guarded.ports if port != guarded.primary]
    for replica in replicas:
        replica.pause()
    try:
        with pytest.raises(StoreError, match="Redis: 0 of 1 replicas have what was written|did not answer in time"):
            await live.attempt(anna(2))
    finally:
        for replica in replicas:
            replica.resume()
    # it was counted all the same: who guesses gains nothing
    assert guarded.client().hget("tillit:fail:customer:anna", "n") == "2"
    assert await live.mark("node", "channel") is None
    await live.close()


async def test_a_fail_over_under_load_forgets_nothing_and_counts_nothing_twice(guarded: Guarded) -> None:
    """All replicas must have it: for a second the one that was chosen leads, and the one that led still takes writes."""
    live = await RedisLive.open(guarded.settings("request_seconds = 15.0\nreplicas = 2"))
    granted = failed = 0
    guarded.client().flushall()
    over = asyncio.create_task(asyncio.to_thread(guarded.fail_over))

    async def caller(name: int) -> None:
        nonlocal granted, failed
        turn = 0
        while not over.done() or turn < 20:
            turn += 1
            try:
                assert await live.attempt(Attempt(f"{name}-{turn}", None, f"call-{name}-{turn}")) == Granted()
                granted += 1
            except StoreError:
                failed += 1
                await asyncio.sleep(0.01)

    await asyncio.gather(*(caller(name) for name in range(4)))
    await over
    client = guarded.client()
    counted = list(client.scan_iter("tillit:fail:customer:*", count=1000))
    assert granted <= len(counted) <= granted + failed
    assert {client.hget(key, "n") for key in counted} == {"1"}
    await live.close()


# ---------------------------------------------------------------- the doctor


async def doctor(guarded: Guarded, redis_lines: str = "", ports: list[int] | None = None) -> dict[str, Finding]:
    """What it finds that has to do with more than one Redis, by name; what is well is `ok`."""
    kinds = {"ok", REPLICAS.name, *(kind.name for kind in sentinels.KINDS)}
    settings = guarded.settings(f"request_seconds = 10.0\n{redis_lines}", ports)
    found = [one for one in await check(settings) if one.name in kinds]
    assert len({one.name for one in found}) == len(found), found
    for one in found:
        assert one.name == "ok" or (one.why and one.cure)
        assert guarded.password not in str(one)
    return {one.name: one for one in found}


def typed(line: str) -> None:
    """A line of a cure, as it stands there."""
    subprocess.run(["sh", "-c", line], check=True, capture_output=True, timeout=10)


async def test_the_doctor_finds_nothing_wrong_with_sentinels_that_agree(guarded: Guarded) -> None:
    guarded.settle()
    found = await doctor(guarded, "replicas = 2")
    assert list(found) == ["ok"]
    assert found["ok"].what == f"3 sentinels agree that tillit is at {HOST}:{guarded.primary}"


async def test_the_doctor_says_which_sentinel_does_not_answer(guarded: Guarded) -> None:
    first, hung, living = guarded.sentinels
    for places, what in (
        ([first, guarded.nobody, living], f"{HOST}:{guarded.nobody}: does not answer"),
        ([first, guarded.ports[0], living], f"{HOST}:{guarded.ports[0]}: knows no primary called tillit"),
        ([first, hung, living], f"{HOST}:{hung}: does not answer"),
    ):
        if hung in places:
            guarded.child(hung).pause()
        try:
            found = await doctor(guarded, ports=places)
        finally:
            guarded.child(hung).resume()
        assert list(found) == ["sentinel-away"] and found["sentinel-away"].what == what
        assert str(places[1]) in found["sentinel-away"].cure[0]
    typed(found["sentinel-away"].cure[0])
    assert list(await doctor(guarded)) == ["ok"]
    typed(f"redis-cli -h {HOST} -p {hung} ACL SETUSER default resetpass '>other'")
    try:
        found = await doctor(guarded)
        assert found["sentinel-away"].what == f"{HOST}:{hung}: refuses our password, or wants one"
    finally:
        typed(f"redis-cli -h {HOST} -p {hung} -a other --no-auth-warning ACL SETUSER default nopass")
    # none of them knows it: nor can Redis be used
    checked = await check(guarded.settings('sentinel_name = "other"'))
    assert [one.name for one in checked] == ["sentinel-away"] * 3 + ["redis-away"]
    assert "knows no primary called other" in checked[0].what


async def test_the_doctor_says_when_sentinels_do_not_agree_and_who_says_what(guarded: Guarded) -> None:
    with guarded.stray() as (primary, sentinel):
        found = await doctor(guarded, ports=[*guarded.sentinels, sentinel])
        assert list(found) == ["sentinels-disagree"]
        what, cure = found["sentinels-disagree"].what, found["sentinels-disagree"].cure
        assert what.count(f"says {HOST}:{guarded.primary}") == 3
        assert f"{HOST}:{sentinel} says {HOST}:{primary}" in what
        assert {f"redis-cli -h {HOST} -p {port} ROLE" for port in (primary, guarded.primary)} <= set(cure)
    assert list(await doctor(guarded)) == ["ok"]


async def test_the_doctor_says_when_replicas_are_missing(guarded: Guarded) -> None:
    found = await doctor(guarded, "replicas = 3")
    assert "redis-replicas" in found
    assert found["redis-replicas"].what == "2 replicas are connected, and [redis] replicas demands 3"
    assert f"-p {guarded.primary} INFO replication" in found["redis-replicas"].cure[0]
    gone = next(port for port in guarded.ports if port != guarded.primary)
    client = guarded.client(gone)
    client.replicaof("NO", "ONE")
    try:
        wait_until(lambda: guarded.client().info("replication")["connected_slaves"] == 1, 10, "the replica to leave")
        assert "redis-replicas" in await doctor(guarded, "replicas = 2")
        assert "redis-replicas" not in await doctor(guarded, "replicas = 1")
    finally:
        client.replicaof(HOST, guarded.primary)
    guarded.settle()
    assert list(await doctor(guarded, "replicas = 2")) == ["ok"]


async def test_the_doctor_says_when_one_sentinel_alone_may_move_redis(guarded: Guarded) -> None:
    alone = guarded.sentinels[1]
    typed(f"redis-cli -h {HOST} -p {alone} SENTINEL SET tillit quorum 1")
    found = await doctor(guarded)
    assert list(found) == ["sentinel-quorum"]
    assert found["sentinel-quorum"].what == f"the quorum is 1 at {HOST}:{alone}"
    for line in found["sentinel-quorum"].cure:
        typed(line)
    assert list(await doctor(guarded)) == ["ok"]


# ---------------------------------------------------------------- the last one leaves one replica


async def test_who_was_counted_stays_counted_when_the_primary_dies(guarded: Guarded) -> None:
    guarded.settle()
    every = await RedisLive.open(guarded.settings("request_seconds = 15.0\nreplicas = 2"))
    one = await RedisLive.open(guarded.settings("request_seconds = 15.0\nreplicas = 1"))
    guarded.client().flushall()
    before = guarded.primary
    await asyncio.gather(*(every.attempt(Attempt(f"customer-{n}", None, f"call-{n}")) for n in range(30)))
    assert await every.attempt(anna(1)) == Granted()
    await asyncio.to_thread(guarded.child(before).kill)
    # nothing was sent that may be lost: it waits for the next primary
    assert await one.attempt(anna(2)) == Granted()
    await asyncio.to_thread(guarded.followed, before)
    client = guarded.client()
    assert client.hget("tillit:fail:customer:anna", "n") == "2"
    assert [client.hget(f"tillit:fail:customer:customer-{n}", "n") for n in range(30)] == ["1"] * 30
    await every.close()
    await one.close()
