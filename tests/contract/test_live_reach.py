"""Which Redis may do later, as it is, and which only with other settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rig.certificates import Authority
from rig.redis_server import Redis

from ivr.config import Settings, load
from ivr.errors import ConfigError, Unreachable
from ivr.store.live import RedisLive
from ivr.store.pool import Pool
from tests.contract.live_server import Server

pytestmark = pytest.mark.servers


async def refused(server: Server, redis_lines: str = "request_seconds = 0.5", **options: str) -> ConfigError:
    """What is said."""
    settings = server.settings(redis_lines=redis_lines, **options)
    with pytest.raises(ConfigError) as caught:
        await RedisLive.open(settings)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    return caught.value


async def test_one_that_answers_is_opened(server: Server) -> None:
    live = await RedisLive.open(server.settings())
    assert await live.mark("node", "channel") is None
    await live.close()


async def test_nothing_there(server: Server) -> None:
    assert isinstance(await refused(server, url="redis://127.0.0.1:1/0"), Unreachable)
    server.kill()
    assert isinstance(await refused(server), Unreachable)


async def test_one_that_says_nothing(server: Server) -> None:
    server.pause(on=True)
    assert isinstance(await refused(server, redis_lines="request_seconds = 0.1"), Unreachable)
    server.pause(on=False)


async def test_one_that_is_full(server: Server) -> None:
    server.client.config_set("maxmemory", "1")
    error = await refused(server)
    assert isinstance(error, Unreachable)
    assert "OOM" in error.problem


@pytest.fixture
def reading(server: Server) -> Iterator[Server]:
    """One that is starting: it reads its file, slowly."""
    for key in range(1000):
        server.client.set(f"key-{key}", "x" * 100)
    server.client.save()
    server.kill()
    command = ["redis-server", "--port", "0", "--unixsocket", str(server.socket), "--dir", str(server.folder)]
    slow = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]
    once = Retry(NoBackoff(), 0)
    with (
        subprocess.Popen([*command, *slow], stdout=subprocess.DEVNULL) as process,
        redis.Redis(unix_socket_path=str(server.socket), retry=once) as client,
    ):
        try:
            while _said(client) != "BusyLoadingError":
                assert process.poll() is None
            yield server
            assert _said(client) == "BusyLoadingError", "it was through before the test was"
        finally:
            process.kill()


def _said(client: redis.Redis) -> str:
    try:
        client.ping()
    except redis.ConnectionError as error:
        return type(error).__name__
    return ""


async def test_one_that_is_still_reading_its_file(reading: Server) -> None:
    assert isinstance(await refused(reading, redis_lines="request_seconds = 5.0"), Unreachable)


async def test_one_that_wants_other_settings(server: Server) -> None:
    server.client.replicaof("127.0.0.1", "1")
    error = await refused(server)
    assert "READONLY" in error.problem and not isinstance(error, Unreachable)
    server.client.replicaof("no", "one")
    server.client.execute_command("ACL", "SETUSER", "default", "-@write", "-@scripting")
    error = await refused(server)
    assert error.place.endswith("username") and not isinstance(error, Unreachable)


async def test_one_that_wants_a_password() -> None:
    with Server("--requirepass", "canary") as server:
        error = await refused(server)
        assert error.place.endswith("password_file") and not isinstance(error, Unreachable)


async def test_an_address_that_is_none(server: Server) -> None:
    assert not isinstance(await refused(server, url="redis://127.0.0.1:port/0"), Unreachable)


async def test_with_a_ca_file_that_ca_alone_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, systems = Authority(tmp_path, "ours"), Authority(tmp_path, "systems")
    # as if the machine trusted that one anyway
    monkeypatch.setenv("SSL_CERT_FILE", str(systems.file))
    with Redis("reach", certificate=systems.issue("localhost")) as redis_:
        (tmp_path / "password").touch(0o600)
        (tmp_path / "password").write_text(redis_.password)

        def settings(*lines: str) -> Settings:
            (tmp_path / "tillit.toml").write_text(
                '[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n'
                f'[redis]\nurl = "rediss://localhost:{redis_.tls_port}/0"\nusername = "tillit"\n'
                'password_file = "password"\n' + "\n".join(lines)
            )
            return load(tmp_path / "tillit.toml")

        await (await RedisLive.open(settings())).close()
        for lines in ((), (f'sentinels = ["localhost:{redis_.tls_port}"]',)):
            with pytest.raises(ConfigError, match="is not trusted" if not lines else "none of them answers"):
                await RedisLive.open(settings(f'ca_file = "{ours.file}"', *lines))
        # of sentinels nobody says why: here it is asked one by one
        pool = Pool.of(settings(f'ca_file = "{ours.file}"', f'sentinels = ["localhost:{redis_.tls_port}"]'))
        assert pool.sentinels is not None
        try:
            with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
                await pool.sentinels.sentinels[0].ping()
        finally:
            await pool.aclose()
