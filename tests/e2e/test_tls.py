"""Asterisk, its manager interface, Redis and PostgreSQL on other machines: by TLS alone, and to nobody without a good certificate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.certificates import Authority, Certificate
from rig.ports import HOST, Ports
from rig.postgresql import USER, PostgreSQL
from rig.redis_server import Redis
from rig.stage import CHEAP_PINS, Stage
from rig.worker import Worker

from tests.e2e.scene import Scene


@dataclass
class Places:
    """What there is, and where it is reached by TLS."""

    stage: Stage
    other: Authority
    ari: int
    ports: frozenset[int]
    urls: dict[str, str]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("certificates")
    ca, other = Authority(folder), Authority(folder, "other")
    certificate = ca.issue("localhost")
    ports = Ports()
    ari, ami = ports.take(), ports.take()
    redis = Redis("tls-redis", persist=True, certificate=certificate)
    with PostgreSQL(certificate) as database:
        urls = {
            "asterisk": f"https://localhost:{ari}/ari",
            "redis": f"rediss://localhost:{redis.tls_port}/0",
            "database": f"postgresql://localhost:{database.port}/postgres",
        }
        stage = Stage(
            settings={
                **CHEAP_PINS,
                "asterisk": {"url": urls["asterisk"], "ca_file": str(ca.file)},
                "asterisk.ami": {
                    "host": "localhost", "port": ami, "tls": True, "password_file": "ami.password", "ca_file": str(ca.file),
                },
                "redis": {"url": urls["redis"], "username": "tillit", "ca_file": str(ca.file)},
                "database": {
                    "url": urls["database"], "username": USER, "password_file": "database.password", "ca_file": str(ca.file),
                },
            },
            overrides={"http.conf": _by_tls(ari, certificate), "manager.conf": _by_tls(ami, certificate)},
            name="tls", brisk=True, redis=redis,
        )  # fmt: skip
        stage.passwords = {"ami.password": stage.pbx.ami_password, "database.password": database.password}
        with stage:
            yield Places(stage, other, ari, frozenset({ari, ami, redis.tls_port, database.port}), urls)
    ports.close()


def _by_tls(port: int, certificate: Certificate) -> str:
    return (
        f"[general](+)\ntlsenable = yes\ntlsbindaddr = {HOST}:{port}\n"
        f"tlscertfile = {certificate.chain}\ntlsprivatekey = {certificate.key}\n"
    )


@pytest.fixture(scope="module")
def stage(places: Places) -> Stage:
    return places.stage


@pytest.fixture(scope="module")
def worker(places: Places) -> Iterator[Worker]:
    with places.stage.worker(port=places.ari) as worker:
        yield worker


async def test_a_caller_is_verified_and_nothing_goes_in_clear(scene: Scene, places: Places) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.talking(agent)
    assert (await scene.logged("ami.connected"))["port"] in places.ports
    assert talks_to(scene.worker.child.pid) == places.ports
    await caller.hang_up()
    await scene.logged("call.ended")
    assert "verified" in places.stage.command("audit", "show")


def talks_to(pid: int) -> set[int]:
    """The ports of the TCP connections that this process has made (proc(5))."""
    links = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[3] == "01" and f"socket:[{row[9]}]" in links}


@pytest.mark.parametrize("table", ["asterisk", "redis", "database"])
def test_who_has_a_certificate_of_another_ca_is_told_nothing(places: Places, table: str) -> None:
    stage = places.stage
    stage.write_config({table: {"ca_file": str(places.other.file)}})
    try:
        done = stage.attempt("run")
    finally:
        stage.write_config()
    assert done.returncode != 0
    assert f"[{table}] ca_file: " in done.stderr
    assert "its certificate is not trusted: " in done.stderr
    assert "Name the file of the CA's certificate" in done.stderr


@pytest.mark.parametrize("table", ["asterisk", "redis", "database"])
def test_a_name_that_the_certificate_does_not_have(places: Places, table: str) -> None:
    stage = places.stage
    stage.write_config({table: {"url": places.urls[table].replace("localhost", HOST)}})
    try:
        done = stage.attempt("run")
    finally:
        stage.write_config()
    assert done.returncode != 0
    assert f"[{table}] ca_file: " in done.stderr
    assert "its certificate is not trusted: " in done.stderr
    assert HOST in done.stderr


async def test_an_ami_of_another_ca_is_not_logged_in_to(scene: Scene, places: Places) -> None:
    """Verifying goes on without it, as ever."""
    stage = places.stage
    stage.write_config({"asterisk.ami": {"ca_file": str(places.other.file)}})
    try:
        worker = stage.worker("another-ca", port=places.ari)
        worker.launch()
        try:
            line = await scene.logged("ami.unreachable", of=worker)
            # the scene's own worker serves
            await scene.logged("worker.stands_by", of=worker)
        finally:
            worker.stop()
    finally:
        stage.write_config()
    assert "its certificate is not trusted" in line["error"]
    assert "ca_file" in line["cure"]
    assert not scene.log("ami.connected", of=worker)
