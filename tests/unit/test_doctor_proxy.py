"""The proxy and the CRM behind it, as the doctor looks at them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from ivr.config import Settings
from ivr.doctor import proxy
from ivr.doctor.finding import Grade

PATTERNS = {"customer": {"path": "/c/{number}"}}


def settings(tmp_path: Path, **own: Any) -> Settings:
    made = Settings.model_validate(
        {
            "company": {"name": "Acme", "country": "SE"},
            "desk": {"url": "https://desk.example.com"},
            "proxy": {
                "listen": "127.0.0.1:8444",
                "url": "https://crm.example.com",
                "patterns": PATTERNS,
                "connect_seconds": 2,
                **own,
            },
            "policies": {"main": {"steps": ["pin"], "level": 1}},
        }
    )
    return made.read_from(tmp_path / "tillit.toml")


async def served(trusted: ssl.SSLContext | None = None) -> tuple[web.ServerRunner, int]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trusted).start()
    return runner, runner.addresses[0][1]


@pytest.fixture
async def crm() -> AsyncIterator[str]:
    runner, port = await served()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_without_a_proxy_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    (found,) = await proxy.check(settings(tmp_path, listen=None, upstream=None))
    assert (found.grade, found.what) == (Grade.OK, "[proxy] listen is not written")


async def test_a_crm_that_answers_is_well(tmp_path: Path, crm: str) -> None:
    (found,) = await proxy.check(settings(tmp_path, upstream=crm))
    assert (found.grade, found.what) == (Grade.OK, f"the CRM at {crm} answers (200)")


async def test_one_that_does_not_is_found(tmp_path: Path) -> None:
    (found,) = await proxy.check(settings(tmp_path, upstream="http://127.0.0.1:9"))
    assert (found.name, found.grade) == ("proxy-upstream", Grade.WARNING)
    assert found.cure == ("curl -sv -o /dev/null http://127.0.0.1:9",)


async def test_what_protects_too_little_is_told(tmp_path: Path, crm: str) -> None:
    found = await proxy.check(settings(tmp_path, upstream=crm, others="pass", patterns={}))
    assert [one.name for one in found] == ["proxy-passing", "proxy-unprotected", "ok"]


async def test_a_certificate_that_is_not_trusted_is_found_and_one_that_is_is_well(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    runner, port = await served(context)
    upstream = f"https://localhost:{port}"
    try:
        (found,) = await proxy.check(settings(tmp_path, upstream=upstream))
        assert found.name == "proxy-certificate"
        assert "its certificate is not trusted" in found.what
        (found,) = await proxy.check(settings(tmp_path, upstream=upstream, upstream_ca_file="ca.pem"))
        assert found.grade is Grade.OK
    finally:
        await runner.cleanup()
    (found,) = await proxy.check(settings(tmp_path, upstream=upstream, upstream_ca_file="missing.pem"))
    assert found.name == "proxy-certificate"
    (found,) = await proxy.check(
        settings(tmp_path, upstream=upstream, tls_certificate_file="missing.pem", tls_key_file="missing.pem")
    )
    assert found.name == "proxy-certificate"
