"""What another organisation publishes and writes, read with suspicion; and domains that look like others."""

from __future__ import annotations

import base64
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from ivr.config import Settings
from ivr.config.peers import Peers
from ivr.errors import ConfigError
from ivr.peers import keys, letter, names, wellknown
from ivr.peers.keys import OwnKeys
from ivr.peers.letter import Bound, Ends, Forged, Letter
from ivr.peers.wellknown import Published
from ivr.secret import Secret
from tests.unit.database_kit import settings_in

NOON = 1_800_000_000
THEY, WE = "hospital.example", "office.example"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = settings_in(tmp_path, f'[peers]\ndomain = "{THEY}"\nkey_file = "peers.key"\nnumbers = ["+46812345678"]\n')
    keys.create(made)
    return made


@pytest.fixture
def own(settings: Settings) -> OwnKeys:
    return OwnKeys.open(settings)


def changed(settings: Settings, own: OwnKeys, **changes: Any) -> bytes:
    """The document, but for these."""
    token = orjson.loads(wellknown.document(settings, own, NOON))["tillit"]
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return orjson.dumps({"tillit": own.key.sign(claims | changes, kind=wellknown.KIND)})


def peer(settings: Settings, own: OwnKeys) -> Published:
    found = wellknown.read(wellknown.document(settings, own, NOON).encode(), THEY, NOON)
    assert isinstance(found, Published), found
    return found


def written(**changes: Any) -> Letter:
    made = Letter.new(
        THEY, WE, Ends(outbound=True, began=NOON - 20, dialled="+46831112222"), NOON,
        organisation="The hospital", department="Ward 4", person="Anna", about="a patient",
    )  # fmt: skip
    return replace(made, **changes)


# ---------------------------------------------------------------- domains


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" Hospital.Example. ", "hospital.example"),
        ("sjukhuså.example", "xn--sjukhus-kxa.example"),
        ("hospital。example", "hospital.example"),
        ("xn--sjukhus-kxa.example", "xn--sjukhus-kxa.example"),
        # a Cyrillic letter
        ("hospitаl.example", "xn--hospitl-7fg.example"),
    ],
)
def test_a_domain_is_written_in_one_way(text: str, found: str) -> None:
    assert names.domain(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "localhost", "127.0.0.1", "0x7f.1", "1.2.3.0x7f", "2130706433", "[::1]", "::1", "hospital.example:443",
        "https://hospital.example", "hospital.example/x", "a@hospital.example", "a..b", "-a.example", "a_b.example",
        "hosp\u200dital.example", "xn--a.example", "XN--.example", "a" * 64 + ".example", ".".join(["a" * 60] * 5), "a b.example",
    ],
)  # fmt: skip
def test_what_is_no_domain(text: str) -> None:
    assert names.domain(text) is None


def test_a_domain_is_shown_as_nobody_elses() -> None:
    assert names.shown("hospital.example") == "hospital.example"
    assert names.shown("xn--hospitl-7fg.example") == "xn--hospitl-7fg.example (hospitаl.example)"


@pytest.mark.parametrize(
    "name",
    [
        "xn--hospitl-7fg.example", "hospita1.example", "hosp1tal.example", "hospital-example.com", "hospital.example.net",
        "hospitals.example", "hosptial.example", "hospita.example", "hosqital.example", "hospital.test", "xn--hspital-l0a.example",
    ],
)  # fmt: skip
def test_what_looks_like_a_known_one(name: str) -> None:
    assert names.resembles(name, ["clinic.example", "hospital.example"]) == "hospital.example"


@pytest.mark.parametrize(
    "name", ["hospital.example", "ward.hospital.example", "hotel.example", "sos.se", "office.example"]
)
def test_what_does_not(name: str) -> None:
    assert names.resembles(name, ["hospital.example", "sas.se"]) is None


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"allow": ["a.example"]}, "domain is left out"),
        ({"domain": "a.example", "allow": ["a.example"]}, "names our own"),
        ({"domain": "Hospital.example"}, "domain"),
        ({"domain": "hospitål.example"}, "domain"),
        ({"domain": "10.0.0.1"}, "domain"),
        ({"domain": "a.example", "allow": "all"}, "allow"),
        ({"domain": "a.example", "numbers": ["0812345678"]}, "numbers"),
        ({"domain": "a.example", "letters_url": "http://a.example/in"}, "letters_url"),
        ({"domain": "a.example", "letters_url": "https://a.example:8443/in"}, "letters_url"),
    ],
)
def test_settings_that_are_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Peers.model_validate(said)


