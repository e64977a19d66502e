"""Keys that sign tokens: made, published, used in their time, thrown away; and what is no token of ours."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from ivr.audit import Trail
from ivr.config import Settings, load
from ivr.database import Database
from ivr.errors import StoreError, VaultError
from ivr.lock import signer as signing
from ivr.lock.signer import Signer
from ivr.store import tokenkeys
from ivr.store.rewrap import rewrap, used
from ivr.vault import Vault
from ivr.vault.tokens import TokenKey, Verifier
from tests.unit.cli_kit import typed
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, asked, empty_database, on_postgresql, settings_in

DAY = 24 * 3600
WHO = "https://crm.example.com"
KIND = "test+jwt"
URL = "https://desk.example.com"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    settings: Settings
    database: Database
    vault: Vault
    trail: Trail
    clock: Clock = field(default_factory=Clock)

    def signer(self) -> Signer:
        return Signer(self.settings, self.database, self.vault, self.trail, structlog.get_logger(), wall=self.clock)

    async def ids(self) -> list[str]:
        return [key.id for key in await self.database.look_up(tokenkeys.all_of)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(settings_in(tmp_path)) as house:
        yield house


@pytest.fixture
async def either_house(either: Either) -> AsyncIterator[House]:
    settings = either()
    if on_postgresql(settings):
        await empty_database(settings)
    async with opened(settings) as house:
        yield house


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[House]:
    text = settings.file.read_text() + f'[desk]\nurl = "{URL}"\n'
    settings.file.write_text(text)
    assert (await asyncio.to_thread(typed, "init", "--config", str(settings.file))).code == 0
    settings = load(settings.file)
    vault = Vault.open(settings)
    try:
        async with await Database.open(settings) as database, Trail(database, "desk", SEAL) as trail:
            yield House(settings, database, vault, trail)
    finally:
        vault.close()


def header_of(token: str) -> dict[str, Any]:
    text = token.split(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def checked(signer: Signer, token: str) -> dict[str, Any]:
    """As somebody else checks it, with the published keys alone."""
    keys = KeySet.import_key_set({"keys": [dict(key) for key in signer.published()]})  # type: ignore[typeddict-item]  # as JSON has them
    return dict(jwt.decode(token, keys, registry=_plain()).claims)


def _plain() -> JWSRegistry:
    class Quiet(JWSRegistry):
        def get_alg(self, name: str) -> Any:
            assert name == "EdDSA"
            return self.algorithms[name]

    return Quiet()


async def test_what_is_signed_is_checked_with_the_published_keys(house: House) -> None:
    async with house.signer() as signer:
        token = signer.sign({"call": "c1", "iss": "somebody else"}, WHO, 60, kind=KIND)
        now = int(house.clock.now)
        claims = checked(signer, token)
        assert (claims["iss"], claims["aud"], claims["iat"], claims["exp"]) == (URL, WHO, now, now + 60)
        assert claims["call"] == "c1" and len(claims["jti"]) == 22
        header = header_of(token)
        assert (header["alg"], header["typ"]) == ("EdDSA", KIND)
        current, following = signer.published()
        assert header["kid"] == current["kid"] and "d" not in current
        assert current["kid"] == OKPKey.import_key({k: current[k] for k in ("kty", "crv", "x")}).thumbprint()
        assert following["kid"] != current["kid"]
        assert signer.read(token, KIND) == claims
        assert signer.sign({}, WHO, 60) != signer.sign({}, WHO, 60)
        for seconds in (0, -1, tokenkeys.MOST_SECONDS + 1):
            with pytest.raises(ValueError, match="lives for"):
                signer.sign({}, WHO, seconds)


async def test_a_token_ends_and_begins_and_is_of_its_kind_and_place(house: House) -> None:
    async with house.signer() as signer:
        token = signer.sign({}, WHO, 60, kind=KIND)
        assert signer.read(token, "JWT") is None
        house.clock.now += 59
        assert signer.read(token, KIND) is not None
        house.clock.now += 1
        assert signer.read(token, KIND) is None
        house.clock.now -= 66
        assert signer.read(token, KIND) is None
        house.clock.now += 6
        signer.issuer = "https://other.example.com"
        assert signer.read(token, KIND) is None


async def test_all_processes_share_them_and_sign_with_the_next_one_in_its_time(either_house: House) -> None:
    house = either_house
    async with house.signer() as one, house.signer() as two:
        assert one.published() == two.published()
        first, second = await house.ids()
        token = one.sign({}, WHO, 3600, kind=KIND)
        house.clock.now += 30 * DAY - 1
        assert header_of(two.sign({}, WHO, 60))["kid"] == first
        house.clock.now += 1
        # known to both all the time, so that neither has to look
        assert header_of(two.sign({}, WHO, 60))["kid"] == second
        await asyncio.gather(one.look(), two.look())
        kept = await house.ids()
        assert kept[:2] == [first, second] and len(kept) == 3
        house.clock.now -= 1
        still = one.sign({}, WHO, 3600, kind=KIND)
        house.clock.now += 3600
        assert one.read(token, KIND) is None and one.read(still, KIND) is None
        house.clock.now += 2 * tokenkeys.CACHED_SECONDS - 1
        await one.look()
        assert await house.ids() == kept
        house.clock.now += 2
        await one.look()
        assert await house.ids() == kept[1:]
        await two.look()
        assert [key["kid"] for key in two.published()] == kept[1:]
    actions = await asked(house.database, "SELECT action, outcome FROM audit WHERE chain = 'desk' ORDER BY seq")
    assert set(actions) == {("keys.tokens", "kept")}


async def test_after_years_without_a_desk_there_are_keys_again(house: House) -> None:
    async with house.signer():
        pass
    house.clock.now += 400 * DAY
    async with house.signer() as signer:
        assert checked(signer, signer.sign({}, WHO, 60))["aud"] == WHO
        assert len(await house.ids()) == 2


async def test_rotated_by_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivr.cli.tokens.time.time", house.clock)

    async def keys(*words: str) -> str:
        ended = await asyncio.to_thread(typed, "keys", "tokens", *words, "--config", str(house.settings.file))
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    assert "the desk makes them" in await keys("list")
    async with house.signer() as signer:
        first, second = await house.ids()
        token = signer.sign({}, WHO, 3600, kind=KIND)
        # not before everybody who keeps what is published has read of it
        said = await keys("rotate")
        assert said.startswith(f"Tokens are signed with {second} from ")
        await signer.look()
        assert header_of(signer.sign({}, WHO, 60))["kid"] == first
        house.clock.now += 2 * tokenkeys.CACHED_SECONDS
        assert header_of(signer.sign({}, WHO, 60))["kid"] == second
        listed = (await keys("list")).splitlines()
        assert [line.split("  ")[0] for line in listed] == await house.ids()
        assert ["has signed since" in listed[0], "signs since" in listed[1], "signs from" in listed[2]] == [True] * 3
        # long published: at once
        house.clock.now += DAY
        third = (await house.ids())[-1]
        await keys("rotate")
        await signer.look()
        assert header_of(signer.sign({}, WHO, 60))["kid"] == third
        house.clock.now -= DAY
        assert signer.read(token, KIND) is None  # its key is gone: it was over a day behind its time
    told = await asked(
        house.database, "SELECT detail FROM audit WHERE chain = 'cli' AND action = 'keys.tokens' ORDER BY seq"
    )
    assert [json.loads(row[0])["key"] for row in told] == [second, third]


async def test_a_compromised_key_is_gone_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivr.cli.tokens.time.time", house.clock)
    async with house.signer() as signer:
        before = await house.ids()
        token = signer.sign({}, WHO, 3600, kind=KIND)
        ended = await asyncio.to_thread(
            typed, "keys", "tokens", "rotate", "--compromised", "--config", str(house.settings.file)
        )
        assert ended.code == 0, ended.err
        await signer.look()
        assert not set(before) & set(await house.ids())
        assert signer.read(token, KIND) is None
        assert header_of(signer.sign({}, WHO, 60))["kid"] == (await house.ids())[0]


async def test_nothing_is_signed_where_the_keys_are_not_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = house.signer()
    with pytest.raises(StoreError):
        signer.sign({}, WHO, 60)
    with pytest.raises(StoreError):
        signer.read("", KIND)
    with pytest.raises(StoreError):
        signer.published()
    async with signer:
        house.clock.now -= DAY
        with pytest.raises(StoreError, match="no key signs now"):
            signer.sign({}, WHO, 60)


async def test_it_follows_by_itself_and_tells_where_it_cannot(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_LOOK_SECONDS", 0.01)
    async with house.signer() as signer:
        house.clock.now += 30 * DAY
        async with asyncio.timeout(10):
            while len(signer.published()) < 3:
                await asyncio.sleep(0.01)
        failed = asyncio.Event()

        async def look() -> None:
            failed.set()
            raise StoreError("database: gone")

        monkeypatch.setattr(signer, "look", look)
        async with asyncio.timeout(10):
            await failed.wait()
        assert signer.sign({}, WHO, 60)


async def test_they_are_wrapped_anew_as_other_data_keys_are(either_house: House) -> None:
    house = either_house
    async with house.signer() as signer:
        token = signer.sign({}, WHO, 3600, kind=KIND)
        ended = await asyncio.to_thread(typed, "keys", "rotate", "--config", str(house.settings.file))
        assert ended.code == 0, ended.err
        assert "Wrapped 2 data keys" in ended.out or "Wrapped 3 data keys" in ended.out
        vault = Vault.open(house.settings)
        try:
            async with house.database.read() as connection:
                assert set(await used(connection)) == {vault.keys.master.id}
            async with Signer(
                house.settings, house.database, vault, house.trail, structlog.get_logger(), wall=house.clock
            ) as other:
                assert other.read(token, KIND) is not None
                assert signer.read(other.sign({}, WHO, 60, kind=KIND), KIND) is not None
            assert (await rewrap(house.database, vault.envelopes, lambda _: None)).count == 0
        finally:
            vault.close()


async def test_what_is_private_is_nowhere_but_sealed(house: House) -> None:
    key = TokenKey.new()
    envelope = house.vault.envelopes.new("token/x")
    sealed = key.seal(envelope)
    private = json.loads(envelope.open_bytes("private", sealed))["d"]
    assert private not in f"{key!r} {key} {key.public}" and private.encode() not in sealed
    for work in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            work(key)
    assert TokenKey.open(envelope, key.id, sealed).public == key.public
    with pytest.raises(VaultError):
        TokenKey.open(envelope, TokenKey.new().id, sealed)
    with pytest.raises(VaultError):
        TokenKey.open(house.vault.envelopes.new("token/x"), key.id, sealed)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}.{b64(signature)}"


def test_what_nobody_here_has_signed_is_no_token() -> None:
    ours, theirs = TokenKey.new(), TokenKey.new()
    verifier = Verifier([ours.public])
    claims = {"call": "c1"}
    good = ours.sign(claims, kind=KIND)
    found = verifier.read(good)
    assert found is not None and found.claims == claims
    head, body, signature = good.split(".")
    header = header_of(good)
    mine = OKPKey.generate_key("Ed25519")
    of_mine = mine.as_dict(private=False)

    def signed(header: dict[str, Any]) -> str:
        return jwt.encode(header, claims, mine, registry=_plain_with(), default_type=None)

    public = json.dumps(dict(ours.public)).encode()
    x = base64.urlsafe_b64decode(ours.public["x"] + "=")
    attacks = {
        "alg none": forged({**header, "alg": "none"}, claims),
        "alg none, as it was signed": f"{b64(json.dumps({**header, 'alg': 'none'}).encode())}.{body}.{signature}",
        "no alg": forged({name: header[name] for name in ("kid", "typ")}, claims),
        "the newer name of the algorithm": forged({**header, "alg": "Ed25519"}, claims, b"x" * 64),
        "another one's key, our kid": signed(header),
        "another one's key, its own kid": theirs.sign(claims, kind=KIND),
        "no kid": signed({"alg": "EdDSA", "typ": KIND}),
        "a kid that is no text": forged({**header, "kid": ["a"]}, claims),
        "a kid that is a path": forged({**header, "kid": "../../dev/null"}, claims),
        "its own key in it": signed({**header, "jwk": of_mine}),
        "a place of its keys": signed({**header, "jku": "https://evil.example.com/jwks.json"}),
        "a place of its certificate": signed({**header, "x5u": "https://evil.example.com/c.pem"}),
        "a header that must be understood": forged({**header, "crit": ["b64"], "b64": False}, claims, b"x" * 64),
        "no typ": forged({"alg": "EdDSA", "kid": header["kid"]}, claims, b"x" * 64),
        "other claims": f"{head}.{b64(json.dumps({'call': 'c2'}).encode())}.{signature}",
        "no signature": f"{head}.{body}.",
        "a part more": f"{good}.{signature}",
        "five parts": f"{good}.{signature}.{signature}",
        "nothing": "", "points": "..", "no base64": "%.%.%", "no ascii": "é.é.é",
        "a header of deep lists": f"{b64(b'[' * 3000)}.{body}.{signature}",
        "too long": good + "A" * 5000,
        "no object": f"{b64(b'[]')}.{body}.{signature}",
    }  # fmt: skip
    for secret in (public, x, ours.public["x"].encode()):
        told = {**header, "alg": "HS256"}
        start = f"{b64(json.dumps(told).encode())}.{body}"
        attacks[f"HS256 with the public key {len(secret)}"] = (
            f"{start}.{b64(hmac.digest(secret, start.encode(), hashlib.sha256))}"
        )
    attacks["HS256 by the library"] = jwt.encode(
        {"alg": "HS256", "kid": header["kid"], "typ": KIND}, claims, OctKey.import_key(public)
    )
    for name, token in attacks.items():
        assert verifier.read(token) is None, name
    # for each place of the good one: another letter there is no token, but for the bits of the last that count for nothing
    for at, letter in enumerate(good[:-1]):
        changed = good[:at] + ("A" if letter != "A" else "B") + good[at + 1 :]
        assert verifier.read(changed) is None, at


def _plain_with() -> JWSRegistry:
    registry = _plain()
    registry.strict_check_header = False
    return registry
