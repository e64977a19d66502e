"""Codes told by a call: where no text arrives, and to landlines; on a real Asterisk, with phones that hear and key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from rig import audio
from rig.ear import toned, understood
from rig.phone import Phone
from rig.stage import ANNA, CHEAP_PINS, PROMPTS, Customer, Stage
from rig.state import wait_until
from rig.worker import Worker

from ivr.asterisk.announcing import Announcer
from ivr.asterisk.ari import Ari
from ivr.asterisk.outpost import Outpost
from ivr.call.ports import Heard
from ivr.config.voice import Voice
from ivr.errors import Unavailable
from ivr.secret import Personal, Secret
from tests.contract.ari_log import Log, wait_for
from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer, elks
from tests.e2e.scene import Scene

# in Stockholm
LOTTA = Customer("10006", "Lotta Lind", "+46850829000", "8642")
OURS = "+46812345678"
LINE = Voice(dial="PJSIP/{number}@agent3", number=OURS)
# How many digits a code has, and how many keys are asked for.
DIGITS, KEYS = 6, 2
CODE = Secret("314159")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Its digits are tones; of other sentences there is the beginning."""
    with Stage(
        settings=CHEAP_PINS, name="voice-code", customers=(ANNA, LOTTA), sounds=toned(PROMPTS), brisk=True
    ) as made:
        yield made


@pytest.fixture
async def gateway() -> AsyncIterator[TextsServer]:
    """46elks, which never reports that a text has arrived."""
    async with TextsServer(elks) as server:
        yield server


