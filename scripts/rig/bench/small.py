"""The small work through Tillit's own client: answer, play, five digits and `#`, back to the dialplan."""

from __future__ import annotations

import asyncio
import os
import sys
from time import monotonic

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import logs
from ivr.asterisk.ari import Ari
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.digits import Form
from ivr.call.keypad import Keypad
from ivr.call.progress import Progress
from ivr.config import Log
from ivr.prompts import Prompt
from ivr.secret import Secret

_FORM = Form(5, 20, 10.0, 5.0)


async def _answer(log: FilteringBoundLogger, line: AriLine) -> None:
    async with line.up():
        await line.answer()
        keypad = Keypad(line, language="en", slips=3, watchdog=60, clock=monotonic, log=log)
        await keypad.ask("pin", (Prompt.ASK_PIN,), _FORM)
        await line.hand_back(watch=False)


async def _serve(url: str) -> None:
    log = logs.setup(Log(level="INFO"))
    password = Secret(os.environ["ARI_PASSWORD"])
    ari = Ari(url=url, username="tillit", password=password, app="bench", seconds=5.0, log=log)
    await ari.open()

    async def settled() -> None:
        return

    async def marked() -> frozenset[str]:
        return frozenset()

    async def disown(_: str) -> bool:
        return False

    async def take_up(_channel: str, _gone: bool) -> Progress | None:
        return None

    async def answer(line: AriLine, _: Progress | None) -> None:
        await _answer(log, line)

    telephony = Telephony(
        ari,
        node="bench",
        seconds=5.0,
        country="SE",
        answer=answer,
        marked=marked,
        disown=disown,
        records=Records(marked, take_up, settled),
        log=log,
    )
    await ari.listen(telephony)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))
