"""`Ari` against a server that misbehaves: time limits, drops, rubbish, floods, and what errors carry."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from rig.proxy import Wire

import ivr.asterisk.ari as ari_module
import ivr.asterisk.vigil as vigil_module
import ivr.asterisk.websocket as websocket_module
from ivr.asterisk.ari import Ari
from ivr.asterisk.events import TYPES, Digit, Event
from ivr.errors import AriError, WorkerReplaced
from ivr.secret import Secret
from tests.contract.ari_log import Log, texts, wait_for
from tests.contract.ari_server import (
    PASSWORD,
    USER,
    Answer,
    AriServer,
    Asked,
    Drop,
    Late,
    Never,
    Status,
    Text,
    digit,
)

CANARY = "canary-value"
BODY = {"value": CANARY, "variables": {"PIN": CANARY}}


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str | Event] = []

    def connected(self) -> None:
        self.told.append("connected")

    def disconnected(self) -> None:
        self.told.append("disconnected")

    def event(self, event: Event) -> None:
        self.told.append(event)

    @property
    def keys(self) -> list[tuple[str, str]]:
        return [(event.channel, event.key.reveal()) for event in self.told if isinstance(event, Digit)]


async def echo(asked: Asked) -> Answer:
    return 200, {"said": asked.fields, "path": asked.path}


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of itself is asked for in its own tests: here, where time is short, it would come between."""
    monkeypatch.setattr(vigil_module, "_CHECKS", (3600.0,))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def server() -> AsyncIterator[AriServer]:
    async with AriServer(echo) as running:
        yield running


