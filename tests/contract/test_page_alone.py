"""The page process by itself: what it needs to start, and what whoever breaks into it could reach."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
import redis
from rig.ports import HOST, Ports
from rig.redis_server import Redis
from rig.state import CHECKOUT, wait_until

from ivr.call.proof import Stage
from ivr.config import Settings, load
from ivr.errors import ConfigError, Unreachable
from ivr.store import pagekey
from ivr.store.link import Link
from ivr.store.opened import link_of_page, new_link, rights
from ivr.store.pagekey import PageKey
from ivr.store.pages import Kept, Pages
from tests.contract.page_kit import DIGITS, at, proof
from tests.contract.sampled import sampled

pytestmark = pytest.mark.servers

WORKERS, PAGES = "the worker's password", "the page's password"


class Sampled(Redis):
    """A Redis by config/redis.conf, with both users' passwords."""

    def __init__(self) -> None:
        super().__init__(name="paged")
        self.password = WORKERS
        text = sampled(self, WORKERS)
        before = "user tillit-page on resetpass "
        assert text.count(before) == 1
        hashed = sha256(PAGES.encode()).hexdigest()
        self._config.write_text(text.replace(before, f"user tillit-page on #{hashed} "))


@pytest.fixture(scope="module")
def store() -> Iterator[Sampled]:
    with Sampled() as made:
        yield made


@pytest.fixture
def settings(store: Sampled, tmp_path: Path) -> Iterator[Settings]:
    """Those of a machine on which there is nothing but the page: no key, no database, no other password."""
    ports = Ports(1)
    port = ports.take()
    for name, content in (("page.password", PAGES.encode()), ("page.key", pagekey.line())):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    file = tmp_path / "tillit.toml"
    file.write_text(
        f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n'
        f'[redis]\nurl = "redis://{HOST}:{store.port}/0"\nusername = "tillit"\npassword_file = "not-here"\n'
        f'[page]\nlisten = "127.0.0.1:{port}"\nurl = "http://127.0.0.1:{port}"\nkey_file = "page.key"\n'
        f'redis_password_file = "page.password"\n'
    )
    yield load(file)
    ports.close()