def test_whose_proofs_are_taken() -> None:
    assert not Peers(domain="a.example").allows("b.example")
    assert Peers(domain="a.example", allow=("b.example",)).allows("b.example")
    assert not Peers(domain="a.example", allow=("b.example",)).allows("x.b.example")
    assert Peers(domain="a.example", allow="any").allows("b.example")
    assert not Peers(domain="a.example", allow="any").allows("a.example")


# ---------------------------------------------------------------- keys


def test_the_key_is_private_and_is_not_made_twice(settings: Settings, own: OwnKeys) -> None:
    file = settings.file.parent / "peers.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="is there already"):
        keys.create(settings)
    assert OwnKeys.open(settings).key.id == own.key.id
    assert sorted(one.name for one in file.parent.iterdir()) == ["peers.key", "tillit.toml"]


def test_a_turn_destroys_the_former_key(settings: Settings, own: OwnKeys) -> None:
    file = settings.file.parent / "peers.key"
    private = orjson.loads(file.read_text())["private"]["d"]
    named = keys.turn(settings, NOON)
    after = OwnKeys.open(settings)
    assert after.key.id == named != own.key.id
    assert private not in file.read_text() and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one["kid"] for one in after.published(NOON)] == [named, own.key.id]
    assert [one["kid"] for one in after.published(NOON + 24 * 3600)] == [named]
    assert keys.led_to(own.key.public, after.succession, THEY) == named


def test_steps_are_led_on_as_far_as_they_are_kept(settings: Settings, own: OwnKeys) -> None:
    first = own.key.public
    for _ in range(8):
        keys.turn(settings, NOON)
    after = OwnKeys.open(settings)
    assert keys.led_to(first, after.succession, THEY) == after.key.id
    document = wellknown.document(settings, after, NOON)
    assert isinstance(wellknown.read(document.encode(), THEY, NOON), Published)
    keys.turn(settings, NOON)
    assert keys.led_to(first, OwnKeys.open(settings).succession, THEY) == first["kid"]


@pytest.mark.parametrize(
    "text",
    [
        "x", "{}", "[]", '{"private":{},"former":[],"succession":[]}',
        '{"private":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},"former":[],"succession":[]}',
    ],
)  # fmt: skip
def test_a_file_that_holds_no_key(settings: Settings, text: str) -> None:
    (settings.file.parent / "peers.key").write_text(text)
    with pytest.raises(ConfigError, match="holds no key"):
        OwnKeys.open(settings)


def test_a_key_file_that_is_not_there_or_not_private(settings: Settings) -> None:
    file = settings.file.parent / "peers.key"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        OwnKeys.open(settings)
    file.unlink()
    with pytest.raises(ConfigError, match="peer key"):
        OwnKeys.open(settings)


# ---------------------------------------------------------------- the document


