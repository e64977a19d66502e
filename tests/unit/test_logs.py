"""The log's lines: all of them arrive, in their order, whatever ends the process."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
from rig.state import CHECKOUT

PROGRAM = """
import asyncio, sys
from ivr.config import Log
from ivr.logs import setup

log = setup(Log(format="json"))
log.info("before")

def last(loop):
    loop.stop()
    log.info("first"), log.info("second")

async def work():
    loop = asyncio.get_running_loop()
    log.info("within")
    if sys.argv[1] == "returns":
        return
    if sys.argv[1] == "raises":
        raise SystemExit(3)
    loop.call_soon(last, loop)
    await asyncio.sleep(60)

loop = asyncio.new_event_loop()
if sys.argv[1] == "stops":
    task = loop.create_task(work())
    loop.run_forever()
else:
    loop.run_until_complete(work())
log.info("after")
"""


@pytest.mark.parametrize(
    ("way", "events"),
    [
        ("returns", ["before", "within", "after"]),
        ("raises", ["before", "within"]),
        ("stops", ["before", "within", "first", "second", "after"]),
    ],
)
def test_no_line_is_lost_when_the_loop_ends(way: str, events: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, way], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert [orjson.loads(line)["event"] for line in ended.stdout.splitlines()] == events
