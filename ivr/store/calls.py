"""What stands in Redis of each call: its mark, and how far it is."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import fields, replace

import orjson

from ivr.call.mark import Mark
from ivr.call.outcome import Status
from ivr.call.progress import Progress
from ivr.errors import StoreError, TakenUp
from ivr.store.link import Link, Script
from ivr.store.news import news_of_call, topic
from ivr.store.waits import ended_key

BEGIN = Script("clock", "record", "begin")
NOTE = Script("record", "note")
END = Script("end")
RECORDED = Script("clock", "record", "recorded")
TAKE_UP = Script("take_up")
DROP_MARK = Script("drop_mark")
MARKED = Script("clock", "marked")
GLANCE = Script("glance")
TAKE_AWAY = Script("take_away")
SCRIPTS = (BEGIN, NOTE, END, RECORDED, TAKE_UP, DROP_MARK, MARKED, TAKE_AWAY, GLANCE)

# Channels in one round trip.
_AT_ONCE = 200

Glance = tuple[Mark | None, Progress | None, Status | None]

# How many ends are remembered while Redis is away. A record whose end is not is found as one that was left over, and
# what is told of it then is in the trail already.
_MOST_UNENDED = 10_000

# In their order; the holder stands beside it in the record, and so does how often it was taken up.
_FIELDS = tuple(field.name for field in fields(Progress) if field.name not in ("holder", "taken"))


class Calls:
    """The part of `RedisLive` that knows calls by their channels. A record is its `holder`'s: nobody else changes it."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        # those whose end Redis was not there for, by holder
        self._unended: dict[str, Progress] = {}

    # ------------------------------------------------------------ records

    async def begin(self, progress: Progress) -> None:
        """Make the record, and drop the mark of an earlier round."""
        await self._link.run(BEGIN, self._call_keys(progress), progress.channel, progress.holder, said(progress))

    async def note(self, progress: Progress) -> None:
        """Change the record. Raises `TakenUp` where it is another session's by now."""
        if await self._link.run(NOTE, [self._record_key(progress)], progress.holder, said(progress)) == [b"taken"]:
            raise TakenUp

    async def end(self, progress: Progress) -> None:
        """Remove the record; the mark stays. Where that fails, `settle` does it later."""
        self._remember(progress)
        await self._link.run(END, self._call_keys(progress)[2:], progress.channel, progress.holder)
        self._unended.pop(progress.holder, None)

    async def settle(self) -> None:
        """Remove the records that could not be removed when their calls ended."""
        for progress in tuple(self._unended.values()):
            await self.end(progress)

    async def elsewhere(self, progress: Progress) -> bool:
        """Whether another session goes on with this very round. Raises `StoreError`."""
        match await self._link.ask("HMGET", self._record_key(progress), "holder", "said"):
            case [bytes(holder), bytes(text)]:
                return (
                    _understood(text, holder.decode(), 0).round == progress.round and holder.decode() != progress.holder
                )
            case _:
                # there is none any more
                return False

    async def progress(self, node: str, channel: str) -> Progress | None:
        """How far the call of this channel is; None where it is not in the application, and owes nothing."""
        match await self._link.ask("HMGET", self._key("call", f"{node}:{channel}"), "holder", "said"):
            case [holder, text]:
                return _progress(holder, text, node, channel)
            case _:
                return None

    async def recorded(self, node: str, app: str) -> frozenset[str]:
        """The channels with a record, of this application of this node."""
        return _channels(RECORDED, await self._link.run(RECORDED, [self._calls_key(node, app)]), b"recorded")

    async def take_up(self, node: str, app: str, channel: str, *, gone: bool) -> Progress | None:
        """Become the holder of this call; None where there is no record of it.

        `gone`: the call has left the application, and a mark of its may be in force. Else what there is of a mark goes.
        """
        holder = secrets.token_urlsafe(12)
        keys = [*self._mark_keys(node, channel), self._key("call", f"{node}:{channel}"), self._calls_key(node, app)]
        match await self._link.run(TAKE_UP, keys, channel, holder, int(gone), app):
            case [b"none"]:
                return None
            case [b"taken", bytes(text), int(taken)]:
                found = _understood(text, holder, taken)
                # A node's name may hold a colon, and so two channels of two nodes share a key.
                return found if (found.app, found.node, found.channel) == (app, node, channel) else None
            case _:
                raise _strange(TAKE_UP)

    # ------------------------------------------------------------ marks

    async def mark(self, node: str, channel: str) -> Mark | None:
        """The mark of this channel; None where there is none, or no longer."""
        return _mark(await self._link.ask("GET", self._mark_keys(node, channel)[0]), node, channel)

    async def marks(self, channels: Sequence[tuple[str, str]]) -> list[Mark | None]:
        """`mark` of each of these channels, with its node: in one round trip."""
        if not channels:
            return []
        keys = [self._mark_keys(node, channel)[0] for node, channel in channels]
        match await self._link.ask("MGET", *keys):
            case [*texts] if len(texts) == len(channels):
                return [_mark(text, *channel) for text, channel in zip(texts, channels, strict=True)]
            case _:
                raise StoreError("Redis gave no list of marks")

    async def glance(self, channels: Sequence[tuple[str, str]]) -> list[Glance]:
        """Of each of these channels, with its node, `mark`, `progress`, and how the last one in mid-call ended: many in one round trip."""
        found: list[Glance] = []
        for at in range(0, len(channels), _AT_ONCE):
            some = channels[at : at + _AT_ONCE]
            keys = [key for node, channel in some for key in self._glance_keys(node, channel)]
            answer = await self._link.run(GLANCE, keys)
            if len(answer) != 1 + 4 * len(some):
                raise _strange(GLANCE)
            told = answer[1:]
            for (node, channel), mark, holder, text, ended in zip(
                some, told[0::4], told[1::4], told[2::4], told[3::4], strict=True
            ):
                status = Status(ended.decode()) if isinstance(ended, bytes) else None
                found.append((_mark(mark, node, channel), _progress(holder, text, node, channel), status))
        return found

    async def drop_mark(self, progress: Progress, *, over: bool) -> None:
        """Remove the mark, unless the call is another session's by now; the record too where the call is `over`.

        Where that fails, the mark is swept later, and `settle` removes the record.
        """
        if over:
            self._remember(progress)
        await self._dropped(self._call_keys(progress), progress.channel, progress.holder, over=over)
        self._unended.pop(progress.holder, None)

    async def take_away(self, mark: Mark) -> bool:
        """Remove this very mark, whoever runs the call; False where another one, or none, is there."""
        answer = await self._link.run(
            TAKE_AWAY, self._mark_keys(mark.node, mark.channel), mark.nonce, mark.channel,
            topic(self._prefix), news_of_call(mark.node, mark.channel),
        )  # fmt: skip
        return answer == [b"taken"]

    async def disown(self, node: str, channel: str) -> bool:
        """Remove the mark, whoever runs the call; whether there was one."""
        keys = [*self._mark_keys(node, channel), *[self._key("call", f"{node}:{channel}")] * 2]
        return await self._dropped(keys, channel, "", over=False)

    async def marked(self, node: str) -> frozenset[str]:
        """The channels of this node that have a mark."""
        return _channels(MARKED, await self._link.run(MARKED, [self._key("marks", node)]), b"marked")

    # ------------------------------------------------------------ inside

    def _remember(self, ended: Progress) -> None:
        self._unended[ended.holder] = ended
        if len(self._unended) > _MOST_UNENDED:
            del self._unended[next(iter(self._unended))]

    async def _dropped(self, keys: list[str], channel: str, holder: str, *, over: bool) -> bool:
        match await self._link.run(DROP_MARK, keys, channel, holder, int(over)):
            case [b"dropped", int(count)]:
                return count > 0
            case _:
                raise _strange(DROP_MARK)

    def _mark_keys(self, node: str, channel: str) -> list[str]:
        """Those of the mark, and of the node's list of marks."""
        return [self._key("mark", f"{node}:{channel}"), self._key("marks", node)]

    def _glance_keys(self, node: str, channel: str) -> tuple[str, str, str]:
        name = f"{node}:{channel}"
        return self._key("mark", name), self._key("call", name), ended_key(self._prefix, node, channel)

    def _call_keys(self, progress: Progress) -> list[str]:
        """Those of the mark, of the record, and of the application's calls."""
        marks = self._mark_keys(progress.node, progress.channel)
        return [*marks, self._record_key(progress), self._calls_key(progress.node, progress.app)]

    def _record_key(self, progress: Progress) -> str:
        return self._key("call", f"{progress.node}:{progress.channel}")

    def _calls_key(self, node: str, app: str) -> str:
        return self._key("calls", f"{node}:{app}")

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"


