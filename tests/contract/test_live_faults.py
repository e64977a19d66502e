"""Redis refused, slow, killed, restarted, full: an error in time, no try counted twice, and back by itself."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest
import redis

from ivr.call.ports import Attempt, Challenge, Granted, Opened, Right
from ivr.errors import ConfigError, StoreError
from ivr.store.live import RedisLive
from tests.contract.live_server import LIMITS, RULES, Server

pytestmark = pytest.mark.servers

ANNA = Attempt("canary-subject", "canary-number", "channel")
SENT = Challenge("id", "canary-subject", "channel", "canary-mac")


async def refused(live: RedisLive) -> str:
    with pytest.raises(StoreError) as caught:
        await live.attempt(ANNA)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "canary" not in str(caught.value)
    return str(caught.value)


async def test_the_first_call_after_a_restart_succeeds_and_loads_its_script(live: RedisLive, server: Server) -> None:
    await asyncio.gather(*(live.standing(ANNA) for _ in range(40)))  # many connections, all of them stale soon
    server.kill()
    server.start()
    assert await live.attempt(ANNA) == Granted()
    assert server.client.hget("tillit:fail:customer:canary-subject", "n") == "1"


async def test_while_redis_is_down_every_call_fails_soon(live: RedisLive, server: Server) -> None:
    server.kill()
    for _ in range(3):
        assert await refused(live) == "Redis: ConnectionError"
    with pytest.raises(StoreError):
        await live.mark("node", "channel")
    server.start()
    assert await live.attempt(ANNA) == Granted()


async def test_redis_is_killed_under_load_and_no_try_is_counted_twice() -> None:
    with Server("--appendonly", "yes", "--appendfsync", "always") as kept:
        live = await RedisLive.open(kept.settings(LIMITS.replace("all = 1000", "all = 1000000")))
        granted = failed = 0

        async def caller(name: int) -> None:
            nonlocal granted, failed
            for n in range(50):
                try:
                    await live.attempt(Attempt(f"customer-{name}-{n}", None, f"call-{name}-{n}"))
                    granted += 1
                except StoreError:
                    failed += 1
                    await asyncio.sleep(0)
                if name == 0 and n == 25:
                    kept.kill()
                    kept.start()

        await asyncio.gather(*(caller(name) for name in range(8)))
        counted = int(kept.client.get("tillit:fail:all"))
        assert granted <= counted <= granted + failed
        assert granted + failed == 400
        assert all(kept.client.hget(key, "n") == "1" for key in kept.client.scan_iter("tillit:fail:customer:*"))
        await live.close()


async def test_a_hung_redis_is_given_up_in_time(server: Server) -> None:
    live = await RedisLive.open(server.settings(redis_lines="request_seconds = 0.2"))
    server.pause(on=True)
    before = time.monotonic()
    errors = await asyncio.gather(*(live.attempt(ANNA) for _ in range(40)), return_exceptions=True)
    assert time.monotonic() - before < 1
    assert [str(error) for error in errors] == ["Redis did not answer in time"] * 40
    server.pause(on=False)
    await live.unlock("canary-subject")
    # Answers to what was given up must not be taken for answers to what is asked now.
    assert await live.mark("node", "channel") is None
    assert await live.open_challenge(SENT, RULES) == Opened()
    await live.close()


async def test_a_cancelled_call_leaves_no_answer_for_the_next(live: RedisLive, server: Server) -> None:
    for delay in range(20):
        task = asyncio.create_task(live.attempt(ANNA))
        for _ in range(delay):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await live.mark("node", "channel") is None
    assert live.round_trips > 20


async def test_scripts_are_loaded_again(live: RedisLive, server: Server) -> None:
    server.client.script_flush()
    before = live.round_trips
    assert await live.attempt(ANNA) == Granted()
    assert live.round_trips - before == 2
    assert await live.attempt(ANNA) == Granted()
    assert live.round_trips - before == 3
    assert server.client.hget("tillit:fail:customer:canary-subject", "n") == "2"


async def test_a_full_redis_evaluates_nothing(live: RedisLive, server: Server) -> None:
    assert await live.open_challenge(SENT, RULES) == Opened()
    server.client.config_set("maxmemory", "1")
    assert await refused(live) == "Redis: OOM"
    with pytest.raises(StoreError, match="OOM"):
        await live.ping()
    with pytest.raises(StoreError, match="OOM"):
        # Else a guesser would tell the right code from the wrong ones, which nobody counts.
        await live.try_challenge(SENT, ANNA, RULES)
    assert server.client.keys("tillit:fail:*") == []
    server.client.config_set("maxmemory", "0")
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()


async def test_a_replica_a_busy_and_a_broken_redis_refuse(live: RedisLive, server: Server) -> None:
    server.client.replicaof("127.0.0.1", "1")
    assert await refused(live) == "Redis: READONLY"
    server.client.replicaof("no", "one")
    server.client.set("tillit:fail:customer:canary-subject", "no hash")
    assert await refused(live) in {"Redis: WRONGTYPE", "Redis: ERR"}
    server.client.delete("tillit:fail:customer:canary-subject")
    server.client.config_set("busy-reply-threshold", "1")
    loop = asyncio.create_task(asyncio.to_thread(_spin, server))
    while (said := await _said(live)) != "Redis: BUSY":
        assert said == ""
    server.client.script_kill()
    await loop
    assert await live.attempt(ANNA) == Granted()


async def _said(live: RedisLive) -> str:
    try:
        await live.standing(ANNA)
    except StoreError as error:
        return str(error)
    return ""


def _spin(server: Server) -> None:
    with pytest.raises(redis.ResponseError), redis.Redis(unix_socket_path=str(server.socket), protocol=2) as client:
        client.eval("while true do end", 0)


class Proxy:
    """Between the store and Redis: resets connections, or swallows answers, as a broken network does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.swallow = False
        self.accepted = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.close()
        await self._listener.wait_closed()

    async def reset(self, live: RedisLive) -> None:
        """End every connection as a rebooted machine does (RST, not FIN), and wait until that has arrived."""
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()
        while any(idle._reader.exception() is None for idle in live._link._pool._available_connections):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._server.socket)
        try:
            while command := await reader.read(65536):
                inner_writer.write(command)
                answer = await inner_reader.read(65536)
                if self.swallow:
                    self.swallow = False
                    return
                writer.write(answer)
        except ConnectionError:
            pass
        finally:
            inner_writer.close()
            writer.close()