@pytest.fixture
async def ari(server: AriServer, log: Log) -> AsyncIterator[Ari]:
    made = Ari(url=server.url, username=USER, password=Secret(PASSWORD), app="tillit", seconds=5.0, log=log.logger)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def listening(ari: Ari, server: AriServer, listener: Listener) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(ari.listen(listener))
    await wait_for(lambda: listener.told == ["connected"], "the first connection")
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waits before it connects again, written down as it begins to."""
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    noted: list[float] = []

    def noting(delay: float, *rest: Any, **more: Any) -> asyncio.TimerHandle:
        task = asyncio.current_task()
        if task is not None and task.get_coro().__qualname__ == "Ari.listen" and delay in ari_module._WAITS:
            noted.append(delay)
        return call_later(delay, *rest, **more)

    monkeypatch.setattr(loop, "call_later", noting)
    return noted


def hurry(ari: Ari, seconds: float = 0.05) -> None:
    """For tests of what happens when the time is up."""
    ari._seconds = seconds


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize("quick", [False, True], ids=["http", "websocket"])
async def test_a_request_and_its_answer(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], quick: bool
) -> None:
    answer = await ari.request("POST", "channels/1.1/variables", BODY, quick=quick)
    assert answer == {"said": BODY, "path": "channels/1.1/variables"}
    (asked,) = server.requests("POST", "channels/1.1/variables")
    assert asked.how == ("websocket" if quick else "http")


async def test_values_stand_in_the_body_and_never_in_the_address(
    ari: Ari, server: AriServer, listening: asyncio.Task[None]
) -> None:
    await ari.request("POST", "channels/1.1/variable", BODY)
    (asked,) = server.requests("POST", "channels/*")
    assert asked.headers["Content-Type"] == "application/json"
    assert CANARY not in asked.path


async def test_before_there_is_a_websocket_quick_requests_go_by_http(ari: Ari, server: AriServer) -> None:
    await ari.request("POST", "channels/1.1/continue", quick=True)
    assert server.requests("POST", "channels/1.1/continue", "http")


async def test_an_empty_answer_is_none(ari: Ari, server: AriServer) -> None:
    server.rule("POST", "*", Text("", status=204))
    assert await ari.request("POST", "channels/1.1/answer") is None


@pytest.mark.parametrize("quick", [False, True], ids=["http", "websocket"])
async def test_each_request_has_a_time_limit(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], quick: bool
) -> None:
    server.rule("POST", "channels/1.1/answer", *[Never()] * (2 if quick else 1))
    hurry(ari)
    with pytest.raises(AriError) as caught:
        await ari.request("POST", "channels/1.1/answer", BODY, quick=quick, channel="1.1")
    assert caught.value.status == 0
    assert str(caught.value) == "POST /channels/1.1/answer (1.1): no answer in time"
    assert not any(CANARY in text for text in texts(caught.value))
    assert ari.waiting == 0


async def test_an_answer_that_comes_too_late_is_nobodys(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener
) -> None:
    late = Late()
    # not by HTTP either, by which it is asked once more
    server.rule("POST", "channels/1.1/play/a", late, Never())
    hurry(ari)
    with pytest.raises(AriError):
        await ari.request("POST", "channels/1.1/play/a", quick=True)
    late.now.set()
    hurry(ari, 5.0)
    assert await ari.request("POST", "channels/1.1/play/b", {"b": 1}, quick=True) == {
        "said": {"b": 1},
        "path": "channels/1.1/play/b",
    }
    assert listener.told == ["connected"]


@pytest.mark.parametrize("quick", [False, True], ids=["http", "websocket"])
@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 409, 412, 422, 500, 503])
async def test_a_refusal_carries_operation_channel_and_status_and_no_value(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], quick: bool, status: int, log: Log
) -> None:
    server.rule("POST", "*", Status(status, {"message": CANARY}))
    with pytest.raises(AriError) as caught:
        await ari.request("POST", f"channels/1.1/variable?q={CANARY}" if not quick else "channels/1.1/variable", BODY,
                          quick=quick, channel="1.1")  # fmt: skip
    assert (caught.value.status, caught.value.operation) == (status, "POST /channels/1.1/variable (1.1)")
    shown = "\n".join([*texts(caught.value), str(log.lines)])
    for hidden in (CANARY, PASSWORD, "Basic"):
        assert hidden not in shown


@pytest.mark.parametrize("quick", [False, True], ids=["http", "websocket"])
@pytest.mark.parametrize(
    "text", [f'{{"{CANARY}', f"<html>{CANARY}</html>", f'["{CANARY}\ud83d"]'.replace("\ud83d", "\\ud83d")]
)
async def test_an_answer_that_is_no_json_is_an_error_without_its_text(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], quick: bool, text: str
) -> None:
    server.rule("GET", "*", Text(text))
    with pytest.raises(AriError) as caught:
        await ari.request("GET", "channels/1.1", quick=quick)
    assert caught.value.status == 200
    assert not any(CANARY in text for text in texts(caught.value)), list(texts(caught.value))


async def test_an_answer_without_end_is_not_kept(ari: Ari, server: AriServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever answers there: a worker that gathered it all would have the machine's memory used up within the time limit."""
    monkeypatch.setattr(ari_module, "_MOST", 100_000)
    server.rule("GET", "channels", Text('"' + "x" * 99_998 + '"'))
    assert len(str(await ari.request("GET", "channels"))) == 99_998
    server.rule("GET", "channels", Text('"' + "x" * 99_999 + '"'))
    with pytest.raises(AriError, match=r"^GET /channels: 200$"):
        await ari.request("GET", "channels")


async def test_nothing_is_sent_to_where_a_redirection_points(ari: Ari, server: AriServer) -> None:
    for status in (301, 302, 303, 307, 308):
        server.rule("POST", "channels/1.1/variable", Text("", status, {"Location": f"{server.url}/elsewhere"}))
        with pytest.raises(AriError) as caught:
            await ari.request("POST", "channels/1.1/variable", BODY)
        assert caught.value.status == status
    assert server.requests("*", "elsewhere") == []


async def test_no_server_at_all(log: Log) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        port = taken.getsockname()[1]
        ari = Ari(
            url=f"http://127.0.0.1:{port}/ari",
            username=USER,
            password=Secret(PASSWORD),
            app="tillit",
            seconds=5,
            log=log.logger,
        )
        await ari.open()
        with pytest.raises(AriError) as caught:
            await ari.request("POST", "channels/1.1/variable", BODY)
        await ari.close()
    shown = "\n".join(texts(caught.value))
    assert caught.value.status == 0
    for hidden in (CANARY, PASSWORD, "Basic"):
        assert hidden not in shown


