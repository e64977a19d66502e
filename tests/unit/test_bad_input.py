"""Inputs that `scripts/fuzz` has found, each as it was: what came of it once is said in its test."""

from __future__ import annotations

import asyncio
import gc
import socket
import unicodedata
from pathlib import Path
from time import monotonic
from typing import Any, Literal, cast

import orjson
import pytest
import structlog
from rig.fuzz.case import logger
from rig.fuzz.exchange import Replied
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from ivr.agi.server import AgiServer
from ivr.asterisk.ari import Ari
from ivr.asterisk.dismissal import Dismissal
from ivr.asterisk.events import Response, Started, decode
from ivr.asterisk.inbox import Inbox
from ivr.asterisk.leg import AriLeg, Legs, finished
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Reconciliation, Records
from ivr.asterisk.websocket import answer
from ivr.asterisk.wire import Wire
from ivr.call.ports import Caller, Key
from ivr.cli.fields import FieldError, Fields
from ivr.config import Settings, load
from ivr.errors import AriError, ConfigError, HungUp, TextError
from ivr.outward.client import Answer
from ivr.secret import Secret
from ivr.sms.http import Http

HEAD = '[company]\nname = "Acme"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'


def _settings(**tables: object) -> Settings:
    policies = {"main": {"steps": ["pin"], "level": 1}}
    return Settings.model_validate({"company": {"name": "Acme", "country": "SE"}, "policies": policies, **tables})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(f"{HEAD}tries = {'9' * 5000}\n", "thousands of digits", id="a ValueError"),
        pytest.param(f"{HEAD}tries = {'[' * 2000 + ']' * 2000}\n", "hundreds deep", id="a RecursionError of tomllib"),
        pytest.param(
            f"{HEAD}[texts.http]\nbody{'.a' * 3000} = 1\n", "hundreds deep", id="a RecursionError of our own check"
        ),
    ],
)
def test_settings_that_python_does_not_read_are_an_error_of_the_settings(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as raised:
        load(file)
    assert raised.value.place == str(file)


def test_thousands_of_telephone_numbers_are_not_looked_at() -> None:
    """A row of a file had a second of the processor for itself."""
    fields = Fields(_settings())
    looked = 0

    def texts():  # type: ignore[no-untyped-def]
        nonlocal looked
        for number in range(4000):
            looked += 1
            yield f"+4670123{number:04}"

    with pytest.raises(FieldError, match="more than 10"):
        fields.phones(texts())
    assert looked == 11


def test_thousands_of_accents_on_a_letter_are_not_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a file had many seconds of the processor for itself: twice the accents, four times the time."""
    normalize, longest = unicodedata.normalize, 0

    def noting(form: Literal["NFC"], text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", noting)
    fields = Fields(_settings())
    with pytest.raises(FieldError, match="name: has more than 100 characters"):
        fields.name("a" + "\u0301" * 15_000 + "\u0316" * 15_000)
    # as some systems write it, a letter and its accents apart
    assert len(fields.name("e\u0302\u0301" * 100)) == 100
    assert longest == 300


async def test_a_storm_of_keys_that_is_put_back_is_no_more_than_one_that_comes() -> None:
    """What was keyed while a sentence was played came back whole, however much it was."""
    inbox = Inbox()
    inbox.key(Secret("9"))
    inbox.push_back([Key(Secret(str(number % 10)), 0.0) for number in range(1000)])
    kept = []
    while (key := await inbox.receive(monotonic())) is not None:
        assert isinstance(key, Key)
        kept.append(key.digit)
    # in their order, and those that came first
    assert kept == [*(Secret(str(number % 10)) for number in range(63)), Secret("9")]


async def test_an_answer_that_is_nested_deeper_than_it_can_be_written_is_not_the_right_one(tmp_path: Path) -> None:
    """The gateway raised a `TypeError`, and the second gateway was told a fault of the program."""
    deep = b'{"status":' + b"[" * 300 + b"]" * 300 + b"}"
    gateway = _gateway(tmp_path, ok_field="status", ok_values=["0"])
    with pytest.raises(TextError, match="does not have status as ok_values says"):
        gateway._judge(Answer(200, deep))
    gateway._judge(Answer(200, b'{"status":0}'))


def _gateway(folder: Path, **own: object) -> Http:
    table = {"url": "https://gateway.example/send", "body": {"to": "{to}", "text": "{text}"}, **own}
    return Http.of(_settings(texts={"gateway": "http", "http": table}).read_from(folder / "tillit.toml"), logger(()))


async def test_a_connection_that_tells_of_a_shutdown_is_closed() -> None:
    """It was given up and left open: what came on it, and on the next one, was told twice."""
    told: list[str] = []
    wire = Wire(lambda message: told.append(message["Event"]))
    near, far = socket.socketpair()
    with far:
        await asyncio.get_running_loop().create_connection(lambda: wire, sock=near)
        far.sendall(b"Asterisk Call Manager/9.0.0\r\nEvent: Shutdown\r\nShutdown: Cleanly\r\n\r\n")
        await wire.lost
        far.setblocking(False)
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 1), 5) == b""
    assert told == ["Shutdown"]


async def test_a_hang_up_before_a_call_was_named_is_a_connection_that_was_cut_off() -> None:
    """It ended in an error that nobody expected, and a line of the log that asks to be reported."""
    capture = LogCapture()
    log = cast(FilteringBoundLogger, structlog.wrap_logger(structlog.PrintLogger(), processors=[capture]))
    server = AgiServer((), policy="", mark=_no_mark, log=log)
    await server.open("127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"agi_network: yes\nHANGUP")
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    except ConnectionResetError:
        pass  # the server waits for nobody when it ends a connection
    finally:
        await server.close()
    assert [(line["event"], line["why"]) for line in capture.entries] == [("agi.refused", "cut_off")]


async def _no_mark(_node: str, _channel: str) -> None:
    return None


async def test_how_a_request_ends_that_is_awaited_although_cancelled_is_not_logged_by_asyncio() -> None:
    """A caller who hung up just when a request failed left a traceback on the standard error."""
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    begun, fails = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        begun.set()
        await fails.wait()
        raise AriError("POST /bridges/x", 0)

    async def hangs_up() -> None:
        task = asyncio.ensure_future(finished(request()))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        fails.set()
        await asyncio.wait([task])
        assert task.cancelled()

    await hangs_up()
    # what is not looked at is told when it is thrown away
    gc.collect()
    assert unheard == []


@pytest.mark.parametrize(
    "line",
    ['[redis]\npassword_file = "a\\u0000"', '[texts]\noutbox_folder = "\\u0000"', '[redis]\nurl = "unix:///\\u0000"'],
)
def test_a_path_with_a_nul_byte_is_an_error_of_the_settings(tmp_path: Path, line: str) -> None:
    """It was a `ValueError` of whatever came to use it."""
    file = tmp_path / "tillit.toml"
    file.write_text(f"{HEAD}{line}\n")
    with pytest.raises(ConfigError, match="has a NUL byte. Leave it out"):
        load(file)


@pytest.mark.parametrize("status", [True, 0, -1, 100])
def test_an_answer_with_a_status_that_is_none_is_not_a_success(status: int) -> None:
    """Whatever was below 300 was one: also a status that is true."""
    response = decode({"type": "RESTResponse", "request_id": "1", "status_code": status, "message_body": "{}"})
    assert isinstance(response, Response)
    with pytest.raises(AriError):
        answer("POST /channels/1/variables", response.status, response.body.encode())


DEEP = "[" * 1000 + "]" * 1000


@pytest.mark.parametrize(
    ("args", "replaces"), [(f'["inbound",{DEEP}]', "null"), ('["inbound"]', f'{{"id":{DEEP}}}')], ids=["args", "id"]
)
def test_an_event_whose_texts_are_lists_within_lists_is_no_error(args: str, replaces: str) -> None:
    """Python does not write them: a `RecursionError` ended the reader of events, and with it the worker."""
    channel = '{"id":"1.1","caller":{"number":"+46701740601"},"language":"sv"}'
    frame = f'{{"type":"StasisStart","args":{args},"replace_channel":{replaces},"channel":{channel}}}'
    event = decode(orjson.loads(frame))
    # at the most the end of a transfer, which nobody is verified on
    assert event is None or (isinstance(event, Started) and event.replaces is not None)


async def test_channels_whose_names_are_lists_within_lists_are_no_error() -> None:
    """The reconciliation ended in a `RecursionError`: nobody was sent away who had to be."""
    for listed in (f'[{{"id":{DEEP}}}]', f'[{{"id":"1.1","state":{DEEP},"language":{DEEP}}}]'):
        reconciliation = _reconciliation(Legs(), _Channels(listed.encode()))
        await reconciliation.run()
        assert reconciliation.conversations == []


async def test_a_bridge_whose_channels_are_no_names_does_not_end_the_reconciliation() -> None:
    """It ended in a `TypeError`: nobody was sent away who had to be."""
    reconciliation = _reconciliation(Legs(), _Bridges())
    await reconciliation.run()
    assert reconciliation.conversations == []


async def test_a_leg_that_was_given_up_and_is_gone_is_listened_for_no_longer() -> None:
    """Neither its call nor its hang-up was answered, and the event of its end was lost: it was kept for ever."""
    legs = Legs()
    reconciliation = _reconciliation(legs, _Bridges())
    given_up = AriLeg(reconciliation._ari, "PJSIP/anna", "1.1")
    given_up.destroyed(None)
    being_called = AriLeg(reconciliation._ari, "PJSIP/bo", "1.1")
    for leg in (given_up, being_called):
        legs.add(leg)
    await reconciliation.run()
    assert list(legs.all()) == [being_called.channel]


def _reconciliation(legs: Legs, peer: object) -> Reconciliation:
    ari = Ari(url="http://a/ari", username="u", password=Secret("p"), app="tillit", seconds=5.0, log=logger(()))
    ari._http = cast(Any, peer)
    known = Records(_none, _nobody, _settled)
    dismissal = Dismissal(ari, disown=_not_ours, log=logger(()))
    return Reconciliation(
        ari, node="pbx", country="SE", lines={}, legs=legs, left=set(), records=known, resume=cast(Any, None),
        dismissal=dismissal, log=logger(()),
    )  # fmt: skip


class _Bridges:
    def request(self, method: str, url: str, **_: object) -> Replied:
        bridge = b'[{"id":"tillit-bridge-1","name":"tillit","channels":[{},1,null]}]'
        return Replied((200, bridge if url.endswith("/bridges") else b"[]"))


class _Channels:
    def __init__(self, listed: bytes) -> None:
        self._listed = listed

    def request(self, method: str, url: str, **_: object) -> Replied:
        return Replied((200, self._listed if url.endswith("/channels") else b"[]"))


async def _settled() -> None:
    return


async def _none() -> set[str]:
    return set()


async def _nobody(_channel: str, _gone: bool) -> None:
    return None


async def _not_ours(_channel: str) -> bool:
    return False


async def test_a_call_that_cannot_be_hung_up_after_its_conversation_ends_with_its_channel() -> None:
    """Its end was taken for what the hang-up had led to: the session waited for ever for the end of its sentence."""
    ari = Ari(url="http://a/ari", username="u", password=Secret("p"), app="tillit", seconds=5.0, log=logger(()))
    ari._http = cast(Any, _Refusing())
    caller = Caller("1.1", "pbx", None, "en", "main")
    line = AriLine(ari, caller, Legs(), seconds=5.0, log=logger(()))
    line._meeting._leg = leg = AriLeg(ari, "PJSIP/anna", "1.1")
    leg.destroyed(16)
    with pytest.raises(AriError):
        async with line.up():
            await line.hang_up()
    # told by the reconciliation: the events of its end were lost
    line.destroyed()
    async with asyncio.timeout(5):
        with pytest.raises(HungUp):
            await line.receive(None)


class _Refusing:
    def request(self, method: str, url: str, **_: object) -> Replied:
        return Replied((409, b""))
