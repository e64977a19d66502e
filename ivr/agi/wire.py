"""One FastAGI connection: the header that Asterisk sends, then commands and their answers, all within limits."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from secrets import token_hex
from typing import Self
from urllib.parse import parse_qs

from ivr.errors import AgiError, AgiRefused, HungUp

LINE_BYTES = 4096
"""The longest line that is read. Asterisk's own buffer for one is 2048."""

# About 22 that Asterisk always sends, and at most 127 arguments.
_HEADER_LINES = 160
_ARGUMENT = "agi_arg_"
# The longest usage text of a command that we know of has about 30.
_ANSWER_LINES = 100
# Asterisk's AST_MAX_UNIQUEID.
_CHANNEL_LENGTH = 150


@dataclass(frozen=True, slots=True)
class Request:
    """What `AGI(agi://HOST/SCRIPT?policy=POLICY,ARGUMENT)` asks for, on this channel (its uniqueid)."""

    script: str
    policy: str
    channel: str

    @classmethod
    def of(cls, header: dict[str, str]) -> Self:
        """Raises `AgiRefused` where that is no request, or no channel."""
        script, _, query = header.get("agi_network_script", "").partition("?")
        channel = header.get("agi_uniqueid", "")
        if not channel or len(channel) > _CHANNEL_LENGTH or not channel.isprintable():
            raise AgiRefused("rubbish")
        try:
            named = parse_qs(query, max_num_fields=8).get("policy", [""])[0]
        except ValueError:
            raise AgiRefused("rubbish") from None
        return cls(script.strip("/"), header.get("agi_arg_1") or named, channel)


@dataclass(frozen=True, slots=True)
class Answer:
    """Asterisk's answer: its code, and the number behind `result=`. The rest may hold anything and is not kept."""

    code: int
    result: int | None

    @property
    def done(self) -> bool:
        """Whether the command was carried out."""
        return self.code == 200 and self.result is not None and self.result >= 0


class Wire:
    """Reads and writes one connection. Any method raises `AgiRefused` where that is not AGI, and `HungUp`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`reader` with `limit=LINE_BYTES`."""
        self._reader = reader
        self._writer = writer

    async def request(self) -> Request:
        """Read the header to its end. Whoever does not speak AGI is found out by the first line."""
        header: dict[str, str] = {}
        for _ in range(_HEADER_LINES):
            line = await self._line()
            if not line:
                return Request.of(header)
            name, separator, value = line.partition(":")
            if not separator or not name.startswith("agi_"):
                raise AgiRefused("rubbish")
            # A line break in a caller's number is one here too, and what is behind it of the caller's own making: it
            # stands there twice, or is an argument and not at the end.
            if name in header or (not name.startswith(_ARGUMENT) and any(one.startswith(_ARGUMENT) for one in header)):
                raise AgiRefused("rubbish")
            header[name] = value.removeprefix(" ")
        raise AgiRefused("too_long")

    async def prove(self, channel: str) -> None:
        """Raises `AgiRefused` where Asterisk does not say itself that it is this channel.

        A caller whose number has line breaks can end the header, and write what comes behind it: nothing that was not
        known before, so not what is asked for here.
        """
        nonce = token_hex(8)
        answer, line = await self._ask("GET FULL VARIABLE", f"{nonce}${{UNIQUEID}}")
        if not answer.done or not line.endswith(f"({nonce}{channel})"):
            raise AgiRefused("rubbish")

    async def exec(self, application: str, arguments: str) -> Answer:
        """Run an application of the dialplan."""
        return (await self._ask("EXEC", application, arguments))[0]

    async def set(self, variable: str, value: str) -> None:
        """Set a variable of the channel; raises `AgiError` where it was not set."""
        answer, _ = await self._ask("SET VARIABLE", variable, value)
        if not answer.done:
            raise AgiError(f"SET VARIABLE: {answer.code}")

    async def node(self) -> str:
        """The name of the Asterisk at the other end, which no variable of a channel can hide. Raises `AgiError`."""
        answer, line = await self._ask("GET FULL VARIABLE", "${ENTITYID}")
        found = re.search(r"\((.*)\)$", line)
        if not answer.done or found is None:
            raise AgiError(f"GET FULL VARIABLE: {answer.code}")
        return found[1]

    async def tell(self, text: str) -> None:
        """A line in Asterisk's console."""
        await self._ask("VERBOSE", f"Tillit: {text}", "1")

    # ------------------------------------------------------------ inside

    async def _ask(self, command: str, *words: str) -> tuple[Answer, str]:
        line = " ".join((command, *map(_quoted, words)))
        try:
            self._writer.write(line.encode() + b"\n")
            await self._writer.drain()
        except OSError:
            raise AgiRefused("cut_off") from None
        answer = await self._line()
        if answer.startswith("HANGUP"):
            # it may come without an end of line, before whatever comes next
            raise HungUp("the caller of AGI()")
        found = re.match(r"(\d{3})(?:-| (?:result=(-?\d{1,9})\b)?)", answer)
        if found is None:
            raise AgiRefused("rubbish")
        code, result = found.groups()
        if answer.startswith(f"{code}-"):
            # a usage text of many lines, which the code without the dash ends
            for _ in range(_ANSWER_LINES):
                if (await self._line()).startswith(f"{code} "):
                    return Answer(int(code), None), ""
            raise AgiRefused("too_long")
        return Answer(int(code), None if result is None else int(result)), answer

    async def _line(self) -> str:
        try:
            line = await self._reader.readline()
        except ValueError:
            raise AgiRefused("too_long") from None
        except OSError:
            raise AgiRefused("cut_off") from None
        if not line.endswith(b"\n"):
            if line.startswith(b"HANGUP"):
                raise HungUp("the caller of AGI()")
            raise AgiRefused("cut_off")
        return line.decode(errors="replace").rstrip("\r\n")


def _quoted(word: str) -> str:
    """As AGI reads a word that may hold anything but an end of line."""
    if not word.isprintable():
        raise AgiError("a value that cannot be sent")
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