async def test_a_connection_that_ends_within_an_answer(ari: Ari, server: AriServer) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{{"{CANARY}'.encode())
        await writer.drain()
        writer.close()

    cut = await asyncio.start_server(half, "127.0.0.1", 0)
    ari._url = f"http://127.0.0.1:{cut.sockets[0].getsockname()[1]}/ari"
    with pytest.raises(AriError) as caught:
        await ari.request("POST", "channels/1.1/answer")
    cut.close()
    await cut.wait_closed()
    assert caught.value.status == 0
    assert not any(CANARY in text for text in texts(caught.value))


async def test_what_blocks_on_the_websocket_blocks_no_http_request(
    ari: Ari, server: AriServer, listening: asyncio.Task[None]
) -> None:
    late = Late()
    server.rule("POST", "channels/1.1/play/a", late)
    blocked = asyncio.create_task(ari.request("POST", "channels/1.1/play/a", quick=True))
    await server.until_asked("POST", "channels/1.1/play/a")
    behind = asyncio.create_task(ari.request("POST", "channels/2.2/play/b", quick=True))
    await ari.request("POST", "channels/3.3/answer")
    assert not blocked.done() and not behind.done()
    late.now.set()
    await asyncio.gather(blocked, behind)


async def test_many_requests_at_once_find_their_own_answers(
    ari: Ari, server: AriServer, listening: asyncio.Task[None]
) -> None:
    answers: list[Any] = await asyncio.gather(
        *(ari.request("POST", f"channels/{n}/play/p", {"n": n}, quick=n % 2 == 0) for n in range(400))
    )
    assert [answer["said"]["n"] for answer in answers] == list(range(400))
    assert ari.waiting == 0


# ---------------------------------------------------------------- drops


@pytest.mark.parametrize("done", [False, True], ids=["lost", "done"])
async def test_what_was_pending_at_a_drop_is_done_again_by_http(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener, done: bool
) -> None:
    server.rule("POST", "channels/1.1/play/a", Drop(done), how="websocket")
    assert await ari.request("POST", "channels/1.1/play/a", {"media": "x"}, quick=True)
    assert [asked.how for asked in server.requests("POST", "channels/1.1/play/a")] == ["websocket", "http"]
    await server.until_connected(2)
    await wait_for(lambda: listener.told == ["connected", "disconnected", "connected"])


async def test_all_that_wait_behind_one_are_done_again_too(
    ari: Ari, server: AriServer, listening: asyncio.Task[None]
) -> None:
    late = Late()
    server.rule("POST", "channels/0/play/p", late, how="websocket")
    tasks = [asyncio.create_task(ari.request("POST", f"channels/{n}/play/p", quick=True)) for n in range(20)]
    await server.until_asked("POST", "channels/0/play/p")
    server.socket.cut()
    await asyncio.gather(*tasks)
    assert len({asked.path for asked in server.requests("POST", "*", "http")}) == 20
    late.now.set()


async def test_the_filter_is_set_anew_after_each_connection(
    ari: Ari, server: AriServer, listening: asyncio.Task[None]
) -> None:
    for count in (1, 2, 3):
        socket = await server.until_connected(count)
        assert socket.allowed == set(TYPES)
        socket.cut()
    await server.until_connected(4)
    filters = server.requests("PUT", "applications/tillit/eventFilter")
    assert len(filters) == 4
    assert all({"type": "RESTResponse"} in asked.fields["allowed"] for asked in filters)


async def test_waits_grow_while_nobody_answers_and_begin_anew(
    ari: Ari, server: AriServer, listener: Listener, waits: list[float], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ari_module._WAITS == (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    *growing, most = short = [wait / 64 for wait in ari_module._WAITS]
    monkeypatch.setattr(ari_module, "_WAITS", short)
    server.refuse = 10
    listening = asyncio.create_task(ari.listen(listener))
    await server.until_connected(11)
    assert waits == [*growing, most, most, most, most]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    shown = str(log.lines)
    assert [line["error"] for line in log.of("ari.unreachable")] == ["WSServerHandshakeError"] * 10
    for hidden in (PASSWORD, "Basic", "canary-refusal", "Authorization"):
        assert hidden not in shown


async def test_a_wrong_password_is_in_no_log(
    server: AriServer, listener: Listener, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = Secret("canary-wrong-password")
    wrong = Ari(url=server.url, username=USER, password=secret, app="tillit", seconds=5.0, log=log.logger)
    await wrong.open()
    listening = asyncio.create_task(wrong.listen(listener))
    await server.until(lambda: server.connections == 3, "three tries")
    with pytest.raises(AriError) as caught:
        await wrong.request("POST", "channels/1.1/variable", BODY)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await wrong.close()
    assert caught.value.status == 401
    shown = "\n".join([*texts(caught.value), str(log.lines), caplog.text])
    for hidden in ("canary", "Basic", secret.reveal()):
        assert hidden not in shown


async def test_a_server_that_takes_every_connection_and_ends_it_is_not_run_down(
    ari: Ari, server: AriServer, listener: Listener, waits: list[float]
) -> None:
    listening = asyncio.create_task(ari.listen(listener))
    for count in range(1, 4):
        (await server.until_connected(count)).cut()
    await server.until_connected(4)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert waits == [0.05, 0.1, 0.2]


async def test_a_refused_filter_is_a_failed_connection(
    ari: Ari, server: AriServer, listener: Listener, waits: list[float]
) -> None:
    server.rule("PUT", "*/eventFilter", Status(500))
    listening = asyncio.create_task(ari.listen(listener))
    await server.until(lambda: server.connections == 2, "a second try")
    await wait_for(lambda: listener.told == ["connected"])
    assert waits == [0.05]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_was_sent_before_a_refused_filter_does_not_wait_for_its_limit(
    ari: Ari, server: AriServer, listener: Listener
) -> None:
    late = Late(status=500)
    server.rule("PUT", "*/eventFilter", late)
    listening = asyncio.create_task(ari.listen(listener))
    await server.until_asked("PUT", "*/eventFilter")
    server.rule("POST", "channels/1.1/play/a", Never(), how="websocket")
    quick = asyncio.create_task(ari.request("POST", "channels/1.1/play/a", quick=True))
    await server.until_asked("POST", "channels/1.1/play/a")
    server.rule("POST", "channels/1.1/play/a", Text('"by http"'), how="http")
    late.now.set()
    assert await quick == "by http"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize(
    "how", ["close", "cut", "half a frame", "masked", "bad opcode", "not utf-8", "huge", "reserved bits"]
)
async def test_whatever_ends_a_websocket_it_is_opened_again(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener, how: str
) -> None:
    socket = await server.until_connected()
    match how:
        case "close":
            await socket.close()
        case "cut":
            socket.cut()
        case "half a frame":
            socket.send_raw(b"\x81\x7e\x10\x00{")
            assert socket.request.transport is not None
            socket.request.transport.close()
        case "masked":
            socket.send_raw(b"\x81\x85\x01\x02\x03\x04abcde")
            socket.cut()
        case "bad opcode":
            socket.send_raw(b"\x83\x02{}")
        case "not utf-8":
            socket.send_raw(b"\x81\x02\xff\xfe")
        case "huge":
            await socket.send_text(json.dumps({**digit("1.1", "1"), "pad": "x" * (1 << 20)}))
        case _:
            socket.send_raw(b"\xf1\x02{}")
    socket = await server.until_connected(2)
    await socket.send(digit("1.1", "5"))
    await wait_for(lambda: listener.keys == [("1.1", "5")])
    assert listener.told[:3] == ["connected", "disconnected", "connected"]


async def test_a_server_that_answers_no_ping_is_left(
    ari: Ari, server: AriServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ari_module, "HEARTBEAT", 0.05)
    listening = asyncio.create_task(ari.listen(listener))
    (await server.until_connected()).pongs = False
    await server.until_connected(2)
    assert listener.told[:2] == ["connected", "disconnected"]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_is_asked_of_a_dead_websocket_is_asked_by_http_when_it_is_found(
    ari: Ari, server: AriServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ari_module, "HEARTBEAT", 0.05)
    listening = asyncio.create_task(ari.listen(listener))
    (await server.until_connected()).pongs = False
    server.rule("POST", "channels/1.1/play/a", Never(), how="websocket")
    assert await ari.request("POST", "channels/1.1/play/a", quick=True)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_nobody_answers_on_the_websocket_is_asked_by_http(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener
) -> None:
    server.rule("POST", "channels/1.1/play/a", Never(), how="websocket")
    hurry(ari)
    assert await ari.request("POST", "channels/1.1/play/a", quick=True)
    # what may not be done twice is not
    server.rule("POST", "channels/1.1/answer", Never())
    with pytest.raises(AriError):
        await ari.request("POST", "channels/1.1/answer")
    assert listener.told == ["connected"]


async def test_what_is_asked_of_a_dead_link_waits_until_it_is_back(
    ari: Ari, server: AriServer, listener: Listener, log: Log
) -> None:
    with Wire(urlsplit(ari._url).port or 0) as wire:
        ari._url = f"http://127.0.0.1:{wire.port}/ari"
        listening = asyncio.create_task(ari.listen(listener))
        await wait_for(lambda: listener.told == ["connected"], "the first connection")
        wire.swallow()
        hurry(ari)
        asking = asyncio.create_task(ari.request("POST", "channels/1.1/play/a", quick=True))
        await wait_for(lambda: listener.told == ["connected", "disconnected"])
        hurry(ari, 5.0)
        wire.mend()
        assert await asking
        assert listener.told == ["connected", "disconnected", "connected"]
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_link_that_stays_dead_is_waited_for_only_so_long(
    ari: Ari, server: AriServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ari_module, "_PATIENCE", 0.1)
    with Wire(urlsplit(ari._url).port or 0) as wire:
        ari._url = f"http://127.0.0.1:{wire.port}/ari"
        listening = asyncio.create_task(ari.listen(listener))
        await wait_for(lambda: listener.told == ["connected"], "the first connection")
        wire.swallow()
        hurry(ari)
        with pytest.raises(AriError) as caught:
            await ari.request("POST", "channels/1.1/play/a", BODY, quick=True)
        assert caught.value.status == 0 and not any(CANARY in text for text in texts(caught.value))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_websocket_whose_application_is_forgotten_is_opened_again(
    ari: Ari, server: AriServer, listener: Listener, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil_module, "_CHECKS", (0.01,))
    listening = asyncio.create_task(ari.listen(listener))
    await server.until_asked("POST", "events/user/TillitAlive", 2)
    assert server.connections == 1
    server.rule("POST", "events/user/TillitAlive", Status(503), Status(404))
    await server.until_connected(2)
    assert len(log.of("ari.forgotten")) == 1
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_check_that_fails_by_a_fault_of_the_program_is_told_of_and_begun_anew(
    ari: Ari, server: AriServer, listener: Listener, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty() -> bool:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(vigil_module, "_CHECKS", (0.01,))
    monkeypatch.setattr(ari._vigil, "_heeded", faulty)
    listening = asyncio.create_task(ari.listen(listener))
    await server.until_connected(2)
    line = log.of("task.failed")[0]
    assert (line["error"], line["code"]) == ("ZeroDivisionError", "check") and "canary" not in str(line)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_websocket_that_is_told_nothing_is_opened_again(
    ari: Ari, server: AriServer, listener: Listener, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is answered, over the websocket too; but the application counts as one that nobody is connected to."""
    monkeypatch.setattr(vigil_module, "_CHECKS", (0.01,))
    hurry(ari)
    listening = asyncio.create_task(ari.listen(listener))
    await server.until_asked("POST", "events/user/TillitAlive", 2)
    assert server.connections == 1 and not log.of("ari.forgotten")
    server.deaf = True
    await server.until_connected(2)
    server.deaf = False
    assert log.of("ari.forgotten")
    # and then it is well again
    await server.until_asked(
        "POST", "events/user/TillitAlive", len(server.requests("POST", "events/user/TillitAlive")) + 3
    )
    assert listener.told.count("connected") == server.connections
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


# ---------------------------------------------------------------- events


async def test_rubbish_between_events_is_passed_over(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener, log: Log
) -> None:
    socket = await server.until_connected()
    for text in (f"{CANARY}{{", "", "[]", "null", "17", '"x"', "[" * 2000, '{"type": 3}', '{"type": "ChannelDtmfReceived"}',
                 '{"type":"NewInThisVersion","channel":{"id":"1.1"}}', '{"type":"RESTResponse","request_id":"99","status_code":200}',
                 '{"type":"RESTResponse","request_id":"99","status_code":"200"}', f'{{"digit":"{CANARY}"}}'):  # fmt: skip
        await socket.send_text(text)
    socket.send_raw(b"\x82\x02{}")  # a binary frame
    await socket.send(digit("1.1", "7"))
    await wait_for(lambda: listener.keys == [("1.1", "7")])
    assert listener.told[0] == "connected" and len(listener.told) == 2
    assert len(log.of("ari.rubbish")) == 3
    assert CANARY not in str(log.lines)


async def test_repeated_and_reordered_events_are_told_as_they_come(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener
) -> None:
    socket = await server.until_connected()
    for key in "1132":
        await socket.send(digit("1.1", key))
    await wait_for(lambda: len(listener.keys) == 4)
    assert [key for _, key in listener.keys] == list("1132")


async def test_ten_thousand_events_while_the_handlers_are_busy(ari: Ari, server: AriServer, log: Log) -> None:
    """None is lost, each channel's are in their order, and the socket is read to its end meanwhile."""
    may_go_on = asyncio.Event()
    queues: dict[str, asyncio.Queue[str]] = {f"{n}": asyncio.Queue() for n in range(50)}
    handled: dict[str, list[str]] = {channel: [] for channel in queues}

    async def handle(channel: str) -> None:
        while True:
            key = await queues[channel].get()
            await may_go_on.wait()
            handled[channel].append(key)

    class Busy(Listener):
        def event(self, event: Event) -> None:
            assert isinstance(event, Digit)
            queues[event.channel].put_nowait(event.key.reveal())

    busy = Busy()
    tasks = [asyncio.create_task(ari.listen(busy)), *(asyncio.create_task(handle(channel)) for channel in queues)]
    socket = await server.until_connected()
    async with asyncio.timeout(30):
        for n in range(10_000):
            await socket.send(digit(str(n % 50), str(n // 50)))
    # the answer comes behind all events on the same socket: they were read
    assert await ari.request("POST", "channels/1/play/x", quick=True)
    assert not any(handled.values())
    may_go_on.set()
    await wait_for(lambda: sum(map(len, handled.values())) == 10_000)
    assert all(keys == [str(n) for n in range(200)] for keys in handled.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ---------------------------------------------------------------- replaced, closed


async def test_another_worker_of_the_same_name_replaces_this_one(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], listener: Listener, log: Log
) -> None:
    await server.until_connected()
    other = Ari(url=server.url, username=USER, password=Secret(PASSWORD), app="tillit", seconds=5.0, log=log.logger)
    await other.open()
    heard = Listener()
    second = asyncio.create_task(other.listen(heard))
    with pytest.raises(WorkerReplaced):
        await listening
    assert listener.told == ["connected", "disconnected"]
    await wait_for(lambda: heard.told == ["connected"])
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await other.close()
    assert server.connections == 2, "the replaced one took the application back"


async def test_a_worker_that_was_cut_off_takes_nothing_from_the_one_that_serves_meanwhile(
    ari: Ari, server: AriServer, listener: Listener
) -> None:
    ours = True

    async def asked() -> bool:
        return ours

    listening = asyncio.create_task(ari.listen(listener, asked))
    socket = await server.until_connected()
    ours = False
    socket.cut()
    async with asyncio.timeout(5):
        with pytest.raises(WorkerReplaced):
            await listening
    assert server.connections == 1 and listener.told == ["connected", "disconnected"]


async def test_a_replaced_worker_does_not_wait_for_a_server_that_says_no_goodbye(
    ari: Ari, server: AriServer, listening: asyncio.Task[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "_GOODBYE", 0.05)
    socket = await server.until_connected()
    monkeypatch.setattr(socket.response, "_autoclose", False)
    assert socket.request.transport is not None
    await socket.send({"type": "ApplicationReplaced", "application": "tillit"})
    socket.request.transport.pause_reading()
    async with asyncio.timeout(5):
        with pytest.raises(WorkerReplaced):
            await listening
    socket.cut()


async def test_nothing_is_left_when_it_is_closed(ari: Ari, server: AriServer, listener: Listener) -> None:
    listening = asyncio.create_task(ari.listen(listener))
    socket = await server.until_connected()
    await wait_for(lambda: listener.told == ["connected"])
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await ari.close()
    await asyncio.wait_for(socket.gone.wait(), 5)
    assert listener.told == ["connected", "disconnected"]
