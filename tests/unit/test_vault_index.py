"""Blind indexes and code MACs: one key for each use, and nothing that shifts from one part into the next."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.secret import Personal, Secret
from ivr.vault import CodeMacs, Index, Key
from ivr.vault.encoding import joined

HASH = Key("0123abcd", bytes(range(32)))
PARTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4)


def test_an_index_is_the_same_each_time_and_for_each_other_text_another() -> None:
    index = Index(HASH)
    assert index.customer_number(Secret("10001")) == Index(HASH).customer_number(Personal("10001"))
    assert index.customer_number(Secret("10001")) != index.customer_number(Secret("010001"))
    assert index.customer_number(Secret("10001")) != Index(Key("0123abcd", bytes(32))).customer_number(Secret("10001"))


def test_each_use_has_its_own_key() -> None:
    index, codes = Index(HASH), CodeMacs(HASH)
    same = "46701234567"
    assert (
        len({index.customer_number(Secret(same)), index.phone(Personal(same)), codes.mac(Secret(same), bound_to=())})
        == 3
    )


def test_indexes_stay_what_they_were() -> None:
    """Should this fail, no customer in any database is found any more."""
    index = Index(HASH)
    assert index.customer_number(Secret("10001")) == "61fb51d4350dbd0cfd9e4bc4d4f666d75adda4982ac363c576eea44172f2b2a9"
    assert index.phone(Personal("+46701234567")) == "89c6824d1d92b0d8ec9781a55c2c290ce803a3eef2f03f13003398ae808bac62"


def test_what_a_call_is_called_nobody_computes_from_its_channel() -> None:
    index = Index(HASH)
    name = index.call("pbx1", "1795341600.17")
    assert re.fullmatch("[A-Za-z0-9_-]{22}", name) and name == Index(HASH).call("pbx1", "1795341600.17")
    others = {
        Index(Key("0123abcd", bytes(32))).call("pbx1", "1795341600.17"), index.call("pbx1", "1795341600.18"),
        index.call("pbx2", "1795341600.17"), index.call("pbx", "11795341600.17"), index.call("pbx1\0", "1795341600.17"),
        index.call("pbx1", "\udc80"),
    }  # fmt: skip
    assert name not in others and len(others) == 6
    # as it was once, without a key
    bare = hashlib.blake2b(b"pbx1\x001795341600.17", digest_size=16).digest()
    assert name != base64.urlsafe_b64encode(bare).rstrip(b"=").decode()


def test_a_code_is_bound_to_every_part_in_its_order() -> None:
    codes = CodeMacs(HASH)
    macs = {
        codes.mac(Secret(code), bound_to=bound_to)
        for code, bound_to in (
            ("123456", ("call", "pin", "anna")), ("123457", ("call", "pin", "anna")),
            ("123456", ("llac", "pin", "anna")),
            ("123456", ("call", "anna", "pin")), ("123456", ("callp", "in", "anna")), ("123456", ("call", "pin")),
            ("123456", ("call", "pin", "anna", "")), ("6", ("call", "pin", "anna12345")),
            ("", ("call", "pin", "anna123456")),
        )
    }  # fmt: skip
    assert len(macs) == 9
    assert all(len(mac) == 64 for mac in macs)


@given(one=PARTS, other=PARTS)
def test_no_two_lists_of_parts_are_joined_alike(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


@pytest.mark.parametrize("number", ["", "å", "1" * 500])
def test_any_text_has_an_index(number: str) -> None:
    assert len(Index(HASH).customer_number(Secret(number))) == 64
