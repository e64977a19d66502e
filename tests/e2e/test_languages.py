"""Callers hear, and read, their own language: the customer's, else what somebody set on the channel, else the company's."""

from __future__ import annotations

import asyncio
import math
import shutil
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import audio
from rig.phone import Phone
from rig.stage import ANNA, CHEAP_PINS, DIALPLAN, PROMPTS, Customer, Stage, code_in

from ivr.prompts import Prompt, languages, text
from ivr.prompts.render import main
from tests.e2e.scene import Scene

SPEAKERS = {
    "sv": Customer("10011", "Sven Svensson", "+46701740611", "2580", "sv"),
    "de": Customer("10012", "Dora Decker", "+46701740612", "7391", "de"),
    "pl": Customer("10013", "Piotr Polak", "+46701740613", "4862", "pl"),
}
# What an administrator has recorded, as tones in hertz: the language is heard from each, and where a prompt ends.
TONES = {"en": 500, "sv": 600, "de": 700, "pl": 800}
RECORDED = {Prompt.WELCOME: 0, Prompt.OTHER_CUSTOMER: 1000, Prompt.ASK_CODE: 2000}

CHANNELS = (
    DIALPLAN
    + """
[callers](+)
exten => 301,1,Set(CHANNEL(language)=de)
 same => n,Goto(100,1)
exten => 302,1,Set(CHANNEL(language)=fr)
 same => n,Goto(100,1)
exten => 303,1,Set(CHANNEL(language)=pl_PL)
 same => n,Goto(100,1)
"""
)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All languages, as `scripts/prompts` makes them; some are recordings."""
    out, own = tmp_path_factory.mktemp("sounds"), tmp_path_factory.mktemp("recordings")
    for language, hertz in TONES.items():
        (own / language).mkdir()
        for prompt, more in RECORDED.items():
            record(own / language / f"{prompt.value}.wav", hertz + more)
        if (PROMPTS / language).exists():
            # what is there is up to date, or is made anew
            shutil.copytree(PROMPTS / language / "tillit", out / language / "tillit")
    assert main(out, ["--recordings", str(own)]) == 0
    return out


@pytest.fixture(scope="module")
def stage(sounds: Path) -> Iterator[Stage]:
    with Stage(
        name="languages",
        settings=CHEAP_PINS,
        dialplan=CHANNELS,
        customers=(ANNA, *SPEAKERS.values()),
        sounds=sounds,
        languages=languages(),
    ) as made:
        yield made


def record(file: Path, hertz: int) -> None:
    """Half a second of a tone, as a studio would hand it over."""
    rate = 44_100
    wave_form = (round(12_000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(rate // 2))
    with wave.open(str(file), "wb") as opened:
        opened.setparams((1, 2, rate, 0, "NONE", ""))
        opened.writeframes(array("h", wave_form).tobytes())


async def tone(phone: Phone, language: str, prompt: Prompt = Prompt.WELCOME) -> None:
    """Wait until this language's recording of the prompt is heard; no other's was until then."""
    more = RECORDED[prompt]
    await phone.hears(TONES[language] + more)
    assert [one for one, hertz in TONES.items() if phone.heard(hertz + more)] == [language]


def language_of(phone: Phone, prompt: Prompt, sounds: Path, since: int = 0) -> str:
    """The language whose file is most like what was heard."""
    heard = audio.samples(phone.recording())[since:]
    files = {one: audio.samples(sounds / one / "tillit" / f"{prompt.value}.wav") for one in languages()}
    alike = {one: audio.likeness(heard, sound) for one, sound in files.items()}
    # of other sentences, some part is somewhat alike
    assert max(alike.values()) > 0.75, alike
    return max(alike, key=alike.__getitem__)


@pytest.mark.parametrize("language", SPEAKERS)
async def test_a_customer_is_spoken_and_written_to_in_the_own_language(
    scene: Scene, sounds: Path, language: str
) -> None:
    who = SPEAKERS[language]
    caller = await scene.caller(who=who)
    await tone(caller, language)
    await tone(caller, language, Prompt.OTHER_CUSTOMER)
    assert language_of(caller, Prompt.ASK_PIN, sounds) == language
    since = caller.mark()
    await scene.key_pin(caller, who)
    message = await asyncio.to_thread(scene.stage.wait_text, who.phones)
    assert message == text("sms_code", language, company="Example Telecom", code=code_in(message))
    await tone(caller, language, Prompt.ASK_CODE)
    assert language_of(caller, Prompt.TEXT_COMING, sounds, since) == language
    await caller.hang_up()


async def test_a_customer_without_a_language_is_spoken_to_in_the_channels(scene: Scene, sounds: Path) -> None:
    caller = await scene.caller("301")
    await tone(caller, "de")
    await tone(caller, "de", Prompt.OTHER_CUSTOMER)
    assert language_of(caller, Prompt.ASK_PIN, sounds) == "de"
    await caller.hang_up()


async def test_the_customers_language_goes_before_the_channels(scene: Scene) -> None:
    caller = await scene.caller("301", who=SPEAKERS["pl"])
    await tone(caller, "pl")
    await caller.hang_up()


async def test_a_regional_language_is_spoken_as_its_language(scene: Scene) -> None:
    caller = await scene.caller("303")
    await tone(caller, "pl")
    await caller.hang_up()


async def test_a_channels_language_that_has_no_prompts_gives_way_to_the_companys(scene: Scene) -> None:
    caller = await scene.caller("302")
    await tone(caller, "en")
    await caller.hang_up()


@pytest.fixture
def swedish(stage: Stage) -> Iterator[None]:
    """A company that speaks Swedish, on an Asterisk that gives `en` to every channel."""
    stage.write_config({"company": {"language": "sv"}})
    yield
    stage.write_config()


@pytest.mark.usefixtures("swedish")
async def test_the_companys_language_goes_before_asterisks_default(scene: Scene) -> None:
    caller = await scene.caller()
    await tone(caller, "sv")
    await caller.hang_up()


@pytest.mark.usefixtures("swedish")
async def test_a_language_that_was_set_on_the_channel_goes_before_the_companys(scene: Scene) -> None:
    caller = await scene.caller("301")
    await tone(caller, "de")
    await caller.hang_up()


async def test_asterisks_default_is_spoken_where_the_company_names_none(sounds: Path) -> None:
    """`defaultlanguage` of asterisk.conf, here with a region."""
    german = {"asterisk.conf": "\n[options](+)\ndefaultlanguage = de_AT\n"}
    made = Stage(
        name="german",
        settings=CHEAP_PINS,
        dialplan=CHANNELS,
        customers=(ANNA,),
        sounds=sounds,
        languages=languages(),
        overrides=german,
    )
    with made as stage, stage.worker():
        async with Phone(stage.pbx.line("caller")) as caller:
            await caller.call("100", number=ANNA.phones)
            await tone(caller, "de")
            await caller.hang_up()