def test_what_a_document_says(settings: Settings, own: OwnKeys) -> None:
    found = peer(settings, own)
    assert (found.organisation, found.numbers) == ("Example", ("+46812345678",))
    assert found.letters == "https://hospital.example/in/peers"
    assert [one.public["kid"] for one in found.keys] == [own.key.id]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": WE}, "of another domain"),
        ({"exp": NOON}, "not of today"),
        ({"iat": NOON + 61}, "not of today"),
        ({"exp": NOON + wellknown.LIFE + 1}, "not of today"),
        ({"organisation": "Hosp\u202etal"}, "cannot be shown"),
        ({"organisation": ""}, "cannot be shown"),
        ({"departments": ["x"] * 21}, "cannot be shown"),
        ({"numbers": [1]}, "cannot be shown"),
        ({"keys": []}, "no document"),
        ({"keys": "x"}, "no document"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "keys that are none"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 42}]}, "keys that are none"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}]}, "not signed by its own key"),
        ({"letters": None}, "no document"),
        ({"letters": "http://office.example/in"}, "no address of https"),
        ({"letters": "https://127.0.0.1/in"}, "no address of https"),
        ({"letters": "https://[::1]/in"}, "no address of https"),
        ({"letters": "https://office.example:6379/in"}, "no address of https"),
        ({"letters": "https://u:p@office.example/in"}, "no address of https"),
        ({"letters": "https://localhost/in"}, "no address of https"),
        ({"letters": "https://office.example/in?x=1"}, "no address of https"),
        ({"letters": "https://[office.example/in"}, "no address of https"),
        ({"letters": "file:///etc/passwd"}, "no address of https"),
    ],
)
def test_a_document_that_is_none(settings: Settings, own: OwnKeys, change: dict[str, Any], why: str) -> None:
    found = wellknown.read(changed(settings, own, **change), THEY, NOON)
    assert isinstance(found, str) and why in found


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"[]", b'{"tillit":1}', b'{"tillit":"a.b"}', b'{"tillit":"e30.e30.e30"}', b'{"tillit":"..."}',
        b"\xff", b'{"tillit":"' + b"x" * 20_000 + b'"}', b'{"tillit":"e30.W10.x"}', b"[" * 10_000, '{"tillit":"é.é.é"}'.encode(),
    ],
)  # fmt: skip
def test_a_document_of_rubbish(body: bytes) -> None:
    assert wellknown.read(body, THEY, NOON) == "it is no document of a Tillit"


def test_a_document_of_another_kind_or_changed_is_not_signed(settings: Settings, own: OwnKeys) -> None:
    token = orjson.loads(wellknown.document(settings, own, NOON))["tillit"]
    head, body, mark = token.split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(body + "=="))
    for text in (
        own.key.sign(claims, kind="JWT"),
        f"{head}.{base64.urlsafe_b64encode(orjson.dumps(claims | {'organisation': 'Bank'})).rstrip(b'=').decode()}.{mark}",
    ):
        found = wellknown.read(orjson.dumps({"tillit": text}), THEY, NOON)
        assert found == "it is not signed by its own key"


def test_a_former_key_signs_no_document(settings: Settings, own: OwnKeys) -> None:
    """Whoever has found one puts the one in force first, whose letters count, and signs himself."""
    keys.turn(settings, NOON)
    after = OwnKeys.open(settings)
    claims = {"keys": after.published(NOON)}
    body = changed(settings, own, **claims)
    assert wellknown.read(body, THEY, NOON) == "it is not signed by its own key"


# ---------------------------------------------------------------- the letter


def test_what_a_letter_says(settings: Settings, own: OwnKeys) -> None:
    made = written()
    found = letter.read(letter.sign(made, own.key), peer(settings, own), WE, NOON)
    assert isinstance(found, Letter) and found.code == made.code
    assert replace(found, code=made.code) == made
    assert len(made.code) == letter.DIGITS and made.code != written().code and made.jti != written().jti


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issuer": "other.example"}, Forged.ISSUER),
        ({"audience": "other.example"}, Forged.AUDIENCE),
        ({"issued": NOON + 61, "expires": NOON + 200}, Forged.TIME),
        ({"issued": NOON - 300, "expires": NOON}, Forged.TIME),
        ({"expires": NOON + letter.LIFE + 1}, Forged.TIME),
        ({"code": Secret("12345")}, Forged.FORM),
        ({"code": Secret("12345a")}, Forged.FORM),
        ({"code": Secret("١٢٣٤٥٦")}, Forged.FORM),
        ({"jti": ""}, Forged.FORM),
        ({"jti": "x" * 81}, Forged.FORM),
        ({"organisation": ""}, Forged.FORM),
        ({"person": ""}, Forged.FORM),
        ({"organisation": 1}, Forged.FORM),
        ({"call": Ends("yes", 1)}, Forged.FORM),  # type: ignore[arg-type]
        ({"call": Ends(True, True)}, Forged.FORM),
        ({"call": Ends(True, -1)}, Forged.FORM),
        ({"call": Ends(True, 2**40)}, Forged.FORM),
        ({"call": Ends(True, 2**70)}, Forged.FORM),
        ({"issued": True}, Forged.FORM),
        ({"expires": 2**70}, Forged.FORM),
    ],
)
def test_a_letter_that_is_none(settings: Settings, own: OwnKeys, change: dict[str, Any], why: Forged) -> None:
    assert letter.read(letter.sign(written(**change), own.key), peer(settings, own), WE, NOON) is why


