"""`scripts/demo --keep`, as somebody types it who has just cloned this."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
from rig.stage import CECILIA, DAVID
from rig.state import CHECKOUT, wait_until

pytestmark = pytest.mark.timeout(300)


class Demo:
    """The running command, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def until(self, text: str, limit: float) -> None:
        """Wait until a line says this."""
        wait_until(lambda: any(text in line for line in self.lines) or self.process.poll() is not None, limit, text)
        assert any(text in line for line in self.lines), self.lines

    def link(self, name: str) -> str:
        """That person's: it stands below the name."""
        (at,) = (at for at, line in enumerate(self.lines) if line.strip().startswith(f"{name},"))
        return self.lines[at + 1].strip()

    def processes(self) -> set[int]:
        """All that it has started and that run."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (parent := _parent(int(entry.name))) is not None:
                parents.setdefault(parent, []).append(int(entry.name))
        found, left = {self.process.pid}, [self.process.pid]
        while left:
            more = parents.get(left.pop(), [])
            found.update(more)
            left += more
        return found

    def runs(self, program: str) -> bool:
        """Whether one of them is this program."""
        return any(program.encode() in _command(pid) for pid in self.processes())

    def end(self) -> int:
        """As Ctrl-C does, which goes to all of the terminal's foreground; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        self._reading.join(10)
        return code


def _parent(pid: int) -> int | None:
    """None where there is no such process; one that nobody has waited for yet is none."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@contextmanager
def running(*options: str) -> Iterator[Demo]:
    # whatever has started the tests may ignore Ctrl-C, as a shell has what runs behind it
    command = ["env", "--default-signal=INT", str(CHECKOUT / "scripts" / "demo"), *options]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=dict(os.environ, COLUMNS="300"),
    )  # fmt: skip
    demo = Demo(process)
    try:
        yield demo
    finally:
        if process.poll() is None:
            demo.end()
        assert process.stdout is not None
        process.stdout.close()


class _Page(HTMLParser):
    """The attributes of the desk and of its one call, and all its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.call, self.desk = "", {}, {}  # type: ignore[var-annotated]
        self.feed(text.partition("<template")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("class") == "call":
            self.call = given
        elif given.get("id") == "desk":
            self.desk = given

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_its_links_open_the_desk_once_with_live_calls_and_it_ends_with_nothing_left() -> None:
    with running("--keep") as demo:
        demo.until("Ctrl-C ends it.", 180)
        said = "\n".join(demo.lines)
        assert "All four calls went as they should." in said
        assert "VERIFIED at level 2 by pin and sms_code" in said
        stages = (
            "Your phone rings",
            "Sent",
            "Delivered",
            "Opened",
            "Confirmed: the person knows that it is us",
            "Verified at level 3",
        )
        assert [
            line.rpartition("shows: ")[2] for line in demo.lines if line.rpartition("shows: ")[2] in stages
        ] == list(stages)
        assert (
            re.search(r"/p/(?!•)|\b\d{6}\b", said[said.index("presses Prove it is us") :].partition("went as")[0])
            is None
        )
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            agda = await _opened(browser, demo.link("Agda Alm"))
            page = await _page(browser, *agda)
            assert page.call["data-sign"] == "verified"
            assert DAVID.name in page.text
            async with browser.get(demo.link("Agda Alm"), allow_redirects=False) as again:
                assert (again.status, again.cookies) == (404, {})
                assert "was used" in await again.text()
            bror = await _opened(browser, demo.link("Bror Berg"))
            page = await _page(browser, *bror)
            assert page.call["data-sign"] == "not_verified"
            assert CECILIA.name not in page.text
            await _verified(browser, *bror, page)
            siv = await _opened(browser, demo.link("Siv Sander"))
            async with browser.get(f"{siv[0]}team", headers={"Cookie": siv[1]}) as team:
                assert team.status == 200
        there = demo.processes()
        assert len(there) > 5
        assert demo.end() == 0
        assert "Ending" in demo.lines[-1]
        assert {pid for pid in there if _parent(pid) is not None} == set()


async def _opened(browser: aiohttp.ClientSession, link: str) -> tuple[str, str]:
    """Where a link leads to, and the cookie that it gives."""
    async with browser.get(link, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        (cookie,) = answer.cookies.values()
        return answer.headers["Location"], f"{cookie.key}={cookie.value}"


async def _page(browser: aiohttp.ClientSession, desk: str, cookie: str) -> _Page:
    async with browser.get(desk, headers={"Cookie": cookie}) as answer:
        assert answer.status == 200
        return _Page(await answer.text())


async def _verified(browser: aiohttp.ClientSession, desk: str, cookie: str, page: _Page) -> None:
    """`Verify now`: the caller keys, as the demo says."""
    headers = {"Cookie": cookie, "CSRF-Token": page.desk["data-csrf"], "Origin": desk.rstrip("/")}
    place = f"{desk}api/v1/calls/{page.call['data-id']}/verification"
    async with browser.post(place, headers=headers, json={"policy": "main"}) as begun:
        assert begun.status == 202, await begun.text()
    headers.pop("CSRF-Token")
    async with browser.ws_connect(f"{desk}live", headers=headers) as socket:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            (*_, call) = (await socket.receive_json(timeout=60))["calls"] or [{"sign": ""}]
            if call["sign"] == "verified":
                assert call["name"] == CECILIA.name
                return
    pytest.fail("the caller was not verified")


@pytest.mark.parametrize("program", ["redis-server", "ari_app.py"])
def test_nothing_is_left_where_it_is_ended_while_it_starts(program: str) -> None:
    with running("--keep") as demo:
        wait_until(lambda: demo.runs(program), 120, f"{program} runs")
        there = demo.processes()
        assert demo.end() == 130
        assert {pid for pid in there if _parent(pid) is not None} == set()
        assert "Traceback" not in "\n".join(demo.lines)
