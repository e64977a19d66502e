"""Envelopes: what comes out is what went in, in that place, or nothing."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.errors import VaultError
from ivr.secret import Secret
from ivr.vault import Envelope, Envelopes, Key

MASTER = Key("0123abcd", bytes(range(32)))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture
def envelope() -> Envelope:
    return Envelopes(MASTER).new("anna")


def reopened(
    envelope: Envelope, *, master: Key = MASTER, customer: str = "anna", wrapped: bytes | None = None
) -> Envelope:
    return Envelopes(master).open(customer, envelope.key_id, envelope.wrapped if wrapped is None else wrapped)


@given(text=TEXT, field=TEXT, customer=TEXT)
def test_what_was_sealed_is_opened(text: str, field: str, customer: str) -> None:
    envelopes = Envelopes(MASTER)
    envelope = envelopes.new(customer)
    sealed = envelope.seal(field, Secret(text))
    assert envelopes.open(customer, envelope.key_id, envelope.wrapped).open(field, sealed).reveal() == text


@given(data=st.binary())
def test_bytes_too(data: bytes) -> None:
    envelope = Envelopes(MASTER).new("anna")
    assert reopened(envelope).open_bytes("pin", envelope.seal_bytes("pin", data)) == data


def test_any_changed_bit_is_found(envelope: Envelope) -> None:
    sealed = envelope.seal("name", Secret("Canary"))
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(VaultError) as caught:
            envelope.open("name", bytes(changed))
        assert str(caught.value) == "customer anna: the encrypted name was changed"
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_any_changed_bit_of_the_data_key_is_found(envelope: Envelope) -> None:
    for place in range(len(envelope.wrapped)):
        changed = bytearray(envelope.wrapped)
        changed[place] ^= 0x80
        with pytest.raises(VaultError, match="the encrypted data key was changed"):
            reopened(envelope, wrapped=bytes(changed))


@given(data=st.binary(max_size=64))
def test_rubbish_is_never_opened(data: bytes) -> None:
    envelope = Envelopes(MASTER).new("anna")
    with pytest.raises(VaultError):
        envelope.open("name", data)
    with pytest.raises(VaultError):
        reopened(envelope, wrapped=data)


def test_a_cut_value_is_found(envelope: Envelope) -> None:
    sealed = envelope.seal("name", Secret("Canary"))
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            envelope.open("name", sealed[:length])


def test_a_value_cannot_be_moved_to_another_field(envelope: Envelope) -> None:
    sealed = envelope.seal("phone.0", Secret("+46701234567"))
    with pytest.raises(VaultError):
        envelope.open("phone.1", sealed)


def test_a_data_key_cannot_be_moved_to_another_customer(envelope: Envelope) -> None:
    with pytest.raises(VaultError):
        reopened(envelope, customer="bo")


def test_a_value_cannot_be_moved_with_its_data_key(envelope: Envelope) -> None:
    """Even whoever has the data key finds the value bound to its customer."""
    key = envelope._Envelope__key  # type: ignore[attr-defined]
    other = Envelope("bo", envelope.key_id, envelope.wrapped, key)
    with pytest.raises(VaultError):
        other.open("name", envelope.seal("name", Secret("Canary")))


def test_customer_and_field_cannot_be_shifted_into_each_other() -> None:
    envelope = Envelopes(MASTER).new("ab")
    other = Envelope("a", envelope.key_id, envelope.wrapped, envelope._Envelope__key)  # type: ignore[attr-defined]
    with pytest.raises(VaultError):
        other.open("bc", envelope.seal("c", Secret("x")))


def test_another_master_key_is_named(envelope: Envelope) -> None:
    with pytest.raises(VaultError, match="another master key than ffffffff"):
        reopened(envelope, master=Key("ffffffff", bytes(range(32))))


def test_another_master_key_of_the_same_name_opens_nothing(envelope: Envelope) -> None:
    with pytest.raises(VaultError, match="data key was changed"):
        reopened(envelope, master=Key("0123abcd", bytes(32)))


def test_each_sealing_takes_a_new_nonce(envelope: Envelope) -> None:
    sealed = {envelope.seal("name", Secret("same")) for _ in range(500)}
    assert len({one[1:13] for one in sealed}) == 500
    assert len({Envelopes(MASTER).new("anna").wrapped[1:13] for _ in range(50)}) == 50


def test_each_customer_has_a_key_of_its_own() -> None:
    envelopes = Envelopes(MASTER)
    one, other = envelopes.new("anna"), envelopes.new("anna")
    with pytest.raises(VaultError):
        other.open("name", one.seal("name", Secret("x")))


def test_nothing_of_the_text_is_in_what_is_stored(envelope: Envelope) -> None:
    assert b"Canary" not in envelope.seal("name", Secret("Canary")) + envelope.wrapped


def test_an_envelope_cannot_be_shown_or_stored(envelope: Envelope) -> None:
    assert repr(envelope) == "<Envelope anna>"
    for store in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            store(envelope)


def test_what_an_older_program_sealed_is_still_opened() -> None:
    """Bytes of version 1. Should this fail, every customer's data has become unreadable."""
    wrapped = bytes.fromhex(
        "013499147c6876637187c9c7008e67902268b724e3595fa80e4ce2dda5a647aa2b67563b40587408f3ae15ba03ee9f1ba235"
        "62e2af4a0c964f87f9ce47"
    )
    sealed = bytes.fromhex("01f2b0ccaf0a6f513db8defe218124a1bacca8191af465b58879e7717c0d8f5f29772d0c0dc249874ab4")
    assert Envelopes(MASTER).open("anna", "0123abcd", wrapped).open("name", sealed).reveal() == "Anna Åkesson"
