"""What callers hear and read, in each language: one catalogue file a language beside this module.

A prompt is played from `sounds/LANGUAGE/tillit/NAME.wav` of Asterisk's data directory, which
`scripts/prompts` renders from the catalogue.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources


class Prompt(StrEnum):
    """Every prompt; the value is the name of its sound file and of its line in the catalogue."""

    WELCOME = "welcome"
    ASK_CUSTOMER_NUMBER = "ask-customer-number"
    ASK_PIN = "ask-pin"
    OTHER_CUSTOMER = "other-customer"
    TEXT_COMING = "text-coming"
    CODE_COMING = "code-coming"
    ASK_CODE = "ask-code"
    ASK_TOTP = "ask-totp"
    OPEN_LINK = "open-link"
    ASK_BANKID = "ask-bankid"
    ASK_FREJA = "ask-freja"
    ASK_EID = "ask-eid"
    OPEN_APP = "open-app"
    APP_SHOWS = "app-shows"
    NEW_TEXT_SENT = "new-text-sent"
    NO_MORE_TEXTS = "no-more-texts"
    NEXT_TEXT = "next-text"
    TEXT_SOON = "text-soon"
    NOTHING_KEYED = "nothing-keyed"
    TOO_SHORT = "too-short"
    WRONG = "wrong"
    CODE_EXPIRED = "code-expired"
    LOST_KEYS = "lost-keys"
    VERIFIED = "verified"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    LOCKED = "locked"
    LOCKED_UNTIL_CONTACT = "locked-until-contact"
    TRY_AGAIN = "try-again"
    NO_AGENT = "no-agent"
    IN_ONE_MINUTE = "in-1-minute"
    IN_2_MINUTES = "in-2-minutes"
    IN_5_MINUTES = "in-5-minutes"
    IN_10_MINUTES = "in-10-minutes"
    IN_15_MINUTES = "in-15-minutes"
    IN_30_MINUTES = "in-30-minutes"
    IN_1_HOUR = "in-1-hour"
    IN_2_HOURS = "in-2-hours"
    IN_4_HOURS = "in-4-hours"
    IN_8_HOURS = "in-8-hours"
    IN_16_HOURS = "in-16-hours"
    IN_24_HOURS = "in-24-hours"
    PROVE_DIGITS = "prove-digits"
    ASK_PUBLISHED = "ask-published"
    PUBLISHED_UNKNOWN = "published-unknown"
    PUBLISHED_BUSY = "published-busy"
    PUBLISHED_AWAY = "published-away"
    ONCE_MORE = "once-more"
    PRESS_FOR_CODE = "press-for-code"
    YOUR_CODE = "your-code"
    DIGIT_0 = "digit-0"
    DIGIT_1 = "digit-1"
    DIGIT_2 = "digit-2"
    DIGIT_3 = "digit-3"
    DIGIT_4 = "digit-4"
    DIGIT_5 = "digit-5"
    DIGIT_6 = "digit-6"
    DIGIT_7 = "digit-7"
    DIGIT_8 = "digit-8"
    DIGIT_9 = "digit-9"


_WAITS = (
    (60, Prompt.IN_ONE_MINUTE),
    (2 * 60, Prompt.IN_2_MINUTES),
    (5 * 60, Prompt.IN_5_MINUTES),
    (10 * 60, Prompt.IN_10_MINUTES),
    (15 * 60, Prompt.IN_15_MINUTES),
    (30 * 60, Prompt.IN_30_MINUTES),
    (60 * 60, Prompt.IN_1_HOUR),
    (2 * 60 * 60, Prompt.IN_2_HOURS),
    (4 * 60 * 60, Prompt.IN_4_HOURS),
    (8 * 60 * 60, Prompt.IN_8_HOURS),
    (16 * 60 * 60, Prompt.IN_16_HOURS),
)


def wait(seconds: int) -> Prompt:
    """The phrase for a wait: the shortest that is not too short, so that nobody comes back too early."""
    return next((prompt for limit, prompt in _WAITS if seconds <= limit), Prompt.IN_24_HOURS)


def digits(number: str) -> tuple[Prompt, ...]:
    """The prompt of each of these digits. Raises `ValueError` for anything else."""
    return tuple(Prompt(f"digit-{digit}") for digit in number)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One language: the words of each prompt, and of each text message.

    `about` is what a call may be about. `spoken` has the words that the voice would say wrongly, and what to give it instead.
    """

    language: str
    voice: str
    prompts: dict[Prompt, str]
    texts: dict[str, str]
    about: dict[str, str]
    spoken: dict[str, str]


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a catalogue, in the order of their codes."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def text(name: str, language: str, **fields: str) -> str:
    """The words of a text message, in English where the language has none; fields that are not given stay as `{…}`."""
    words = catalogue(language if language in languages() else "en").texts[name]
    for field, value in fields.items():
        words = words.replace("{" + field + "}", value)
    return words


def about(name: str, language: str) -> str:
    """What a call is about, in English where the language has none. Raises `KeyError`."""
    return catalogue(language if language in languages() else "en").about[name]


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language; raises `KeyError` where there is none."""
    if language not in languages():
        raise KeyError(language)
    raw = tomllib.loads(resources.files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8"))
    return Catalogue(
        language=language,
        voice=raw["voice"],
        prompts={prompt: raw["prompts"][prompt.value] for prompt in Prompt},
        texts=dict(raw["texts"]),
        about=dict(raw["about"]),
        spoken=dict(raw.get("spoken", {})),
    )
