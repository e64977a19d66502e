"""Decoding what Asterisk tells: frames as its description gives them, and rubbish."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.asterisk.events import (
    TYPES,
    Destroyed,
    Digit,
    Echo,
    Event,
    Left,
    Offered,
    PlaybackEnded,
    Replaced,
    Response,
    Started,
    decode,
)
from ivr.secret import Personal, Secret

CHANNEL: dict[str, Any] = {
    "id": "1764000000.7", "name": "PJSIP/trunk-00000007", "state": "Up", "protocol_id": "x",
    "caller": {"name": "Anna", "number": "+46701740601"}, "connected": {"name": "", "number": ""},
    "accountcode": "", "language": "sv", "creationtime": "2026-01-01T00:00:00.000+0000",
    "dialplan": {"context": "in", "exten": "100", "priority": 1, "app_name": "Stasis", "app_data": "tillit"},
}  # fmt: skip
BASE = {"application": "tillit", "timestamp": "2026-01-01T00:00:00.000+0000", "asterisk_id": "00:00:00:00:00:00"}
PLAYBACK = {"id": "p1", "media_uri": "sound:a", "target_uri": "channel:1764000000.7", "language": "sv", "state": "done"}

FRAMES: dict[str, dict[str, Any]] = {
    "StasisStart": {**BASE, "type": "StasisStart", "args": ["inbound", "main"], "channel": CHANNEL},
    "CallBroadcast": {
        **BASE, "type": "CallBroadcast", "caller": "+46701740601", "called": "s",
        "channel": {**CHANNEL, "dialplan": {**CHANNEL["dialplan"], "app_name": "StasisBroadcast"}},
    },
    "StasisEnd": {**BASE, "type": "StasisEnd", "channel": CHANNEL},
    "ChannelDtmfReceived": {**BASE, "type": "ChannelDtmfReceived", "digit": "5", "duration_ms": 90, "channel": CHANNEL},
    "PlaybackFinished": {**BASE, "type": "PlaybackFinished", "playback": PLAYBACK},
    "ChannelDestroyed": {**BASE, "type": "ChannelDestroyed", "cause": 16, "cause_txt": "Normal", "channel": CHANNEL},
    "ApplicationReplaced": {**BASE, "type": "ApplicationReplaced"},
    "ChannelUserevent": {**BASE, "type": "ChannelUserevent", "eventname": "TillitAlive", "userevent": {}},
    "RESTResponse": {
        **BASE, "type": "RESTResponse", "transaction_id": "1", "request_id": "1", "status_code": 200,
        "reason_phrase": "OK", "uri": "channels", "content_type": "application/json", "message_body": "[]",
    },
}  # fmt: skip


def test_each_type_that_is_let_through_has_a_frame_here() -> None:
    assert set(FRAMES) == set(TYPES)


def test_a_channel_that_entered() -> None:
    assert decode(FRAMES["StasisStart"]) == Started(
        "1764000000.7", ("inbound", "main"), Personal("+46701740601"), "sv", None
    )


def test_a_channel_that_took_anothers_place() -> None:
    started = decode({**FRAMES["StasisStart"], "replace_channel": {**CHANNEL, "id": "1764000000.1"}})
    assert isinstance(started, Started)
    assert started.replaces == "1764000000.1"


def test_a_channel_that_took_the_place_of_who_knows_whom_is_still_no_caller_of_its_own() -> None:
    started = decode({**FRAMES["StasisStart"], "replace_channel": {}})
    assert isinstance(started, Started)
    assert started.replaces is not None


def test_a_channel_that_is_offered() -> None:
    assert decode(FRAMES["CallBroadcast"]) == Offered("1764000000.7")


def test_a_channel_that_left() -> None:
    assert decode(FRAMES["StasisEnd"]) == Left("1764000000.7")


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_a_key(key: str) -> None:
    told = decode({**FRAMES["ChannelDtmfReceived"], "digit": key})
    assert told == Digit("1764000000.7", Secret(key), 1767225600.0)


@pytest.mark.parametrize("when", [None, 1764000000, "", "yesterday", "2026-01-01T00:00:00.000+9900"])
def test_a_key_is_heard_whatever_its_time_is(when: object) -> None:
    told = decode({**FRAMES["ChannelDtmfReceived"], "timestamp": when})
    assert told == Digit("1764000000.7", Secret("5"), None)


def test_a_key_is_a_secret_wherever_it_is_shown() -> None:
    event = decode({**FRAMES["ChannelDtmfReceived"], "digit": "CANARY"})
    assert isinstance(event, Digit)
    assert type(event.key) is Secret
    assert "CANARY" not in f"{event} {event!r} {event.key} {event.key!r}"


def test_a_number_is_not_shown_either() -> None:
    assert "+4670" not in f"{decode(FRAMES['StasisStart'])!r}"


@pytest.mark.parametrize(("state", "failed"), [("done", False), ("failed", True), ("canceled", False), (3, False)])
def test_a_playback_that_is_over(state: object, failed: bool) -> None:
    frame = {**FRAMES["PlaybackFinished"], "playback": {**PLAYBACK, "state": state}}
    assert decode(frame) == PlaybackEnded("p1", "1764000000.7", "sound:a", failed=failed)


def test_a_channel_that_is_gone() -> None:
    assert decode(FRAMES["ChannelDestroyed"]) == Destroyed("1764000000.7", 16)


def test_replaced() -> None:
    assert decode(FRAMES["ApplicationReplaced"]) == Replaced()


def test_what_the_application_asked_for_itself() -> None:
    assert decode(FRAMES["ChannelUserevent"]) == Echo("TillitAlive")


def test_an_answer() -> None:
    assert decode(FRAMES["RESTResponse"]) == Response("1", 200, "[]")


def test_an_answer_without_a_body() -> None:
    frame = {key: value for key, value in FRAMES["RESTResponse"].items() if key != "message_body"}
    assert decode(frame) == Response("1", 200, "")


def test_other_events_are_nobodys() -> None:
    assert decode({**BASE, "type": "ChannelVarset", "variable": "A", "value": "CANARY", "channel": CHANNEL}) is None


# What an event cannot do without: places in its frame.
NEEDED = {
    "StasisStart": [
        "type",
        "args",
        "channel",
        "channel.id",
        "channel.caller",
        "channel.caller.number",
        "channel.language",
    ],
    "CallBroadcast": ["type", "channel", "channel.id"],
    "StasisEnd": ["type", "channel", "channel.id"],
    "ChannelDtmfReceived": ["type", "channel", "channel.id", "digit"],
    "PlaybackFinished": ["type", "playback", "playback.id", "playback.target_uri"],
    "ChannelDestroyed": ["type", "channel", "channel.id", "cause"],
    "ApplicationReplaced": ["type"],
    "ChannelUserevent": ["type", "eventname"],
    "RESTResponse": ["type", "request_id", "status_code"],
}
WRONG = [None, True, 3, 1.5, "text", [], {}, ["x"], {"id": 3}]
TEXTS = ("id", "number", "language", "digit", "target_uri", "request_id", "eventname")


def right(place: str, value: object) -> bool:
    """Whether a value of this type may stand there."""
    last = place.rpartition(".")[2]
    if isinstance(value, str):
        return last in TEXTS
    if isinstance(value, list):
        return last == "args"
    return isinstance(value, int) and last in ("cause", "status_code")


CASES = [
    (kind, place, value)
    for kind, where in NEEDED.items()
    for place in where
    for value in WRONG
    if not right(place, value)
]


def put(frame: dict[str, Any], way: Sequence[str], value: object) -> Any:
    """A copy of the frame with another value in that place."""
    copied = copy.deepcopy(frame)
    inner = copied
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    return copied


@pytest.mark.parametrize(("kind", "place", "value"), CASES)
def test_a_wrong_type_where_something_is_needed_is_no_event(kind: str, place: str, value: object) -> None:
    assert decode(put(FRAMES[kind], place.split("."), value)) is None


# A place is written with dots, so a key has none.
KEYS = st.text(st.characters(exclude_characters="."), min_size=1, max_size=8)
# no limit in time: the machine may be busy
EASY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON: st.SearchStrategy[object] = st.deferred(
    lambda: SCALAR | st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=8), JSON, max_size=3)
)


def places(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in a frame."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*way, key)
            yield from places(inner, (*way, key))


@EASY
@given(JSON)
def test_rubbish_is_never_an_error(raw: object) -> None:
    assert decode(raw) is None or isinstance(raw, dict)


@settings(EASY, max_examples=400)
@given(st.data())
def test_a_frame_with_rubbish_anywhere_is_never_an_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(FRAMES)))
    frame = {**FRAMES[kind], "replace_channel": {"id": "x"}}
    for _ in range(data.draw(st.integers(1, 3))):
        frame = put(frame, data.draw(st.sampled_from(sorted(places(frame)))), data.draw(JSON))
    event = decode(frame)
    assert event is None or isinstance(event, Event)


@EASY
@given(st.binary(max_size=200))
def test_whatever_is_json_is_never_an_error(data: bytes) -> None:
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    decode(raw)
