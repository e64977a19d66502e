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


LIBRARIES = """
import asyncio, logging
from structlog.contextvars import bind_contextvars
from ivr.config import Log
from ivr.logs import setup

setup(Log(format="json"))

async def call():
    bind_contextvars(call="1795318424.31")
    try:
        raise ValueError("two\\nlines")
    except ValueError:
        logging.getLogger("asyncio").exception("of %s", "a library")
    logging.getLogger("aiohttp.server").warning("a header that is no text: %s", b"\\xff".decode(errors="surrogateescape"))

asyncio.run(call())
"""


def test_what_a_library_says_is_a_line_of_json_too_and_names_the_call() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIBRARIES], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, timeout=60, check=True
    )
    line, odd = map(orjson.loads, ended.stderr.splitlines())
    assert (line["event"], line["level"], line["call"]) == ("library", "error", "1795318424.31")
    assert line["library"] == "asyncio" and "ValueError: two\nlines" in line["text"] and line["at"].endswith("Z")
    assert odd["text"] == "a header that is no text: \\udcff"
