"""What the doctor says of providers of electronic identities."""

from __future__ import annotations

import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import RSAKey
from rig.bankid import BankIdServer

from ivr.doctor.eid import check
from ivr.doctor.finding import Finding
from ivr.eid import eids
from tests.contract.ari_log import Log
from tests.contract.broker_kit import broker_settings, forging_broker
from tests.contract.eid_kit import Ends, self_signed
from tests.contract.freja_server import FrejaServer
from tests.contract.texts_kit import settings_in
from tests.contract.texts_server import TextsServer


def named(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.subject, one.name) for one in found]


async def test_nothing_where_there_is_none(tmp_path: Path) -> None:
    assert await check(settings_in(tmp_path)) == []
    assert eids(settings_in(tmp_path), Log().logger) == {}


async def test_bankid_that_is_there_and_one_that_is_not(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    async with TextsServer(BankIdServer(), ends.tls()) as server:
        settings = ends.settings("eid.bankid", f"{server.url}/rp/v6.0")
        assert named(await check(settings)) == [("bankid", "ok")]
        assert not [one for one in server.asked if one.method != "HEAD"]
        assert list(eids(settings, Log().logger)) == ["bankid"]
        stranger = ends.settings(
            "eid.bankid", f"{server.url}/rp/v6.0", certificate_file=str(ends.stranger.chain), key_file=str(ends.stranger.key)
        )  # fmt: skip
        (refused,) = await check(stranger)
        assert refused.name == "eid-away"
        assert "does it know our certificate" in refused.what
    assert named(await check(settings)) == [("bankid", "eid-away")]
    (unreadable,) = await check(ends.settings("eid.bankid", server.url, key_file="none.key"))
    assert unreadable.name == "eid-settings"
    assert "[eid.bankid] key_file" in unreadable.what


async def test_certificates_that_end(tmp_path: Path) -> None:
    ends = Ends(tmp_path)
    key = rsa.generate_private_key(65537, 2048)
    signing = tmp_path / "signing.pem"
    async with TextsServer(FrejaServer(RSAKey.import_key(key)), ends.tls()) as server:
        settings = ends.settings("eid.freja", server.url, signing_certificate_file=str(signing))
        assert named(await check(settings)) == [("freja", "eid-settings")]
        signing.write_bytes(self_signed(key, days=31).public_bytes(Encoding.PEM))
        assert named(await check(settings)) == [("freja", "ok")]
        signing.write_bytes(self_signed(key, days=29).public_bytes(Encoding.PEM))
        (soon,) = await check(settings)
        assert soon.name == "eid-certificate-ends"
        assert "signing.pem ends on " in soon.what
        # the one that follows it may stand there already
        signing.write_bytes(b"".join(self_signed(key, days=n).public_bytes(Encoding.PEM) for n in (29, 300)))
        assert named(await check(settings)) == [("freja", "ok")]
        signing.write_bytes(self_signed(key, days=29).public_bytes(Encoding.PEM))
        ended = await check(settings, lambda: time.time() + 40 * 86400)
        assert [one.name for one in ended] == ["eid-certificate-ends"]
        assert "signing.pem ended on " in ended[0].what
        # trustme makes certificates for centuries
        both = await check(settings, lambda: time.time() + 365_000 * 86400)
        assert [one.name for one in both] == ["eid-certificate-ends"] * 2


async def test_a_broker_must_offer_ciba(tmp_path: Path) -> None:
    async with forging_broker() as (broker, _):
        settings = broker_settings(tmp_path, broker.issuer)
        assert named(await check(settings)) == [("brokers.broker", "ok")]
        broker.document = {"backchannel_authentication_endpoint": None}
        (found,) = await check(settings)
        assert (found.name, found.what) == ("eid-away", "broker: it does not offer CIBA")
        assert list(eids(settings, Log().logger)) == ["broker"]
