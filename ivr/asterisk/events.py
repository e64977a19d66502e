"""What Asterisk tells, decoded once. Raw dictionaries go no further than here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ivr.secret import Personal, Secret


@dataclass(frozen=True, slots=True)
class Started:
    """A channel entered the application. `replaces` is set where it took another channel's place."""

    channel: str
    args: tuple[str, ...]
    number: Personal
    language: str
    replaces: str | None


@dataclass(frozen=True, slots=True)
class Offered:
    """A channel waits in `StasisBroadcast()` for whoever claims it first."""

    channel: str


@dataclass(frozen=True, slots=True)
class Left:
    """A channel left the application: hung up, or gone on in the dialplan."""

    channel: str


@dataclass(frozen=True, slots=True)
class Digit:
    """A key was pressed and let go. `at`: seconds since the epoch by Asterisk's clock; None where it says none."""

    channel: str
    key: Secret
    at: float | None


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """A playback is over: played, stopped, or failed (a missing file, for one)."""

    playback: str
    channel: str
    media: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A channel is gone; `cause` is a Q.850 cause code."""

    channel: str
    cause: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another websocket has taken this application over."""


@dataclass(frozen=True, slots=True)
class Echo:
    """An event that an application asked for itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request that went over the websocket."""

    request: str
    status: int
    body: str


# Whose place a channel took when Asterisk does not say it; no channel is called so.
_NOBODY = "nobody"

Event = Started | Offered | Left | Digit | PlaybackEnded | Destroyed | Replaced | Echo | Response

# What the event filter lets through; RESTResponse too, or every request over the websocket would hang.
TYPES = (
    "StasisStart",
    "CallBroadcast",
    "StasisEnd",
    "ChannelDtmfReceived",
    "PlaybackFinished",
    "ChannelDestroyed",
    "ApplicationReplaced",
    "ChannelUserevent",
    "RESTResponse",
)


def decode(raw: object) -> Event | None:
    """The event, or None for one that nobody here needs, or that is not as Asterisk describes it."""
    if not isinstance(raw, dict):
        return None
    match raw:
        case {"type": "ChannelDtmfReceived", "channel": {"id": str(channel)}, "digit": str(key)}:
            return Digit(channel, Secret(key), _seconds(raw.get("timestamp")))
        case {"type": "RESTResponse", "request_id": str(request), "status_code": int(status)}:
            body = raw.get("message_body")
            return Response(request, status, body if isinstance(body, str) else "")
        case {"type": "PlaybackFinished", "playback": {"id": str(playback), "target_uri": str(target), "state": state}}:
            media = raw["playback"].get("media_uri")
            return PlaybackEnded(
                playback,
                target.removeprefix("channel:"),
                media if isinstance(media, str) else "",
                state == "failed",
            )
        case {
            "type": "StasisStart",
            "args": [*args],
            "channel": {"id": str(channel), "caller": {"number": str(number)}, "language": str(language)},
        } if all(isinstance(arg, str) for arg in args):
            replaced = raw.get("replace_channel")
            return Started(
                channel,
                tuple(args),
                Personal(number),
                language,
                (text(replaced.get("id")) or _NOBODY) if isinstance(replaced, dict) else None,
            )
        case {"type": "CallBroadcast", "channel": {"id": str(channel)}}:
            return Offered(channel)
        case {"type": "StasisEnd", "channel": {"id": str(channel)}}:
            return Left(channel)
        case {"type": "ChannelDestroyed", "channel": {"id": str(channel)}, "cause": int(cause)}:
            return Destroyed(channel, cause)
        case {"type": "ApplicationReplaced"}:
            return Replaced()
        case {"type": "ChannelUserevent", "eventname": str(name)}:
            return Echo(name)
        case _:
            return None


def _seconds(value: object) -> float | None:
    try:
        return datetime.fromisoformat(text(value)).timestamp()
    except (ValueError, OverflowError):
        return None


def text(value: object) -> str:
    """This text; nothing for what is none. Not str(): lists within lists by the hundred have a text that Python does not write."""
    return value if isinstance(value, str) else ""
