"""Where texts may be sent to: checked addresses, certificates, and names that lead elsewhere the second time."""

from __future__ import annotations

import ipaddress
import shutil
import socket
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ivr.errors import ConfigError, TextError
from ivr.outward.address import Address, Addresses
from ivr.outward.client import Client, Request
from ivr.secret import Secret
from ivr.sms import in_turn, one
from tests.contract.ari_log import Log
from tests.contract.texts_kit import SERVED, certificate, sender, settings_in, tables
from tests.contract.texts_server import PASSWORD, Raw, TextsServer, anything

HOME = ipaddress.ip_address("127.0.0.1")


def address(text: str) -> Address:
    return ipaddress.ip_address(text)


PUBLIC = [
    "8.8.8.8",
    "46.16.232.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.5", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.254", "0.0.0.0", "0.1.2.3", "192.0.0.8", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.5", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:5::1", "2001::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert Addresses().allows(address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_a_private_address_is_not(text: str) -> None:
    assert not Addresses().allows(address(text))


@pytest.mark.parametrize("text", ["10.0.0.5", "::ffff:10.0.0.5", "2002:a00:5::1"])
def test_a_named_address_is_allowed_however_it_is_written(text: str) -> None:
    assert Addresses([address("10.0.0.5")]).allows(address(text))
    assert Addresses([address(text)]).allows(address("10.0.0.5"))
    assert not Addresses([address("10.0.0.5")]).allows(address("10.0.0.6"))


@pytest.mark.parametrize("name", list(SERVED))
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.5", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_a_private_address_in_the_settings_must_be_named(host: str, name: str, tmp_path: Path) -> None:
    for scheme in ("http", "https"):
        table = tables(name, f"{scheme}://{host}:8080")
        table[f"texts.{name}"]["allow_private"] = []
        with pytest.raises(ConfigError, match="private address"):
            in_turn(settings_in(tmp_path, texts={"gateway": name}, **table), Log().logger)


@pytest.mark.parametrize("host", ["sms.example.com", "localhost", "8.8.8.8", "127.1", "127.0.0.2"])
def test_in_clear_only_to_an_address_that_is_named(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in clear|private address"):
        sender(tmp_path, f"http://{host}", "http")


@pytest.mark.parametrize("named", ["93.184.216.34", "2606:2800:21f:cb07::1"])
def test_never_in_clear_over_the_internet(named: str, tmp_path: Path) -> None:
    """What lets a private address be reached is no leave to send texts in clear to everybody."""
    host = f"[{named}]" if ":" in named else named
    with pytest.raises(ConfigError, match="would go there in clear"):
        sender(tmp_path, f"http://{host}", "http", allow_private=[named])


@pytest.mark.parametrize("host", ["localhost", "localhost.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_a_name_of_a_private_address_is_not_connected_to(host: str, tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, f"https://{host}:{server.port}", "http", allow_private=[])
        with pytest.raises(TextError):
            await texts.send()
        await texts.gateways.close()
        assert server.connections == 0


class Names(AbstractResolver):
    """Answers with these addresses, one answer after another; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            ResolveResult(
                hostname=host, host=one, port=port, family=kinds[address(one).version], proto=0, flags=socket.AI_NUMERICHOST
            )
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


REQUEST = Request({}, Secret("x"))


def client(server: TextsServer, names: Names, *named: str) -> Client:
    url = URL(f"http://sms.example.com:{server.port}/send")
    return Client("http", url, Addresses(map(address, named)), Log().logger, resolver=names)


async def test_a_name_that_leads_elsewhere_the_second_time_gains_nothing() -> None:
    async with TextsServer(anything) as server:
        # named is 127.0.0.1; a private address that the server listens at as well is not
        names = Names(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
        gateway = client(server, names, "127.0.0.1")
        assert (await gateway.send(REQUEST)).good
        assert (names.asked, server.connections) == (1, 1), "connected to what was checked, and asked no second time"
        with pytest.raises(TextError, match="private address"):
            await gateway.send(REQUEST)
        assert server.connections == 1
        assert (await gateway.send(REQUEST)).good
        await gateway.close()


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.0.0.0x1", "0177.1", "1.", "sms.0x"])
async def test_what_the_system_would_take_for_an_address_is_no_name(host: str) -> None:
    async with TextsServer(anything) as server:
        names = Names(["127.0.0.1"])
        gateway = client(server, names, "127.0.0.1")
        with pytest.raises(TextError, match="private address"):
            await gateway.send(Request({}, Secret("x"), at=URL(f"http://{host}:{server.port}/send")))
        assert (names.asked, server.connections) == (0, 0)
        await gateway.close()


async def test_of_many_addresses_only_the_good_ones_are_connected_to() -> None:
    async with TextsServer(anything) as server:
        gateway = client(server, Names(["127.0.0.2", "127.0.0.1", "::1", "10.0.0.5"]), "127.0.0.1")
        assert (await gateway.send(REQUEST)).good
        assert server.connections == 1
        await gateway.close()


async def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    texts = sender(tmp_path, "https://sms.invalid", "http", seconds=10.0)
    with pytest.raises(TextError, match="name is not known"):
        await texts.send()
    await texts.gateways.close()


# ---------------------------------------------------------------- certificates

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


@needs_openssl
async def test_a_good_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate(tmp_path, "good", "IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with TextsServer(SERVED["46elks"][0], tls=context) as server:
        texts = sender(tmp_path, server.url, "46elks")
        await texts.send()
        await texts.gateways.close()
        assert len(server.asked) == 1


@needs_openssl
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_wrong_certificate_is_told_nothing(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trusted, but of another host; or of the right one, but nobody vouches for it."""
    file, context = certificate(tmp_path, "wrong", "DNS:sms.example.com" if trusted else "IP:127.0.0.1")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with TextsServer(SERVED["46elks"][0], tls=context) as server:
        texts = sender(tmp_path, server.url, "46elks")
        with pytest.raises(TextError, match="certificate is not good"):
            await texts.send()
        await texts.gateways.close()
        assert server.asked == []


async def test_a_server_without_tls_is_told_nothing(tmp_path: Path) -> None:
    async with TextsServer(SERVED["46elks"][0]) as server:
        texts = sender(tmp_path, server.url.replace("http:", "https:"), "46elks", seconds=2.0)
        with pytest.raises(TextError, match="TLS|connected|in time"):
            await texts.send()
        await texts.gateways.close()
        assert server.asked == []


# ---------------------------------------------------------------- reaching without sending, as the doctor does


@pytest.mark.parametrize("name", SERVED)
async def test_reaching_a_gateway_sends_neither_text_nor_login(name: str, tmp_path: Path) -> None:
    async with TextsServer(SERVED[name][0]) as server:
        texts = {"gateway": name, "seconds": 5.0}
        gateway = one(name, settings_in(tmp_path, texts=texts, **tables(name, server.url)), Log().logger)
        # whatever it answers, it is there
        await gateway.reach()
        await gateway.close()
        (asked,) = server.asked
        assert (asked.method, asked.path, asked.body) == ("HEAD", "/", "")
        assert "authorization" not in asked.headers
        assert PASSWORD not in str(asked)


@needs_openssl
async def test_a_gateway_with_a_wrong_certificate_is_not_reached(tmp_path: Path) -> None:
    _, context = certificate(tmp_path, "wrong", "IP:127.0.0.1")
    async with TextsServer(SERVED["46elks"][0], tls=context) as server:
        gateway = one("46elks", settings_in(tmp_path, **tables("46elks", server.url)), Log().logger)
        with pytest.raises(TextError, match="certificate is not good"):
            await gateway.reach()
        await gateway.close()
        assert server.asked == []


async def test_who_hangs_up_is_not_reached(tmp_path: Path) -> None:
    async with TextsServer(SERVED["http"][0]) as server:
        # HEAD is harmless, so the library asks once more
        server.next(Raw())
        server.next(Raw())
        gateway = one("http", settings_in(tmp_path, **tables("http", server.url)), Log().logger)
        with pytest.raises(TextError, match="broke"):
            await gateway.reach()
        await gateway.close()
