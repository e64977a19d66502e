"""What the doctor says of the desk's certificate and address: certificates of all kinds, and a desk that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from ivr.config import Settings, load
from ivr.doctor import Finding, openid
from ivr.doctor.desk import check
from tests.contract.live_server import Server
from tests.contract.openid_kit import Opened, opened
from tests.contract.signin_kit import free_port, site
from tests.unit.conftest import Either

__all__ = ["opened"]
pytestmark = pytest.mark.servers


def settings_of(base: Settings, host: str = "desk.example.com", certificate: str = "desk.pem") -> Settings:
    file = base.file
    file.write_text(
        f'{file.read_text()}\n[desk]\nlisten = "127.0.0.1:{free_port()}"\nurl = "https://{host}:9"\n'
        f'tls_certificate_file = "{certificate}"\ntls_key_file = "desk.key"\n'
    )
    return load(file)


def issue(folder: Path, *names: str, before: int = 1, after: int = 90) -> None:
    now = datetime.now(UTC)
    made = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
        *names, not_before=now - timedelta(days=before), not_after=now + timedelta(days=after)
    )
    key = folder / "desk.key"
    key.touch(mode=0o600)
    made.private_key_pem.write_to_path(str(key))
    made.cert_chain_pems[0].write_to_path(str(folder / "desk.pem"))


async def look(settings: Settings) -> list[Finding]:
    return [finding for finding in await check(settings) if finding.name != "desk-away"]


@pytest.mark.parametrize(
    ("names", "host", "days", "found"),
    [
        (("desk.example.com",), "desk.example.com", (1, 90), "ok"),
        (("DESK.example.com",), "desk.Example.com", (1, 90), "ok"),
        (("*.example.com",), "desk.example.com", (1, 90), "ok"),
        (("127.0.0.1",), "127.0.0.1", (1, 90), "ok"),
        (("desk.example.com",), "desk.example.com", (1, 13), "desk-certificate-ends"),
        (("desk.example.com",), "desk.example.com", (90, -1), "desk-certificate"),
        (("desk.example.com",), "desk.example.com", (-1, 90), "desk-certificate"),
        (("other.example.com",), "desk.example.com", (1, 90), "desk-certificate"),
        (("*.example.com",), "desk.support.example.com", (1, 90), "desk-certificate"),
        (("127.0.0.2",), "127.0.0.1", (1, 90), "desk-certificate"),
    ],
)
async def test_a_certificate(
    names: tuple[str, ...], host: str, days: tuple[int, int], found: str, sqlite: Either, tmp_path: Path
) -> None:
    issue(tmp_path, *names, before=days[0], after=days[1])
    (finding,) = await look(settings_of(sqlite(), host))
    assert finding.name == found, finding


async def test_files_that_do_not_belong_together_or_are_not_there(sqlite: Either, tmp_path: Path) -> None:
    settings = settings_of(sqlite())
    (finding,) = await look(settings)
    assert finding.name == "desk-certificate" and "cannot be read" in finding.what
    issue(tmp_path, "desk.example.com")
    kept = (tmp_path / "desk.key").read_bytes()
    issue(tmp_path, "desk.example.com")
    (tmp_path / "desk.key").write_bytes(kept)
    (finding,) = await look(settings)
    assert "no certificate and its key" in finding.what
    issue(tmp_path, "desk.example.com")
    (tmp_path / "desk.key").chmod(0o644)
    (finding,) = await look(settings)
    assert finding.cure[0].startswith("chmod 600")
    (tmp_path / "desk.key").chmod(0o600)
    assert [finding.name for finding in await check(settings)] == ["ok", "desk-away"]


async def test_a_desk_that_answers_one_that_does_not_and_something_else(sqlite: Either, server: Server) -> None:
    async with site(sqlite(), server) as desk:
        (finding,) = await check(desk.house.settings)
        assert (finding.name, finding.what) == ("ok", f"it answers at {desk.url}")
        other = desk.house.settings.desk.model_copy(update={"url": f"{desk.url}/static"})
        (finding,) = await check(desk.house.settings.model_copy(update={"desk": other}))
        assert finding.name == "desk-away" and "something else answers there (404)" in finding.what
    (finding,) = await check(desk.house.settings)
    assert finding.name == "desk-away"


@pytest.mark.parametrize(
    ("demanded", "document", "found", "cure"),
    [
        ('amr = ["mfa"]\n', {}, "ok", ""),
        ('acr = ["phr"]\n', {"claims_supported": ["sub"]}, "ok", ""),
        ("", {"claims_supported": ["sub", "amr"]}, "oidc-factor", "the provider says amr"),
        ("", {"acr_values_supported": ["phr"], "claims_supported": ["amr"]}, "oidc-factor", "says acr and amr"),
        ("", {"claims_supported": ["sub"]}, "oidc-factor", "have it tell one of them"),
        ("", {"claims_supported": "acr", "acr_values_supported": []}, "oidc-factor", "have it tell one of them"),
        ("", {"claims_supported": None}, "oidc-factor", "have it tell one of them"),
        ("", {"issuer": "https://evil.net"}, "oidc-away", "curl https://127.0.0.1:"),
    ],
)
async def test_whether_a_second_factor_at_the_provider_can_be_seen(
    demanded: str, document: dict[str, Any], found: str, cure: str, opened: Opened
) -> None:
    async with opened(demanded) as world:
        world.op.document = document
        (finding,) = await openid.check(world.house.settings)
        assert finding.name == found and cure in " ".join(finding.cure), finding
        await world.op.leave()
        (finding,) = await openid.check(world.house.settings)
        assert finding.name == "oidc-away"


async def test_without_a_desk_nothing_is_said(sqlite: Either) -> None:
    assert await check(load(sqlite().file)) == []
    assert await openid.check(load(sqlite().file)) == []
