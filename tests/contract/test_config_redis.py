"""The sample config/redis.conf in a real Redis: a worker is served, and unchanged it lets nobody in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rig.ports import HOST
from rig.redis_server import Redis
from rig.state import wait_until

from ivr.call.ports import Attempt, Challenge, Granted, Opened, Right
from ivr.config import load
from ivr.errors import ConfigError
from ivr.store.live import RedisLive
from tests.contract.live_server import RULES
from tests.contract.sampled import sampled

pytestmark = pytest.mark.servers

ANNA = Attempt("subject", "number", "channel")
SENT = Challenge("id", "subject", "channel", "mac")


class Sampled(Redis):
    """A Redis by config/redis.conf, with another port and folder."""

    def __init__(self, password: str | None) -> None:
        super().__init__(name="sampled")
        self.password = password or self.password
        # the samples leave no administrator: this one is the test's own
        self._config.write_text(sampled(self, password) + "user auditor on nopass +info +config|get\n")

    def auditor(self) -> redis.Redis:
        return redis.Redis(port=self.port, username="auditor", password="any", decode_responses=True)

    def told(self, section: str) -> dict[str, Any]:
        with self.auditor() as client:
            return client.info(section)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[tuple[Sampled, RedisLive]]:
    with Sampled(secrets.token_hex(24)) as server:
        opened = await RedisLive.open(load(settings_for(server, tmp_path)))
        yield server, opened
        await opened.close()


def settings_for(server: Sampled, folder: Path) -> Path:
    (folder / "redis.password").write_text(server.password + "\n")
    (folder / "redis.password").chmod(0o600)
    file = folder / "tillit.toml"
    file.write_text(
        f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'
        f'[redis]\nurl = "redis://{HOST}:{server.port}/0"\nusername = "tillit"\npassword_file = "redis.password"\n'
    )
    return file


async def test_redis_unchanged_lets_nobody_in(tmp_path: Path) -> None:
    with Sampled(None) as server:
        with pytest.raises(ConfigError, match="refuses the password"):
            await RedisLive.open(load(settings_for(server, tmp_path)))
        with redis.Redis(port=server.port, username="tillit", password="") as client, pytest.raises(redis.RedisError):
            client.ping()


async def test_redis_serves_a_worker(live: tuple[Sampled, RedisLive]) -> None:
    _, opened = live
    assert await opened.attempt(ANNA) == Granted()
    await opened.give_back(ANNA)
    assert await opened.open_challenge(SENT, RULES) == Opened()
    assert await opened.try_challenge(SENT, ANNA, RULES) == Right()
    assert await opened.mark("node", "channel") is None
    await opened.disown("node", "channel")


async def test_counts_outlive_a_crash_of_redis(live: tuple[Sampled, RedisLive], tmp_path: Path) -> None:
    server, opened = live
    while await opened.attempt(ANNA) == Granted():
        pass
    # what has not been handed to the system, which waits for a disk that is being flushed, would be lost
    await asyncio.to_thread(wait_until, lambda: server.told("persistence")["aof_buffer_length"] == 0, 5, "the file")
    server.kill()
    server.start()
    again = await RedisLive.open(load(settings_for(server, tmp_path)))
    assert await again.standing(ANNA) is not None, "a restart gave new tries"
    assert await again.unlock(ANNA.subject)
    await again.close()


async def test_redis_gives_no_more_rights_and_forgets_nothing(live: tuple[Sampled, RedisLive]) -> None:
    server, _ = live
    with redis.Redis(port=server.port, username="tillit", password=server.password) as client:
        for command in (
            "FLUSHALL",
            "KEYS *",
            "CONFIG GET dir",
            "MONITOR",
            "ACL LIST",
            "SAVE",
            "GET other:key",
            "SHUTDOWN",
        ):
            with pytest.raises(redis.RedisError, match="(?i)permission"):
                client.execute_command(*command.split())
    with redis.Redis(port=server.port) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()
    with server.auditor() as auditor:
        assert auditor.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert auditor.config_get("maxmemory") == {"maxmemory": str(256 << 20)}
        assert auditor.config_get("append*")["appendfsync"] == "everysec"
    assert server.told("persistence")["aof_enabled"] == 1
