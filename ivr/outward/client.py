"""HTTP as gateways and providers are asked: one exchange under limits, tried again where it was not taken for certain.

What aiohttp raises holds addresses and headers. None of it leaves this file: what went wrong is said in words.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import random
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr import __version__
from ivr.errors import TextError, Unavailable
from ivr.outward.address import AddressError, Addresses, Resolver
from ivr.secret import Secret

# Seconds for a connection to stand. The first packet is sent again after one (RFC 6298 2.1); one loss must not be the end.
_CONNECT = 3.0
# Bytes of an answer. Those of the gateways have about one thousand.
_MOST = 64 * 1024
# Tries, and seconds before the second, twice as many before each that follows, give or take half: workers that were
# refused together do not come back together. Three tries take about a second: the caller is waiting, and there may be a
# second gateway.
_TRIES = 3
_WAIT = 0.3
# A peer that asks for more than this is not waited for.
_LONGEST_WAIT = 2.0
# "Not now": the request was not looked at (RFC 6585 4, RFC 9110 15.6.4), so the text cannot go out twice.
_NOT_NOW = {429: "too many requests", 503: "not available"}

# What the system reads as part of an address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)

_RANDOM = random.SystemRandom()

_PRIVATE = "its name leads to a private address, which allow_private does not name"


# A gateway has answered by then, or will not; and so many pieces of memory of one size are used for something else.
_FREED_SECONDS = 1.0
_PIECES = 2000


def _overwrite(length: int) -> None:
    """What was freed keeps its words until it is used anew, and a code had stood in texts of this length: use it anew."""
    for size in {length, length + 16, length - 16}:
        [" " * max(size, 2) for _ in range(_PIECES)]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; nothing of it can be shown. `at`: the path below the client's own URL, where it has more than one; or another URL.

    `body` is of bytes where it is encrypted already.
    """

    headers: Mapping[str, Secret]
    body: Secret | bytes = field(repr=False)
    method: str = "POST"
    at: str | URL = ""


class _Body(aiohttp.BytesPayload):
    """A body that can be wiped. aiohttp copies a short one behind the headers, and nobody wipes that copy."""

    def __init__(self, words: Secret | bytes) -> None:
        self._bytes = bytearray(words if isinstance(words, bytes) else words.reveal().encode())
        super().__init__(memoryview(self._bytes))

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """The headers first, in a packet of their own."""
        writer.send_headers()
        await super().write_with_length(writer, content_length)

    def wipe(self) -> None:
        """To be called when it was sent, or will not be."""
        self._bytes[:] = bytes(len(self._bytes))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway answered. The body may repeat number and text: take from it what is looked for, and pass on none."""

    status: int
    body: bytes = field(repr=False)

    @property
    def good(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status <= 299

    def json(self) -> object:
        """What it says as JSON; None where it is not."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


@dataclass(frozen=True, slots=True)
class _Fault:
    """An exchange that came to nothing. `wait`: seconds after which it may be tried again; None where it may not.

    Only what was never taken may: the text of a request that was sent, and not answered, may be on its way.
    """

    words: str
    wait: float | None = None


