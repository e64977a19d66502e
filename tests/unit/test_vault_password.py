"""Passwords and codes of an app: which are taken, and that they are what the standards say."""

from __future__ import annotations

import pyotp
import pytest

from ivr.config import Password
from ivr.secret import Secret
from ivr.vault import Key, PasswordHasher, PinHasher, totp
from ivr.vault.password import MOST, Weak, weakness

KEY = Key("0a0b0c0d", bytes(range(32)))
CHEAP = Password(scrypt_log2_n=14, scrypt_p=1)
# RFC 6238, appendix B (SHA-1), the last six of its eight digits.
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"}  # fmt: skip
SEED = Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")


@pytest.mark.parametrize("at", VECTORS)
def test_codes_are_those_of_the_standard(at: int) -> None:
    assert totp.step_of(SEED, Secret(VECTORS[at]), at) == at // 30
    for steps in (-1, 1):
        assert totp.step_of(SEED, Secret(VECTORS[at]), at + 30 * steps) == at // 30
    for steps in (-2, 2):
        assert totp.step_of(SEED, Secret(VECTORS[at]), at + 30 * steps) is None


@pytest.mark.parametrize("typed", ["287 082", " 287082 ", "287082\n"])
def test_codes_as_people_type_them(typed: str) -> None:
    assert totp.step_of(SEED, Secret(typed), 59) == 1


@pytest.mark.parametrize("typed", ["", "28708", "2870822", "２８７０８２", "\ud800", "x" * 10**6, "287082\0"])
def test_what_is_no_code(typed: str) -> None:
    assert totp.step_of(SEED, Secret(typed), 59) is None


def test_a_key_is_new_and_its_address_is_what_apps_read() -> None:
    key = totp.new()
    assert key != totp.new()
    assert len(key) == 32
    read = pyotp.parse_uri(totp.uri(key, "anna@example.com", "Räksmörgås & Co").reveal())
    assert (read.secret, read.name, read.issuer) == (key.reveal(), "anna@example.com", "Räksmörgås & Co")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Tr0ub4dor&3", Weak.SHORT),
        # twelve, of which each two are one letter
        ("e\u0301a\u0300o\u0308u\u0308n\u0303c\u0327", Weak.SHORT),
        ("x" * (MOST + 1), Weak.LONG),
        ("passwordpassword", Weak.GUESSABLE),
        ("qwertyuiopasdf", Weak.GUESSABLE),
        ("aaaaaaaaaaaaaaaaaaaa", Weak.GUESSABLE),
        ("2580258025802580", Weak.GUESSABLE),
        ("andersson1987", Weak.GUESSABLE),
        ("examplecallcentre", None),
        ("correct-Horse 9 battery", None),
        ("Zwölf Boxkämpfer jagen", None),
        ("\ud800" + "x9!Qp2#vTz7k", None),
    ],
)
def test_which_passwords_are_taken(password: str, why: Weak | None) -> None:
    assert weakness(Secret(password), Password(), ["anna", "Anna Andersson"]) is why


def test_words_of_ones_own_are_guessed_first() -> None:
    password = Secret("Kvarnsvedenkoping")
    assert weakness(password, Password(), []) is None
    assert weakness(password, Password(), ["kvarnsveden.koping@example.com"]) is Weak.GUESSABLE


async def test_a_password_is_the_same_however_it_was_typed_and_hashed_with_a_key_of_its_own() -> None:
    passwords, pins = PasswordHasher(KEY, CHEAP), PinHasher(KEY, CHEAP)
    try:
        record = await passwords.make(Secret("Zw\u00f6lf Boxk\u00e4mpfer"))
        assert await passwords.matches(Secret("Zwo\u0308lf Boxka\u0308mpfer"), record)
        assert not await passwords.matches(Secret("Zwolf Boxkampfer"), record)
        assert not await passwords.matches(Secret("x" * 10**6), record)
        assert not await passwords.matches(Secret(""), None)
        assert not await pins.matches(Secret("Zw\u00f6lf Boxk\u00e4mpfer"), record)
    finally:
        passwords.close()
        pins.close()
