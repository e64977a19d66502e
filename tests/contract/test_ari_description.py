"""Every request and every field of an event that the source uses is in the description that Asterisk ships."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from rig import install

import ivr
from ivr.asterisk.events import TYPES
from tests.contract.ari_description import (
    Description,
    Reader,
    Unreadable,
    Use,
    event_troubles,
    sources,
    types_used,
)

PACKAGE = Path(ivr.__file__).parent
EVENTS = PACKAGE / "asterisk" / "events.py"

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def description() -> Description:
    return Description(install.find().data / "rest-api")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return sources(PACKAGE)


@cache
def read(name: str, text: str) -> list[Use]:
    return list(Reader(name, text).uses())


def uses(texts: dict[str, str]) -> list[Use]:
    return [use for name, text in texts.items() for use in read(name, text)]


def troubles(texts: dict[str, str], description: Description) -> list[str]:
    return [trouble for use in uses(texts) for trouble in description.troubles(use)]


def test_every_request_is_described(texts: dict[str, str], description: Description) -> None:
    assert troubles(texts, description) == []


def test_every_field_of_an_event_is_described(description: Description) -> None:
    assert list(event_troubles(EVENTS.read_text(), description)) == []


def test_what_the_filter_lets_through_is_what_is_decoded(description: Description) -> None:
    assert set(TYPES) == types_used(EVENTS.read_text())
    assert len(TYPES) == len(set(TYPES))
    assert set(TYPES) <= {*description.models["Event"]["subTypes"]}


# What must be among what was read: where the reader went blind, this would be missing.
READ = {
    ("GET", "events"),
    ("PUT", "applications/{}/eventFilter"),
    ("POST", "applications/{}/subscription"),
    ("GET", "asterisk/info"),
    ("GET", "sounds"),
    ("GET", "channels"),
    ("POST", "channels"),
    ("DELETE", "channels/{}"),
    ("POST", "channels/{}/answer"),
    ("POST", "channels/{}/play/{}"),
    ("POST", "channels/{}/variable"),
    ("POST", "channels/{}/variables"),
    ("GET", "channels/{}/variables"),
    ("POST", "channels/{}/moh"),
    ("DELETE", "channels/{}/moh"),
    ("POST", "channels/{}/continue"),
    ("DELETE", "playbacks/{}"),
    ("GET", "bridges"),
    ("POST", "bridges/{}"),
    ("DELETE", "bridges/{}"),
    ("POST", "bridges/{}/addChannel"),
    ("POST", "events/user/{}"),
    ("POST", "events/claim"),
}


def test_nothing_is_overlooked(texts: dict[str, str]) -> None:
    assert {(use.method, use.path) for use in uses(texts)} >= READ
    originate = [use.fields for use in uses(texts) if (use.method, use.path) == ("POST", "channels")]
    whole = {
        "endpoint",
        "app",
        "appArgs",
        "channelId",
        "callerId",
        "timeout",
        "originator",
        "variables",
    }
    assert any(fields >= whole for fields in originate)


# ---------------------------------------------------------------- statuses

# What the source takes for more than an error, and must therefore be what Asterisk says.
STATUSES = {
    ("POST", "channels/{}/answer"): {404, 409, 412},
    ("POST", "channels/{}/play/{}"): {404, 409, 412},
    ("POST", "channels/{}/continue"): {404, 409, 412},
    ("POST", "channels/{}/moh"): {404, 409, 412},
    ("DELETE", "channels/{}/moh"): {404, 409, 412},
    ("POST", "channels/{}/variable"): {404, 409},
    ("POST", "channels/{}/variables"): {404, 409},
    ("GET", "channels/{}"): {404},
    ("DELETE", "channels/{}"): {404},
    ("DELETE", "playbacks/{}"): {404},
    ("DELETE", "bridges/{}"): {404},
    ("POST", "bridges/{}/addChannel"): {400, 404, 409, 422},
    ("POST", "applications/{}/subscription"): {404, 422},
    ("POST", "events/user/{}"): {422},
    ("POST", "events/claim"): {404, 409},
}


# Named by the request alone: a set's order may differ between two test processes.
@pytest.mark.parametrize(("request_", "wanted"), STATUSES.items(), ids=map(" ".join, STATUSES))
def test_the_statuses_that_mean_something_are_described(
    request_: tuple[str, str], wanted: set[int], description: Description, texts: dict[str, str]
) -> None:
    assert request_ in {(use.method, use.path) for use in uses(texts)}
    operation = description.operation(*request_)
    assert operation is not None
    assert operation.statuses >= wanted


# ---------------------------------------------------------------- answers

ANSWERS = {
    ("GET", "applications/{}"): {"channel_ids": "List[string]"},
    ("GET", "channels"): {"id": "string", "state": "string"},
    ("GET", "channels/{}"): {"state": "string", "dialplan": "DialplanCEP"},
    ("GET", "bridges"): {"id": "string", "name": "string", "channels": "List[string]"},
    ("GET", "asterisk/info"): {"system": "SystemInfo", "config": "ConfigInfo"},
    ("GET", "sounds"): {"id": "string", "formats": "List[FormatLangPair]"},
}


@pytest.mark.parametrize(("request_", "fields"), ANSWERS.items(), ids=map(" ".join, ANSWERS))
def test_the_fields_of_answers_are_described(
    request_: tuple[str, str], fields: dict[str, str], description: Description
) -> None:
    operation = description.operation(*request_)
    assert operation is not None
    model = operation.answer.removeprefix("List[").removesuffix("]")
    assert {name: description.field(model, name) for name in fields} == fields
    assert description.field("DialplanCEP", "app_name") == "string"
    assert description.field("SystemInfo", "version") == "string"
    assert description.field("SystemInfo", "entity_id") == "string"
    assert description.field("ConfigInfo", "default_language") == "string"
    assert description.field("FormatLangPair", "language") == "string"


# ---------------------------------------------------------------- that it would be found


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"variables"', '"variabels"'),
        ('self._post("answer"', 'self._post("anwser"'),
        ('f"play/{', 'f"plai/{'),
        ('"media":', '"medium":'),
        ('"lang":', '"language":'),
        ("/addChannel", "/addChannels"),
        ('{"channel": members}', '{"channels": members}'),
        ('{"type": "mixing"', '{"kind": "mixing"'),
        ('f"playbacks/{', 'f"playback/{'),
        ('"eventSource"', '"source"'),
        ('"variable": "TIMEOUT(absolute)"', '"name": "TIMEOUT(absolute)"'),
        ('{"application":', '{"app":'),
        ('urlencode({"variables"', 'urlencode({"variable"'),
        ('"POST" if on else "DELETE"', '"POST" if on else "PUT"'),
        ('return f"channels/{', 'return f"channel/{'),
        ('"originator"', '"originater"'),
        ('"endpoint": ', '"endpont": '),
        ('"channelId"', '"channelID"'),
        ("/events?app=", "/events?application="),
        ("/eventFilter", "/eventfilter"),
        ('{"allowed":', '{"allow":'),
        ('f"channels/{channel}")', 'f"chanels/{channel}")'),
        ('"asterisk/info"', '"asterisk/information"'),
        ('"GET", "sounds"', '"POST", "sounds"'),
        ('self._list("bridges")', 'self._list("bridge")'),
    ],
)
def test_a_slip_in_a_request_is_found(right: str, wrong: str, texts: dict[str, str], description: Description) -> None:
    assert any(right in text for text in texts.values()), f"nothing to misspell: {right}"
    slipped = {name: text.replace(right, wrong) for name, text in texts.items()}
    assert troubles(slipped, description)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"digit": str', '"digits": str'),
        ('"digit": str(key)', '"digit": int(key)'),
        ('"channel": {"id": str(channel)}, "digit"', '"channel": {"uid": str(channel)}, "digit"'),
        ('"caller": {"number"', '"caller": {"num"'),
        ('"language"', '"lang"'),
        ('"args": [*args]', '"args": str(args)'),
        ('"type": "StasisEnd"', '"type": "StasisEnded"'),
        ('"cause": int', '"cause_txt": int'),
        ('"target_uri"', '"target"'),
        ('get("media_uri")', 'get("media")'),
        ('get("replace_channel")', 'get("replaces")'),
        ('replaced.get("id")', 'replaced.get("channel_id")'),
        ('"status_code": int', '"status": int'),
        ('get("message_body")', 'get("body")'),
    ],
)
def test_a_slip_in_an_event_is_found(right: str, wrong: str, description: Description) -> None:
    text = EVENTS.read_text()
    assert right in text, f"nothing to misspell: {right}"
    assert list(event_troubles(text.replace(right, wrong), description))


@pytest.mark.parametrize(
    "new",
    [
        'await self._ari.request("POST", f"channels/{channel}/sing", {"song": "x"})',
        'await self._ari.request("POST", "channels/externalMedia", {"app": "x", "external_hots": "y"})',
        'await self._post("hum")',
        'await self._ari.request("GET", "events/claim")',
    ],
)
def test_a_new_request_that_is_not_described_is_found(
    new: str, texts: dict[str, str], description: Description
) -> None:
    line = "asterisk/line.py"
    text = texts[line].replace("    async def answer(self) -> None:\n", f"    async def new(self, channel):\n        {new}\n\n    async def answer(self) -> None:\n")  # fmt: skip
    assert text != texts[line]
    assert troubles({line: text}, description)


@pytest.mark.parametrize(
    "new", ['await self._ari.request("POST", path)', 'await self._ari.request("POST", "channels", make())']
)
def test_a_request_that_cannot_be_read_is_found(new: str, texts: dict[str, str]) -> None:
    text = texts["asterisk/conversation.py"] + f"\n\nasync def new(self, path):\n    {new}\n"
    with pytest.raises(Unreadable):
        uses({"asterisk/conversation.py": text})
