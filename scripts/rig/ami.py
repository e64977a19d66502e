"""Listens to a private Asterisk's manager interface (AMI), as a wallboard or a CRM would."""

from __future__ import annotations

import asyncio
from types import TracebackType

from rig.asterisk import Pbx
from rig.ports import HOST
from rig.state import RigError

Message = dict[str, str]


class Ami:
    """Everything that a user is told, usually `watch`; an async context manager. Keeps each message, in order."""

    def __init__(self, pbx: Pbx, user: str = "watch", password: str | None = None) -> None:
        self._pbx = pbx
        self._user, self._password = user, password or pbx.watch_password
        self.messages: list[Message] = []
        self.raw = bytearray()
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Ami:
        reader, self._writer = await asyncio.open_connection(HOST, self._pbx.ami_port)
        await reader.readline()  # the greeting
        self._reading = asyncio.create_task(self._read(reader))
        login = f"Action: Login\r\nUsername: {self._user}\r\nSecret: {self._password}\r\nEvents: on\r\n\r\n"
        self._writer.write(login.encode())
        answer = await self.until("Response")
        if answer["Response"] != "Success":
            raise RigError(f"AMI login: {answer.get('Message', 'refused')} (manager.conf of {self._pbx.folder})")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def events(self, name: str) -> list[Message]:
        """The UserEvents of this name so far."""
        return [message for message in self.messages if message.get("UserEvent") == name]

    async def user_event(self, name: str, *, timeout: float = 10.0, **fields: str) -> Message:
        """Wait for a UserEvent of this name with these fields."""
        return await self.until("UserEvent", name, timeout=timeout, **fields)

    async def until(self, header: str, value: str | None = None, *, timeout: float = 10.0, **fields: str) -> Message:
        """Wait for a message with this header (and value, and other fields)."""
        seen = 0
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for message in self.messages[seen:]:
                        if value is None and header in message:
                            return message
                        if message.get(header) == value and all(
                            message.get(key) == text for key, text in fields.items()
                        ):
                            return message
                    seen = len(self.messages)
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            last = [message.get("UserEvent") or message.get("Event") for message in self.messages[-8:]]
            raise TimeoutError(
                f"waited {timeout:g} s in vain for {header}: {value} {fields}; last were {last}"
            ) from None

    def feed(self, message: Message) -> None:
        """A message has come."""
        self.messages.append(message)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        message: Message = {}
        async for line in reader:
            self.raw += line
            text = line.decode(errors="replace").rstrip("\r\n")
            if text:
                name, _, value = text.partition(": ")
                message[name.rstrip(":")] = value
                continue
            self.feed(message)
            message = {}
            self._news.set()