@contextmanager
def running(settings: Settings) -> Iterator[Popen[bytes]]:
    """`ari_app.py page`, ready."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command = [sys.executable, str(CHECKOUT / "ari_app.py"), "page", "--config", str(settings.file)]
    process = Popen(command, env=environment, stdout=PIPE, stderr=PIPE, cwd=settings.file.parent)
    try:
        wait_until(lambda: process.poll() is not None or asked(f"{settings.page.url}/readyz")[0] == 200, 30, "the page")
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(url: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urlopen(Request(url, data=body), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except URLError:
        return 0, ""


async def test_it_runs_with_nothing_but_its_key_and_its_password(
    store: Sampled, settings: Settings, tmp_path: Path
) -> None:
    workers = tmp_path / "workers"
    workers.mkdir()
    (workers / "redis.password").write_text(WORKERS)
    (workers / "redis.password").chmod(0o600)
    file = workers / "tillit.toml"
    file.write_text(settings.file.read_text().replace("not-here", "redis.password"))
    link = Link.of(load(file))
    pages = Pages(link, "tillit", PageKey.open(settings))
    one, token = proof(), new_link()
    assert await pages.open(one, digits=DIGITS, link=token) == Kept()
    with running(settings) as process:
        url = f"{settings.page.url}{at(token)}"
        assert "Show who it is" in (await asyncio.to_thread(asked, url))[1]
        assert "green canoe" in (await asyncio.to_thread(asked, f"{url}/open", b""))[1]
        assert "keyed wrongly" not in (await asyncio.to_thread(asked, f"{url}/confirm", b"digits=000000"))[1]
        assert "You are talking with us" in (await asyncio.to_thread(asked, f"{url}/confirm", b"digits=481650"))[1]
        assert [each.stage for each in await pages.due()] == [Stage.CONFIRMED]
        assert (await asyncio.to_thread(asked, f"{settings.page.url}/in/elks/s", b"x"))[0] == 204
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 0
        assert b"page.stopped" in out
        assert token.reveal().encode() not in out
    await link.close()
    assert not list(tmp_path.glob("*.db")), "it has no database"


def test_what_it_can_reach(store: Sampled) -> None:
    """Whoever has broken into it has its user at Redis: what proofs show, and nothing else by any command."""
    with client(store, "tillit", WORKERS) as workers:
        workers.set("tillit:mark:node:1", "secret", px=60_000)
        workers.set("tillit:proof:one:x", "secret", px=60_000)
    with client(store, "tillit-page", PAGES) as page:
        page.set("tillit:page:x", "1", px=60_000)
        assert page.get("tillit:page:x") == b"1"
        page.publish("tillit:page:news", "{}")
        assert page.eval("return redis.call('GET', KEYS[1])", 1, "tillit:page:x") == b"1"
        for command in (
            "GET tillit:mark:node:1", "SET tillit:mark:node:1 x", "DEL tillit:mark:node:1", "HGETALL tillit:proof:one:x",
            "HGET tillit:proof:one:x proof", "GET other", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB",
            "CONFIG GET dir", "CONFIG SET dir /tmp", "ACL LIST", "ACL WHOAMI", "CLIENT LIST", "CLIENT KILL TYPE normal", "MONITOR",
            "SUBSCRIBE tillit:news", "SUBSCRIBE tillit:page:news", "PSUBSCRIBE *", "PUBLISH tillit:news {}", "PUBLISH tillit:delivered {}",
            "RENAME tillit:page:x tillit:mark:y", "COPY tillit:mark:node:1 tillit:page:y", "DUMP tillit:mark:node:1", "MIGRATE h 1 k 0 1",
            "LRANGE tillit:page:in 0 -1", "BLPOP tillit:page:in 1", "HGETALL tillit:page:proof:x", "SMEMBERS tillit:page:ended",
            "SCRIPT FLUSH", "FUNCTION LIST", "SAVE", "SHUTDOWN", "REPLICAOF h 1", "INFO", "SLOWLOG GET", "MEMORY STATS",
            "OBJECT ENCODING tillit:mark:node:1", "OBJECT FREQ tillit:page:x", "SORT tillit:page:x GET tillit:mark:*", "EVAL_RO x 0", "MODULE LIST",
        ):  # fmt: skip
            with pytest.raises(redis.RedisError, match="(?i)permission"):
                page.execute_command(*command.split())
        for script in (
            "return redis.call('GET', 'tillit:mark:node:1')",
            "return redis.call('GET', KEYS[1])",
            "return redis.call('KEYS', '*')",
            "return redis.call('PUBLISH', 'tillit:news', '{}')",
        ):
            with pytest.raises(redis.RedisError, match="(?i)permission|can't access|can't run|can't publish"):
                page.eval(script, *((1, "tillit:mark:node:1") if "KEYS[1]" in script else (0,)))


def client(store: Sampled, user: str, password: str) -> Any:
    return redis.Redis(port=store.port, username=user, password=password, protocol=2, driver_info=None)


def test_the_sample_has_the_rights_that_it_needs_and_no_others() -> None:
    text = (CHECKOUT / "config" / "redis.conf").read_text()
    line = next(line for line in text.splitlines() if line.startswith("user tillit-page "))
    assert line == "user tillit-page on resetpass resetkeys " + rights("tillit").replace("&", "resetchannels &", 1)


async def test_why_it_cannot_start(store: Sampled, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "page.password").write_text("another")
    with pytest.raises(ConfigError, match=r"\[page\] redis_password_file: Redis refuses the password"):
        await link_of_page(settings)
    (tmp_path / "page.password").unlink()
    with pytest.raises(ConfigError, match=r"\[page\] redis_password_file: .*page\.password is missing"):
        await link_of_page(settings)
    (tmp_path / "page.password").write_text(PAGES)
    (tmp_path / "page.password").chmod(0o600)
    changed = settings.model_copy(update={"redis": settings.redis.model_copy(update={"prefix": "another"})})
    with pytest.raises(
        ConfigError,
        match=r"\[page\] redis_username: this user may not do what is needed \(NOPERM\)\. Grant it, with ACL SETUSER: ~another:page:\*",
    ):
        await link_of_page(changed)
    gone = changed.model_copy(update={"redis": changed.redis.model_copy(update={"url": f"redis://{HOST}:1/0"})})
    with pytest.raises(Unreachable, match="no Redis answers"):
        await link_of_page(gone)