class Client:
    """One peer's HTTP. No redirects, no proxy, no cookies, certificates checked, each request by a connection of its own.

    A connection that is kept may end as it is used again, and nobody knows whether that request was taken.
    """

    def __init__(
        self,
        name: str,
        url: URL,
        addresses: Addresses,
        log: FilteringBoundLogger,
        resolver: AbstractResolver | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        error: type[Unavailable] = TextError,
        most: int = _MOST,
        certified: bool = False,
    ) -> None:
        """`name` is for the log; `url` is where every request goes, `addresses` which of its host's it may go to.

        `tls`: whom to trust, and the own certificate, where it is not what the system trusts; `error`: what is raised;
        `most`: bytes of an answer; `certified`: `tls` has a certificate of ours, and who does not know it ends the connection.
        """
        self._name = name
        self._url = url
        self._addresses = addresses
        # now, and not at the first text: to read all authorities takes a tenth of a second, in which no call goes on
        self._tls = tls or (ssl.create_default_context() if url.scheme == "https" else True)
        self._error = error
        self._most = most
        self._certified = certified
        self._log = log
        self._resolver = resolver
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        """The peer's answer; raises the `error` given where there is none that says yes or no."""
        asyncio.get_running_loop().call_later(_FREED_SECONDS, _overwrite, len(request.body))
        tries = 0
        while True:
            tries += 1
            result = await self._once(request)
            if isinstance(result, Answer):
                return result
            if result.wait is None or tries == _TRIES:
                raise self._error(result.words)
            wait = max(result.wait, _WAIT * 2 ** (tries - 1) * _RANDOM.uniform(0.5, 1.5))
            self._log.info("gateway.retried", gateway=self._name, error=result.words, seconds=round(wait, 1))
            await asyncio.sleep(wait)

    async def reach(self) -> None:
        """Connect as for a text and ask for nothing (HEAD /), without login; raises the `error` given where nobody answers."""
        try:
            async with self._session().head(self._url.origin(), allow_redirects=False):
                return
        except aiohttp.ClientResponseError:
            # it is there, and answers; there are servers that do not know how to answer HEAD
            return
        except (aiohttp.ClientError, OSError) as error:
            words, _ = self._told(error)
        raise self._error(words)

    async def close(self) -> None:
        """End what is open."""
        if self._opened is not None:
            await self._opened.close()

    async def _once(self, request: Request) -> Answer | _Fault:
        url = request.at if isinstance(request.at, URL) else self._url / request.at if request.at else self._url
        if not self._addressed(url):
            return _Fault(_PRIVATE)
        body = _Body(request.body)
        try:
            async with self._session().request(
                request.method,
                url,
                headers={name: value.reveal() for name, value in request.headers.items()},
                data=body if request.body else None,
                allow_redirects=False,
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_chunked(4096):
                    answer += chunk
                    if len(answer) > self._most:
                        return _Fault("its answer is too long")
                return _judged(Answer(response.status, bytes(answer)), response.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError) as error:
            return _Fault(*self._told(error))
        finally:
            body.wipe()

    def _addressed(self, url: URL) -> bool:
        """Whether it may be gone to, as far as its words tell: an address that stands there itself is not resolved."""
        try:
            return self._addresses.allows(ipaddress.ip_address(url.host or ""))
        except ValueError:
            # getaddrinfo takes "2130706433" and "0x7f.1" for addresses, and no name of the internet ends so (RFC 3696 2)
            return not _NUMBER.fullmatch((url.host or "").removesuffix(".").rpartition(".")[2])

    def _told(self, error: Exception) -> tuple[str, float | None]:
        ended = isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
        if self._certified and ended and not isinstance(error, aiohttp.ClientConnectorError):
            # TLS 1.3 has shaken hands by the time the other end looks at our certificate
            return "it ended the connection: does it know our certificate?", None
        return _told(error)

    def _session(self) -> aiohttp.ClientSession:
        """Made at the first text: it belongs to the event loop."""
        if self._opened is None:
            inner = self._resolver or aiohttp.ThreadedResolver()
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=Resolver(inner, self._addresses),
                    use_dns_cache=False,
                    force_close=True,
                    ssl=self._tls,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"tillit/{__version__}", "Accept-Encoding": "identity"},
                # an answer that unpacks to gigabytes is not unpacked
                auto_decompress=False,
                trust_env=False,
            )
        return self._opened


def _judged(answer: Answer, retry_after: str | None) -> Answer | _Fault:
    if 300 <= answer.status <= 399:
        return _Fault(f"it wants to be asked elsewhere ({answer.status}); redirects are not followed")
    if (words := _NOT_NOW.get(answer.status)) is None:
        return answer
    # a date instead of seconds (RFC 9110 10.2.3) is for more than a caller waits
    seconds = 0.0 if retry_after is None else float(retry_after) if retry_after.isdecimal() else _LONGEST_WAIT + 1
    return _Fault(f"{words} ({answer.status})", seconds if seconds <= _LONGEST_WAIT else None)


def _told(error: Exception) -> tuple[str, float | None]:
    """What went wrong, without a value; and when it may be tried again, where nothing was sent."""
    match error:
        case aiohttp.ClientConnectorDNSError(os_error=AddressError()):
            return _PRIVATE, None
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known", 0.0
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not good", None
        case aiohttp.ClientConnectorSSLError():
            return "it does not speak TLS as it should", None
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return "it cannot be connected to", 0.0
        case aiohttp.ClientResponseError():
            return "its answer is not HTTP", None
        case _:
            return "the connection broke before its answer was whole", None


# ---------------------------------------------------------------- what requests are made of


FORM = {"Content-Type": Secret("application/x-www-form-urlencoded")}


def form(fields: Mapping[str, Secret]) -> Secret:
    """Fields as `FORM` has them."""
    return Secret.join(
        Secret(f"{'&' if place else ''}{quote_plus(name)}={quote_plus(value.reveal())}")
        for place, (name, value) in enumerate(fields.items())
    )


def basic(username: str, password: Secret) -> Secret:
    """The value of `Authorization` (RFC 7617)."""
    return Secret("Basic " + base64.b64encode(f"{username}:{password.reveal()}".encode()).decode())
