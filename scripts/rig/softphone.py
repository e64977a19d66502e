"""A SIP softphone in a process of its own, driven by JSON lines; `rig.phone` is its client.

A process of its own because pjsip ends the process it lives in when an assertion fails. Each line on
stdin, after one with the settings, is a command `{"id": 1, "do": "call", …}`, answered by
`{"reply": 1, …}`; what happens comes as `{"event": "incoming", "at": …, "call": …, …}`. `at` is
CLOCK_MONOTONIC in seconds, the same in every process of the machine. The end of stdin ends the phone.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

import pjsua2 as pj  # type: ignore[import-untyped]  # the library has no types

from rig.leg import Account, Leg

_POLL_MS = 5
# The kernel ends a phone that hangs in pjsip's code this long, for nobody else would.
_HANG_SECONDS = 30


class Softphone:
    """The endpoint, its account, its calls, and the loop that serves them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: dict[int, Leg] = {}
        self.endpoint = pj.Endpoint()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._open = True
        self._input = b""
        self._output = os.dup(1)
        os.dup2(2, 1)  # whatever the library prints must not mix with the answers

    def emit(self, event: str, call: int | None = None, **fields: Any) -> None:
        """Report what happened, with the time."""
        self._write({"event": event, "at": time.monotonic(), "call": call, **fields})

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do `action` after `delay` seconds."""
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), action))

    def number(self) -> int:
        """Return the number of a new call, counted from 1."""
        return next(self._numbers)

    def run(self) -> None:
        """Serve until stdin ends."""
        account = self._start()
        while self._open:
            signal.alarm(_HANG_SECONDS)
            self.endpoint.libHandleEvents(_POLL_MS)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
            if select.select([0], [], [], 0)[0]:
                self._read(account)
        self._stop(account)

    def _start(self) -> Account:
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "tillit-rig"
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        config.logConfig.consoleLevel = 0
        config.logConfig.level = 4
        config.logConfig.filename = self.settings["log"]
        self.endpoint.libCreate()
        self.endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.boundAddress = transport.publicAddress = "127.0.0.1"
        self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        return Account(self)

    def _stop(self, account: Account) -> None:
        # pjsip aborts when recorders or calls outlive it, so they go first and in this order.
        self.endpoint.hangupAllCalls()
        end = time.monotonic() + 2
        while self.calls and time.monotonic() < end:
            self.endpoint.libHandleEvents(_POLL_MS)
        for leg in list(self.calls.values()):
            leg.drop_media()
        self.calls.clear()
        account.leave()
        while account.registered and time.monotonic() < end:
            self.endpoint.libHandleEvents(_POLL_MS)
        account.shutdown()
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)  # else it idles for a second

    def _read(self, account: Account) -> None:
        data = os.read(0, 65_536)
        if not data:
            self._open = False
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            try:
                answer = self._do(account, command)
            except (pj.Error, ValueError) as error:
                text = error.info() if isinstance(error, pj.Error) else str(error)
                self._write({"reply": command["id"], "error": text})
            else:
                self._write({"reply": command["id"], **(answer or {})})

    def _do(self, account: Account, command: dict[str, Any]) -> dict[str, Any] | None:
        match command["do"]:
            case "register":
                account.setRegistration(True)
            case "call":
                leg = Leg(account, self)
                leg.dial(command["to"], command["headers"], command["from"])
                return {"call": leg.key}
            case "transfer" if command["to_call"] is not None:
                self._leg(command["call"]).xferReplaces(self._leg(command["to_call"]), pj.CallOpParam(True))
            case name:
                self._leg(command["call"]).do(name, command)
        return None

    def _leg(self, key: int) -> Leg:
        if key not in self.calls:
            raise ValueError(f"call {key} has ended")
        return self.calls[key]

    def _write(self, message: dict[str, Any]) -> None:
        os.write(self._output, json.dumps(message).encode() + b"\n")


def _first_line() -> bytes:
    # Byte by byte: what a buffer held back, `select` would never see.
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            raise SystemExit("no settings")
        line += piece
    return line


if __name__ == "__main__":
    Softphone(json.loads(_first_line())).run()
