"""The manager interface (AMI): clean actions under a time limit, and only the events that are used."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Literal, Self

from panoramisk.actions import Action  # type: ignore[import-untyped]  # the library has no types
from structlog.typing import FilteringBoundLogger

from ivr.asterisk.actions import fault, refusal, shown
from ivr.asterisk.wire import Message, Wire
from ivr.config import AmiSettings, Settings, secret_of, tls
from ivr.errors import AmiError, ConfigError, Unreachable
from ivr.secret import Secret

# Waits before connecting again, in seconds; the last one is repeated.
_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# After so many seconds without one a Ping asks whether anybody is still there.
_PING = 10.0
# Seconds between lines of the log that tell of what a caller has written.
_SAY_AGAIN = 60.0

# The events that can be listened for, and the class of each. CEL, which can hold digits, is of the class `call` too:
# manager.conf's event filter keeps that from the worker, and what nobody listens for is dropped here.
_CLASSES = {
    "UserEvent": "user",
    "QueueMemberAdded": "agent",
    "QueueMemberPause": "agent",
    "QueueMemberRemoved": "agent",
    "QueueMemberStatus": "agent",
    "DeviceStateChange": "call",
    "ExtensionStatus": "call",
    "BridgeDestroy": "call",
    "BridgeEnter": "call",
    "BridgeLeave": "call",
    "Hangup": "call",
    "Hold": "call",
    "Rename": "call",
    "Unhold": "call",
}

Told = Callable[[Message], None]


class Ami:
    """One login on one Asterisk: `on`, then `open`, then `close`. It connects again by itself, with growing waits.

    What was asked for when a connection is lost is not asked for again: it may have been done.
    """

    def __init__(
        self,
        settings: AmiSettings,
        password: Secret,
        *,
        log: FilteringBoundLogger,
        place: str = "[asterisk.ami]",
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        """`place` is where the settings came from, for errors: file and table. `trusted`: whose certificates are good."""
        self._trusted = trusted
        self._settings = settings
        self._password = password
        self._log = log
        self._place = place
        self._told: dict[str, list[Told]] = defaultdict(list)
        self._came: list[Callable[[], None]] = []
        self._went: list[Callable[[], None]] = []
        self._wire: Wire | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        self._wary = False
        self._forged_at = float("-inf")
        self.forged = 0
        """Messages that were left out (`beware`)."""

    @classmethod
    def of(
        cls, settings: Settings, place: str, *, name: Literal["ami", "desk"] = "ami", log: FilteringBoundLogger
    ) -> Self:
        """That of the settings' table, such as `[asterisk]`, which has one of this name. Raises `ConfigError` where password or CA are not there."""
        asterisk, table = settings.asterisks[place], f"{place[:-1]}.{name}]"
        own = asterisk.ami if name == "ami" else asterisk.desk
        assert own is not None
        password = secret_of(settings, f"{table} password", own.password_file, own.password_env)
        if password is None:
            raise ConfigError(
                f"{settings.file}: {table} password_file",
                "is missing",
                "Name the file that holds the secret of the user in manager.conf, or remove the table",
            )
        trusted = tls.context(settings, table, own.ca_file) if own.tls else None
        return cls(own, password, log=log, place=f"{settings.file}: {table}", trusted=trusted)

    @property
    def place(self) -> str:
        """Where its settings came from: file and table."""
        return self._place

    @property
    def connected(self) -> bool:
        """Whether it is logged in."""
        return self._wire is not None

    def on(self, event: str, told: Told) -> None:
        """Call this at each such event; it must not wait. Before `open`, for then the events are asked for."""
        if event not in _CLASSES or self._keeping is not None:
            raise ValueError(f"AMI's event {event} cannot be listened for, or not any more")
        self._told[event].append(told)

    def beware(self) -> None:
        """Leave out what is told of a channel and a caller may have written. Before `open`."""
        self._wary = True

    def on_link(self, *, came: Callable[[], None], went: Callable[[], None]) -> None:
        """Call these when it has logged in, also anew, and when the connection was lost. Before `open`."""
        self._came.append(came)
        self._went.append(went)

    async def open(self, *, patient: bool = False) -> None:
        """Connect and log in.

        Raises `ConfigError` where Asterisk refuses the login, and `Unreachable` where no AMI answers in time, unless
        it may be patient: then it goes on trying.
        """
        try:
            await self._connect()
        except Unreachable as error:
            if not patient:
                raise
            self._failed(error)
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Log off and connect no more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.end()

    async def action(self, name: str, **fields: str | int) -> list[Message]:
        """All messages of the answer: the response, and the events of a list behind it.

        Raises `AmiError` with the action and Asterisk's short status, never a value: refused, no answer in time, not
        connected, or a field that would not arrive as it is.
        """
        if self._wire is None:
            raise AmiError(shown(name), "not connected")
        return await self._ask(self._wire, name, fields)

    async def user_event(self, name: str, **fields: str | int) -> None:
        """Tell everyone who hears the class `user`. What is told of a call goes by ARI, which adds the channel's fields."""
        await self.action("UserEvent", **{"UserEvent": name, **fields})

    # ------------------------------------------------------------ the link

    async def _keep(self) -> None:
        """Stay connected, for ever."""
        failures = 0
        while True:
            if self._wire is not None:
                since = monotonic()
                await self._stay(self._wire)
                if monotonic() - since > _WAITS[-1]:
                    failures = 0
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
            failures += 1
            try:
                await self._connect()
            except ConfigError as error:
                self._failed(error)

    async def _stay(self, wire: Wire) -> None:
        """Return when the connection is lost, or nobody answers on it."""
        while not wire.lost.done():
            await asyncio.wait((wire.lost,), timeout=_PING)
            try:
                await self._ask(wire, "Ping", {})
            except AmiError:
                await wire.end()
        self._wire = None
        for went in self._went:
            went()
        self._log.warning("ami.disconnected")

    async def _connect(self) -> None:
        host, port = self._settings.host, self._settings.port
        wire: Wire | None = None
        try:
            async with asyncio.timeout(self._settings.seconds):
                _, wire = await asyncio.get_running_loop().create_connection(
                    lambda: Wire(self._tell, self._found if self._wary else None), host, port, ssl=self._trusted
                )
                greeted = await wire.greeted
        except (OSError, TimeoutError) as error:
            if wire is not None:
                await wire.end()
            if (why := tls.fault(error)) is not None:
                raise Unreachable(f"{self._place} ca_file", f"{host}:{port}: {why}", tls.CURE) from None
            raise Unreachable(
                f"{self._place} host, port", f"no answer from {host}:{port} ({type(error).__name__})",
                "Start Asterisk, enable manager.conf, or mend host and port",
            ) from None  # fmt: skip
        if not greeted:
            await wire.end()
            raise Unreachable(
                f"{self._place} host, port", f"what answers at {host}:{port} is not AMI",
                "Name the port that manager.conf has, 5038 unless changed",
            )  # fmt: skip
        try:
            await self._log_in(wire)
        except BaseException:
            await wire.end()
            raise
        self._wire = wire
        self._trouble = None
        self._log.info("ami.connected", host=host, port=port)
        for came in self._came:
            came()

    async def _log_in(self, wire: Wire) -> None:
        """The password itself is not sent: what answers there may be somebody else."""
        classes = sorted({_CLASSES[event] for event in self._told})
        try:
            challenge = (await self._ask(wire, "Challenge", {"AuthType": "MD5"}))[0].get("Challenge", "")
            key = hashlib.md5(f"{challenge}{self._password.reveal()}".encode(), usedforsecurity=False).hexdigest()
            login = {"AuthType": "MD5", "Username": self._settings.username, "Key": key}
            await self._ask(wire, "Login", {**login, "Events": ",".join(classes) or "off"})
        except AmiError as error:
            if error.refused:
                raise ConfigError(
                    f"{self._place} username, password_file",
                    "Asterisk does not know this user, or not with this password, or not from this address",
                    "Compare them, and permit, with manager.conf, and type: asterisk -rx 'manager reload'",
                ) from None
            raise Unreachable(
                f"{self._place} host, port", f"no answer to the login ({error.status})", "Look into Asterisk's log"
            ) from None

    def _failed(self, error: ConfigError) -> None:
        """Once for each kind of trouble: it is tried often."""
        if self._trouble == error.problem:
            return
        self._trouble = error.problem
        if isinstance(error, Unreachable):
            self._log.warning("ami.unreachable", error=error.problem, cure=error.cure)
        else:
            self._log.error("ami.refused", error=error.problem, cure=error.cure)

    # ------------------------------------------------------------ actions and events

    async def _ask(self, wire: Wire, name: str, fields: Mapping[str, str | int]) -> list[Message]:
        if (problem := fault(name, fields)) is not None:
            raise AmiError(shown(name), problem)
        try:
            async with asyncio.timeout(self._settings.seconds):
                messages = await wire.ask(
                    Action({"Action": name, **{key: str(value) for key, value in fields.items()}})
                )
        except TimeoutError:
            raise AmiError(name, "no answer in time") from None
        if not messages:
            raise AmiError(name, "connection lost")
        if messages[0].get("Response") != "Success":
            raise AmiError(name, refusal(messages[0], fields), refused=True)
        return messages

    def _found(self) -> None:
        self.forged += 1
        # who does that can do it all the time
        if monotonic() - self._forged_at > _SAY_AGAIN:
            self._forged_at = monotonic()
            self._log.warning("ami.forged", messages=self.forged)

    def _tell(self, event: Message) -> None:
        for told in self._told.get(event.get("Event", ""), ()):
            try:
                told(event)
            except Exception as error:  # noqa: BLE001  # one listener's fault is not the others'
                # the text of an error that nobody expected may hold anything
                self._log.error("task.failed", error=type(error).__name__, code=event["Event"])