@pytest.fixture
def worker(stage: Stage, gateway: TextsServer, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Customers are called at the phone of agent 3, at once where a text is not reported as delivered."""
    stage.write_config(
        {
            "page": {"url": "https://id.example.com"},
            "texts": {"gateway": "46elks"},
            "texts.voice": {"dial": "PJSIP/{number}@agent3", "format": "digits", "number": OURS, "after_seconds": 0.01},
            **tables("46elks", gateway.url),
        }
    )
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with stage.worker(request.node.name) as running:
        yield running


def heard(phone: Phone) -> str:
    """The digits that were said to it."""
    return understood(audio.samples(phone.recording()))


async def until_heard(phone: Phone, digits: int = DIGITS) -> str:
    """So many of them, behind the keys that were asked for."""
    await asyncio.to_thread(wait_until, lambda: len(heard(phone)) >= KEYS + digits, 15, "digits that are said")
    return heard(phone)[KEYS : KEYS + digits]


async def asked_for(phone: Phone) -> str:
    """The keys that whoever answers is to press."""
    await until_heard(phone, 0)
    return heard(phone)[:KEYS]


async def takes(phone: Phone) -> None:
    """Answer, and press what is asked for."""
    await phone.incoming()
    await phone.answer()
    await phone.send_digits(await asked_for(phone))


async def test_a_text_that_does_not_arrive_is_told_by_a_call(scene: Scene, gateway: TextsServer) -> None:
    phone = await scene.phone("agent3")
    caller = await scene.caller()
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    text = (await gateway.until_asked(1)).form["message"]
    offer = await phone.incoming()
    assert offer["number"] == OURS
    await phone.answer()
    await phone.send_digits(await asked_for(phone))
    code = await until_heard(phone)
    assert code in text
    await caller.send_digits(code)
    await scene.reached("verified", Status="verified", Level="2")
    (again,) = scene.log("text.again")
    assert (again["gateway"], again["why"]) == ("voice", "late")
    assert code not in str(scene.log())


@pytest.fixture
async def outpost(stage: Stage) -> AsyncIterator[Outpost]:
    """This process's own."""
    log = Log().logger
    ari = Ari(
        url=stage.pbx.ari_url, username="tillit", password=Secret(stage.pbx.ari_password), app="voice-test", seconds=5.0,
        log=log,
    )  # fmt: skip
    outpost = Outpost("test", ari, log)
    serving = asyncio.create_task(outpost.serve())
    await wait_for(lambda: outpost.is_connected, "the application")
    yield outpost
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await asyncio.to_thread(stage.pbx.wait_idle, 10)


@pytest.fixture
def announcer(outpost: Outpost) -> Announcer:
    """It waits for keys for as long as any test needs."""
    return Announcer([outpost], LINE, patience=15.0)


@pytest.fixture
async def phone(stage: Stage) -> AsyncIterator[Phone]:
    async with Phone(stage.pbx.line("agent3")) as made:
        yield made


def telling(announcer: Announcer) -> asyncio.Task[Heard]:
    return asyncio.create_task(announcer.tell(Personal(LOTTA.phones), CODE, "en"))


async def nothing_said(phone: Phone, asked: int) -> None:
    """It was hung up, and only keys were named: so many times."""
    await phone.until("disconnected")
    assert len(heard(phone)) == KEYS * asked


async def test_nothing_is_spoken_without_the_keys(outpost: Outpost, phone: Phone) -> None:
    """As an answering machine does, which talks, and takes in what it hears."""
    told = telling(Announcer([outpost], LINE, patience=0.2))
    await phone.incoming()
    await phone.answer()
    await phone.hears()
    await phone.play_tone(440)
    assert await told is Heard.NO_KEY
    await nothing_said(phone, 3)
    assert len(set(heard(phone))) == 3 * KEYS, "others each time"


async def test_a_greeting_that_presses_a_key_is_told_nothing(announcer: Announcer, phone: Phone) -> None:
    """Over and over, so that it does so whenever one may be pressed."""
    told = telling(announcer)
    await phone.incoming()
    await phone.answer()
    pressing = asyncio.create_task(phone.send_digits("1" * 100))
    assert await told is Heard.NO_KEY
    pressing.cancel()
    await asyncio.gather(pressing, return_exceptions=True)
    await phone.until("disconnected")
    assert len(heard(phone)) <= KEYS


@pytest.mark.parametrize("right", [0, 1])
async def test_the_first_wrong_key_ends_it(announcer: Announcer, phone: Phone, right: int) -> None:
    told = telling(announcer)
    await phone.incoming()
    await phone.answer()
    keys = await asked_for(phone)
    wrong = next(key for key in "0123456789" if key not in keys)
    await phone.send_digits(keys[:right] + wrong)
    assert await told is Heard.NO_KEY
    await nothing_said(phone, 1)


@pytest.mark.parametrize("named", [False, True])
async def test_who_denies_it_is_told_no_code(announcer: Announcer, phone: Phone, named: bool) -> None:
    """While the sentence is said, or behind it."""
    told = telling(announcer)
    await phone.incoming()
    await phone.answer()
    await (asked_for(phone) if named else phone.hears())
    await phone.send_digits("*")
    assert await told is Heard.DENIED
    await phone.until("disconnected")
    assert len(heard(phone)) <= KEYS


async def test_it_is_said_twice(announcer: Announcer, phone: Phone) -> None:
    told = telling(announcer)
    assert (await phone.incoming())["number"] == OURS
    await phone.answer()
    await phone.send_digits(await asked_for(phone))
    assert await told is Heard.SAID
    await phone.until("disconnected")
    assert heard(phone)[KEYS:] == CODE.reveal() * 2


async def test_who_hangs_up_meanwhile_has_not_heard_it(announcer: Announcer, phone: Phone) -> None:
    told = telling(announcer)
    await takes(phone)
    await until_heard(phone, 1)
    await phone.hang_up()
    assert await told is Heard.HUNG_UP


async def test_nobody_there(stage: Stage, announcer: Announcer) -> None:
    """No telephone, no trunk, and no Asterisk."""
    with pytest.raises(Unavailable, match="takes no calls"):
        await announcer.tell(Personal(LOTTA.phones), CODE, "en")
    with pytest.raises(Unavailable, match="no Asterisk is there"):
        await Announcer([], Voice()).tell(Personal(LOTTA.phones), CODE, "en")


async def test_a_landline_is_called_at_once_and_gets_no_text(scene: Scene, gateway: TextsServer) -> None:
    phone = await scene.phone("agent3")
    caller = await scene.caller(who=LOTTA)
    await scene.key_pin(caller, LOTTA)
    await scene.asked("sms_code")
    await takes(phone)
    await caller.send_digits(await until_heard(phone))
    await scene.reached("verified", Status="verified")
    assert gateway.connections == 0


async def test_a_caller_who_hangs_up_ends_the_call_to_the_landline(scene: Scene) -> None:
    phone = await scene.phone("agent3")
    caller = await scene.caller(who=LOTTA)
    await scene.key_pin(caller, LOTTA)
    await scene.asked("sms_code")
    await phone.incoming()
    await caller.hang_up()
    await phone.until("disconnected")


async def test_a_busy_landline_sounds_to_the_caller_as_any(scene: Scene) -> None:
    phone = await scene.phone("agent3")
    caller = await scene.caller(who=LOTTA)
    await scene.key_pin(caller, LOTTA)
    await scene.asked("sms_code")
    await phone.incoming()
    await phone.busy()
    told = await scene.logged("voice.called")
    assert told["result"] == "not_answered"
    await caller.send_digits("135790")
    await scene.logged("step.wrong", step="sms_code")
    await caller.hang_up()
