"""CIBA's ping (Core 1.0, 10.2): a broker posts to the public address that it is time to look, and whoever waits for that order does.

It comes to one process, and another one may wait for it. What is told from the one to the other has neither the token nor the
order in it, and only whoever has made both knows them again: of a forged ping nothing comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

import orjson

from ivr.secret import Secret

WAY = "ciba"
"""Of the address `/in/WAY/NAME` that a broker is told to post to."""

# RFC 6750 2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Ping:
    """What a broker says, not verified in any way."""

    broker: str
    token: Secret
    order: Secret

    @property
    def words(self) -> bytes:
        """As it is told to whoever waits."""
        return orjson.dumps({"token": _known_by(self.broker, self.token), "order": _known_by(self.broker, self.order)})


def read(brokers: Collection[str], name: Secret, headers: Mapping[str, str], body: Secret) -> Ping | None:
    """What was posted to `/in/ciba/NAME`; None where it is no ping, or `name` is none of these brokers."""
    broker = next((one for one in brokers if Secret(one) == name), None)
    kind, _, token = headers.get("authorization", "").partition(" ")
    if broker is None or kind.lower() != "bearer" or _TOKEN.fullmatch(token.strip()) is None:
        return None
    try:
        said = orjson.loads(body.reveal())
    except orjson.JSONDecodeError:
        return None
    match said:
        case {"auth_req_id": str(order)} if order:
            return Ping(broker, Secret(token.strip()), Secret(order))
        case _:
            return None


class Expected:
    """The ping of one order. It counts once."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._order: str | None = None
        self._early: str | None = None
        self._told = asyncio.Event()

    def of(self, order: Secret) -> None:
        """That is the order. A ping may be quicker than the answer that names it."""
        self._order = _known_by(self._broker, order)
        if self._early == self._order:
            self._told.set()

    def hear(self, order: str) -> None:
        """A ping with this one's token has come."""
        self._early = order
        if order == self._order:
            self._told.set()

    async def came(self) -> None:
        """Returns when it is time to look."""
        await self._told.wait()


class Pings:
    """Those that are waited for in this process."""

    def __init__(self) -> None:
        # whoever waits no longer is not told of anything
        self._expected: WeakValueDictionary[str, Expected] = WeakValueDictionary()

    def expect(self, broker: str, token: Secret) -> Expected:
        """One that will have this token; as long as it is held."""
        made = self._expected[_known_by(broker, token)] = Expected(broker)
        return made

    def told(self, words: bytes) -> None:
        """What was said of a ping, wherever that has come to."""
        try:
            said = orjson.loads(words)
        except orjson.JSONDecodeError:
            return
        match said:
            case {"token": str(token), "order": str(order)} if (found := self._expected.get(token)) is not None:
                found.hear(order)
            case _:
                pass


def _known_by(broker: str, secret: Secret) -> str:
    """Of one broker's: another one's token, were it the same, is another."""
    return hashlib.sha256(f"{broker}\0{secret.reveal()}".encode(errors="surrogatepass")).hexdigest()
