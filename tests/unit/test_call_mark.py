"""What a mark says: on the channel, in the agent's INVITE, on the display."""

from __future__ import annotations

import base64

import pytest

from ivr.call.mark import Mark, display, place_in_queue, unmarked
from ivr.call.outcome import Status, Verified
from ivr.secret import Personal

VERIFIED = Verified("main", "ref-anna", 2, ("pin", "sms_code"), 1800)


def marked() -> Mark:
    return Mark.of(VERIFIED, node="node", channel="1700000000.1", now=1000.9)


def test_a_mark_is_bound_to_its_channel_and_ends() -> None:
    mark = marked()
    assert (mark.node, mark.channel, mark.policy) == ("node", "1700000000.1", "main")
    assert mark.expires == 2800


def test_nonces_have_128_bits_and_are_never_the_same() -> None:
    nonces = {marked().nonce for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(base64.urlsafe_b64decode(nonce + "==")) == 16 for nonce in nonces)


def test_what_the_dialplan_reads() -> None:
    assert marked().variables() == {
        "CALLER_AUTH_STATUS": "verified",
        "CALLER_AUTH_LEVEL": "2",
        "CALLER_AUTH_METHODS": "pin,sms_code",
        "CALLER_AUTH_SUBJECT": "ref-anna",
        "CALLER_AUTH_EXPIRES": "2800",
    }


def test_the_nonce_stands_in_nothing_that_is_announced() -> None:
    mark = marked()
    assert mark.nonce not in mark.header() + repr(mark.variables())


def test_a_place_in_the_queue_only_where_the_policy_has_one() -> None:
    assert place_in_queue(10) == {"CALLER_AUTH_PRIORITY": "10"}
    assert place_in_queue(None) == {}


def test_the_header() -> None:
    assert marked().header() == "verified; level=2; methods=pin,sms_code; ref=ref-anna"


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.VERIFIED])
def test_without_a_mark_every_variable_of_one_is_emptied(status: Status) -> None:
    variables = unmarked(status)
    assert variables.keys() == marked().variables().keys()
    assert variables.pop("CALLER_AUTH_STATUS") == status.value != "verified"
    assert variables.pop("CALLER_AUTH_LEVEL") == "0"
    assert set(variables.values()) == {""}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Anna Maria Andersson", "✔ Anna A."),
        ("Anna Andersson", "✔ Anna A."),
        ("Anna", "✔ Anna"),
        ("", "✔"),
        ("{name} Andersson", "✔ {name} A."),
    ],
)
def test_the_display(name: str, shown: str) -> None:
    assert display(Personal(name)).reveal() == shown


def test_the_display_of_nobody() -> None:
    assert display(None).reveal() == "✔"


def test_the_display_of_a_name_of_blanks_is_the_sign_alone() -> None:
    assert display(Personal("  ")).reveal().strip() == "✔"