async def test_connections_that_were_reset_are_replaced_before_anything_is_sent(server: Server) -> None:
    proxy = Proxy(server)
    live = await RedisLive.open(server.settings(url=await proxy.start()))
    for n in range(1, 4):
        await proxy.reset(live)
        assert await live.attempt(Attempt("anna", None, f"call-{n}")) == Granted()
        assert proxy.accepted == n + 1
        assert server.client.hget("tillit:fail:customer:anna", "n") == str(n)
    await live.close()
    await proxy.stop()


async def test_a_lost_answer_is_an_error_and_the_try_is_counted_once(server: Server) -> None:
    proxy = Proxy(server)
    live = await RedisLive.open(server.settings(url=await proxy.start()))
    proxy.swallow = True
    await refused(live)
    assert server.client.hget("tillit:fail:customer:canary-subject", "n") == "1"
    assert await live.attempt(ANNA) == Granted()
    await live.close()
    await proxy.stop()


# ---------------------------------------------------------------- at start


async def explained(server: Server, **options: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await RedisLive.open(server.settings(**options))
    assert caught.value.__cause__ is None
    assert caught.value.place.startswith(str(server.folder / "tillit.toml"))
    return caught.value


async def test_an_unreachable_redis_is_explained(server: Server) -> None:
    error = await explained(server, url="redis://127.0.0.1:1/0")
    assert error.place.endswith("[redis] url")
    assert "no Redis answers at redis://127.0.0.1:1/0" in str(error)
    assert "systemctl start" in error.cure


async def test_an_address_that_is_none_is_explained(server: Server) -> None:
    for url in ("redis://127.0.0.1:6379/0?nonsense=1", "redis://127.0.0.1:port/0"):
        assert (await explained(server, url=url)).place.endswith("[redis] url")


async def test_a_hung_redis_is_explained(server: Server) -> None:
    server.pause(on=True)
    assert (await explained(server, redis_lines="request_seconds = 0.1")).place.endswith("[redis] url")
    server.pause(on=False)


async def test_passwords() -> None:
    with Server("--requirepass", "canary-right") as server:
        file = server.folder / "password"
        file.write_text("canary-wrong")
        file.chmod(0o600)
        for lines in ("", 'password_file = "password"'):
            error = await explained(server, redis_lines=lines)
            assert error.place.endswith("[redis] password_file")
            assert "canary" not in str(error)
        file.write_text("canary-right\n")
        live = await RedisLive.open(server.settings(redis_lines='password_file = "password"'))
        assert await live.attempt(ANNA) == Granted()
        assert "canary" not in repr(vars(live._link))
        await live.close()


async def test_a_user_without_rights_is_explained_and_the_cure_helps(server: Server) -> None:
    server.client.acl_setuser(
        "worker", enabled=True, passwords=["+right"], categories=["+@read", "+@connection"], keys=["*"]
    )
    file = server.folder / "password"
    file.write_text("right")
    file.chmod(0o600)
    lines = 'password_file = "password"\nusername = "worker"'
    error = await explained(server, redis_lines=lines)
    assert error.place.endswith("[redis] username")
    rights = error.cure.split("ACL SETUSER: ")[1].split()
    server.client.execute_command("ACL", "SETUSER", "worker", "resetkeys", "-@all", *rights)
    live = await RedisLive.open(server.settings(redis_lines=lines))
    assert await live.attempt(ANNA) == Granted()
    assert await live.open_challenge(SENT, RULES) == Opened()
    assert await live.mark("node", "channel") is None
    await live.close()


async def test_a_replica_is_explained(server: Server) -> None:
    server.client.replicaof("127.0.0.1", "1")
    error = await explained(server)
    assert error.place.endswith("[redis] url")
    assert "READONLY" in error.problem


async def test_a_full_redis_is_explained(server: Server) -> None:
    server.client.config_set("maxmemory", "1")
    assert "OOM" in (await explained(server)).problem