@pytest.mark.parametrize("field", ["organisation", "department", "person", "about"])
@pytest.mark.parametrize("text", ["a\u202eb", "line\nline", "x" * 81, "\u200b", "nul\0", " ", "a\u00a0b", "\u2028"])
def test_what_would_hide_the_domain_is_not_taken(settings: Settings, own: OwnKeys, field: str, text: str) -> None:
    made = letter.sign(written(**{field: text}), own.key)
    assert letter.read(made, peer(settings, own), WE, NOON) is Forged.FORM


def test_a_letter_by_another_key_or_of_another_kind(settings: Settings, own: OwnKeys, tmp_path: Path) -> None:
    they = peer(settings, own)
    text = letter.sign(written(), own.key).reveal()
    claims = orjson.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
    for kind in ("JWT", wellknown.KIND, keys.SUCCESSION, "tillit-mark+jwt"):
        assert letter.read(Secret(own.key.sign(claims, kind=kind)), they, WE, NOON) is Forged.FORM
    keys.turn(settings, NOON)
    after = OwnKeys.open(settings)
    assert letter.read(letter.sign(written(), after.key), they, WE, NOON) is Forged.SIGNATURE


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "..", "x" * 100_000, "\udc80", "é.é.é", '{"iss":1}', "e30.e30.e30", "W10.W10.x", "bnVsbA.bnVsbA.x"]
)  # fmt: skip
def test_rubbish_is_nobodys_letter(settings: Settings, own: OwnKeys, text: str) -> None:
    assert letter.issuer_of(Secret(text)) is None
    assert letter.key_of(Secret(text)) == ""
    assert letter.read(Secret(text), peer(settings, own), WE, NOON) is Forged.SIGNATURE


@pytest.mark.parametrize(
    "issuer", ["Hospital.example", "127.0.0.1", "localhost", "hospitål.example", "", "a/b.example"]
)
def test_a_letter_of_what_is_no_domain(own: OwnKeys, issuer: str) -> None:
    assert letter.issuer_of(letter.sign(written(issuer=issuer), own.key)) is None


def test_a_letter_cannot_be_shown_by_accident() -> None:
    made = written(code=Secret("482913"))
    assert "482913" not in repr(made)


OURS, THEIRS, NONE = ["+46831112222"], ["+46812345678"], list[str]()
TO_US, TO_THEM, ASTRAY = "+46831112222", "+46812345678", "+46700000001"


@pytest.mark.parametrize(
    ("theirs", "ours", "numbers", "own", "how"),
    [
        (Ends(True, 100, TO_US), Ends(False, 130), THEIRS, OURS, Bound.CALL),
        (Ends(True, 100, TO_US), Ends(False, 131), THEIRS, OURS, Bound.NOT),
        (Ends(True, 131, TO_US), Ends(False, 100), THEIRS, OURS, Bound.NOT),
        (Ends(True, 100, ASTRAY), Ends(False, 100), THEIRS, OURS, Bound.NOT),
        (Ends(True, 100), Ends(False, 100), THEIRS, OURS, Bound.NOT),
        (Ends(True, 100), Ends(False, 100), THEIRS, NONE, Bound.TIME),
        (Ends(False, 100), Ends(True, 100, TO_THEM), THEIRS, OURS, Bound.CALL),
        (Ends(False, 100), Ends(True, 100, ASTRAY), THEIRS, OURS, Bound.NOT),
        (Ends(False, 100), Ends(True, 100), THEIRS, OURS, Bound.NOT),
        (Ends(False, 100), Ends(True, 100), NONE, OURS, Bound.TIME),
        (Ends(False, 100), Ends(False, 100), NONE, NONE, Bound.NOT),
        (Ends(True, 100, TO_US), Ends(True, 100, TO_THEM), THEIRS, OURS, Bound.NOT),
        (Ends(False, 0), Ends(True, 100, TO_THEM), THEIRS, OURS, Bound.CALL),
        (Ends(False, 100), Ends(True, 0, TO_THEM), THEIRS, OURS, Bound.CALL),
    ],
)
def test_which_call_a_letter_is_of(theirs: Ends, ours: Ends, numbers: list[str], own: list[str], how: Bound) -> None:
    assert letter.bound(theirs, ours, numbers, own, 30) is how