def said(progress: Progress | None) -> bytes:
    """What is written of it; nothing for None."""
    if progress is None:
        return b""
    # not asdict(): it copies each value, and this is written at every step of every call
    return orjson.dumps({name: getattr(progress, name) for name in _FIELDS})


def _mark(written: object, node: str, channel: str) -> Mark | None:
    if not isinstance(written, bytes):
        return None
    try:
        found = orjson.loads(written)
        mark = Mark(**{**found, "methods": tuple(found["methods"])})
    except (ValueError, TypeError, KeyError):
        raise StoreError("Redis: what stands for the mark is none") from None
    # A node's name may hold a colon, and so two channels of two nodes share a key.
    return mark if (mark.node, mark.channel) == (node, channel) else None


def _progress(holder: object, text: object, node: str, channel: str) -> Progress | None:
    if not isinstance(holder, bytes) or not isinstance(text, bytes):
        return None
    found = _understood(text, holder.decode(), 0)
    return found if (found.node, found.channel) == (node, channel) else None


def _understood(text: bytes, holder: str, taken: int) -> Progress:
    try:
        read = orjson.loads(text)
        lock = read["lock"]
        progress = Progress(**read, holder=holder, taken=taken)
        return replace(progress, steps=tuple(progress.steps), lock=None if lock is None else (lock[0], lock[1]))
    except (ValueError, TypeError, KeyError, IndexError):
        raise StoreError("Redis: what stands for a call's record is none") from None


def _channels(script: Script, answer: list[object], word: bytes) -> frozenset[str]:
    match answer:
        case [first, list(channels)] if first == word:
            return frozenset(channel.decode() for channel in channels if isinstance(channel, bytes))
        case _:
            raise _strange(script)


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")
